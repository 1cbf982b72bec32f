"""Every metric that a protocol gives has a declared direction; what has none is an error, never "higher is better"."""

from __future__ import annotations

import pytest

from gelo.tasks.protocols import PROTOCOLS, direction

ERRORS = ("eer", "hter", "apcer", "bpcer", "acer")


def test_every_leaf_of_every_protocol_has_a_direction() -> None:
    for protocol in PROTOCOLS.values():
        for leaf in protocol.leaves:
            expected = 0 if leaf == "sd" or leaf.startswith("sd_") else -1 if leaf.startswith(ERRORS) else 1
            assert direction(f"{protocol.untrained[0]}/part/{leaf}") == expected, leaf


def test_an_undeclared_leaf_is_an_error() -> None:
    with pytest.raises(ValueError, match="no direction is known of 'entropy'"):
        direction("zero_shot/shapes/entropy")
