"""In which portions trials are trained and scored: each once, none scored before its training, none after a stop."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gelo.sweeps.stages import waves
from gelo.sweeps.stages.portions import grown
from gelo.sweeps.stages.waves import Sweep


class Told(Sweep):
    """A sweep that notes what it would do; a training takes `seconds`, and a stop comes in the stage `until`."""

    def __init__(self, wave: int, seconds: float, until: int) -> None:
        self.spec: Any = SimpleNamespace(resources=SimpleNamespace(wave=wave))
        self.stop: Any = SimpleNamespace(is_set=False)
        self.seconds, self.until, self.clock = seconds, until, 0.0
        self.stages: list[list[Any]] = []
        self.passes: list[list[Any]] = []

    def _trained(self, wave: Sequence[Any]) -> None:
        assert not self.stop.is_set
        self.stages.append(list(wave))
        self.clock += self.seconds
        self.stop.is_set = len(self.stages) == self.until

    def _measured(self, wave: Sequence[Any]) -> None:
        assert not self.stop.is_set
        assert set(wave) <= {each for stage in self.stages for each in stage}
        self.passes.append(list(wave))
        self.clock += 1000


def told(trials: int, wave: int, seconds: float, until: int) -> Told:
    sweep = Told(wave, seconds, until)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waves.time, "monotonic", lambda: sweep.clock)
        sweep._waves(range(trials), [])  # type: ignore[arg-type] # numbers in place of trials
    return sweep


@given(st.integers(1, 2000), st.integers(1, 40), st.sampled_from([0.0, 59.0, 61.0, 1e5]), st.sampled_from([-1, 1, 3]))
def test_each_trial_has_its_turn(trials: int, wave: int, seconds: float, until: int) -> None:
    found = told(trials, wave, seconds, until)
    trained, scored = ([each for part in parts for each in part] for parts in (found.stages, found.passes))
    whole = until < 0 or len(found.stages) < until
    assert trained == list(range(len(trained))) and scored == list(range(len(scored)))
    assert max(map(len, found.passes), default=0) <= wave and max(map(len, found.stages)) <= 16 * wave
    if whole:
        assert len(trained) == len(scored) == trials
    else:
        assert len(scored) == len(trained) - len(found.stages[-1])


def test_stages_of_training_grow_where_trainings_are_short() -> None:
    assert [len(stage) for stage in told(500, 24, 13.5, -1).stages] == [24, 48, 96, 192, 140]
    assert {len(stage) for stage in told(480, 24, 3600, -1).stages} == {24}
    assert grown(24 * 16, 0.0, 24) == 24 * 16, "passes have an end"
