"""Nothing that was computed before may change by a change of the house: tests/golden/values.json holds what it was.

After a change that is meant, `python -m tests.golden.values > tests/golden/values.json`, and the commit says why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import values

KEPT: dict[str, Any] = json.loads(Path(values.__file__).with_suffix(".json").read_text())


@pytest.mark.parametrize("part", ["keys", "owed", "fingerprints", "tables"])
def test_it_is_what_it_was(part: str) -> None:
    assert getattr(values, part)() == KEPT[part]


def test_training_ends_on_the_same_bits() -> None:
    """On a machine of the same kind; elsewhere on the same losses, but for rounding."""
    found = values.trained()
    if values.machine() == KEPT["machine"]:
        assert found == KEPT["trained"]
    assert found.keys() == KEPT["trained"].keys()
    for way, of in found.items():
        assert of["loss"] == pytest.approx(KEPT["trained"][way]["loss"], rel=1e-3)
