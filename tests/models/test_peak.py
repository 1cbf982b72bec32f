"""The peak of a stretch, against what was asked of the system in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gelo.models.training import peak
from tests.programs import printed_by

STRETCH = """
import mmap
from gelo.models.training import peak
def held(megabytes):
    with mmap.mmap(-1, megabytes << 20) as pages:  # straight from the system, and straight back
        for at in range(0, megabytes << 20, 4096):
            pages[at] = 1
held(400)
peak.begin("cpu")
before = peak.taken("cpu")
held(100)
print(peak.taken("cpu") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="a system that cannot forget a peak")
def test_a_peak_is_that_of_the_stretch_alone() -> None:
    """In a process of its own: one that has run tests holds room enough, so that no peak is new."""
    assert 95 << 20 < int(printed_by(STRETCH)) < 130 << 20, "neither what came before, nor what is held in the end"


def test_a_system_that_knows_nothing_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak, "_CLEAR", tmp_path / "none" / "clear_refs")
    peak.begin("cpu")
    assert peak.taken("cpu") is None
