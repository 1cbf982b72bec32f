"""How many trainings a card has room for, by hand, and through the journal of a trial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from gelo.models.training.footprint import CONTEXT
from gelo.models.training.peak import card, forget
from gelo.sweeps.state.journal import journal, read_attempts
from gelo.sweeps.state.packing import fitting, packing, share_of
from gelo.sweeps.state.progress import TrialProgress

GB = 10**9


def trial(held: int | None, of: int | None, gpus: float = 1, state: str = "complete") -> TrialProgress:
    return TrialProgress(
        key="a", label="a", state=state, results=0, expected=0, note="", memory_bytes=held, card_bytes=of, gpus=gpus
    )


def test_the_largest_training_on_the_smallest_card_decides() -> None:
    """80 / (1.2 x (12.4 + 0.6)) = 5.1; the one of 30 GB ended on two cards, that of 40 GB has not ended."""
    trials = [trial(int(12.4 * GB), 90 * GB), trial(5 * GB, 80 * GB), trial(30 * GB, 80 * GB, 2)]
    trials += [trial(40 * GB, 80 * GB, state="half-trained"), trial(None, None, 0)]
    assert fitting(trials) == (5, 1, int(12.4 * GB), 80 * GB)
    assert packing(trials) == (
        "trainings held at most 12.4 GB of a card of 80.0 GB: `resources: {gpus: 0.2}` has memory for 5 on each at once, now 1"
        " (`pack: true` finds each one's share)"
    )


def test_too_many_on_a_card_is_said_and_what_fits_is_not() -> None:
    assert "has memory for 2 on each at once, now 4 are close" in packing([trial(30 * GB, 80 * GB, 0.25)])
    assert packing([trial(30 * GB, 80 * GB, 0.5)]) == ""
    assert packing([trial(75 * GB, 80 * GB)]) == "", "one that fills its card is left alone with it"
    assert packing([trial(None, None, 0)]) == packing([]) == ""
    assert packing([trial(GB, 80 * GB, 0.05)]) == "", (
        "twenty that fit are not advised against: sixteen is only what is advised"
    )


@given(st.integers(10**6, 10**12), st.integers(10**6, 10**12), st.integers(1, 40))
def test_what_is_advised_fits(held: int, of: int, now: int) -> None:
    """By the words alone: so many, each with its context, are below the card, and Ray puts exactly so many there."""
    said = packing([trial(held, of, share_of(now))])
    if said:
        share, count = re.findall(r"gpus: ([\d.e-]+)}` has memory for (\d+)", said)[0]
        assert int(count) == 1 or int(count) * (held + CONTEXT) < of
        assert ("close to" in said) == (int(count) < now) and (int(count) > now or now * 1.2 * (held + CONTEXT) > of)
        assert round(float(share), 4) == float(share) and int(1 / float(share) + 1e-9) == int(count)


def test_a_journal_keeps_what_a_card_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without a card nothing is asked of CUDA, and nothing is said; of one, what torch counts."""
    import torch

    root = UPath(tmp_path / "trial")
    with journal(root, ranks=1, cpus=1, gpus=0, memory=card):
        forget()
    assert not torch.cuda.is_initialized()
    assert (read_attempts(root)[-1].memory, read_attempts(root)[-1].card) == (None, None)
    seen = iter([(1, 80), (3, 80), (9, 80), (9, 80), (9, 80)])
    with journal(root, ranks=1, cpus=1, gpus=1, memory=lambda: next(seen)) as own:
        own.write()
    assert (read_attempts(root)[-1].memory, read_attempts(root)[-1].card) == (9, 80)
