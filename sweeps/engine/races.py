"""Tune's schedulers on what trials see of themselves while they train, fed again from the folders after any interruption.

A race is of trials that can be compared: one backbone, task, training set and number of looks. Time is counted in looks. What a scheduler
decides is written into the trial's folder before the trial hears of it, and the trial ends itself, after saving: Tune would end it
without. So a decision holds whoever is killed next, and what was cut stays cut until somebody wants it finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from gelo.sweeps.spec.search import Scheduler
from gelo.sweeps.state.cuts import past_looks, set_cut
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.cuts import Cut, read_cut
from gelo.tasks.ledger.looks import Look
from gelo.tasks.ledger.trial import Trial

_TIME, _VALUE = "look", "value"


@dataclass(frozen=True)
class Racer:
    """What Tune's schedulers know of a trial: a name that an interruption does not change."""

    trial_id: str


def told_to_tune(look: Look, steps: int) -> dict[str, Any]:
    """What a trial reports of a look: flat, as Tune hands a result to its schedulers. steps: of the whole trial."""
    seen = {f"look_{name}": value for name, value in look.model_dump().items() if value is not None}
    return {"state": "look", "steps": steps, **seen}


class Race:
    """One of Tune's schedulers among comparable trials. points: looks of each."""

    def __init__(self, asked: Scheduler, points: int) -> None:
        self.asked, self.points, self.seen = asked, points, dict[str, int]()
        named: dict[str, Any] = {"time_attr": _TIME, "metric": _VALUE, "mode": "max", "grace_period": asked.grace}
        self.rule: Any = (
            AsyncHyperBandScheduler(max_t=max(points, asked.grace), reduction_factor=asked.reduction, **named)
            if asked.kind == "asha"
            else MedianStoppingRule(min_time_slice=float("inf"), **named)  # else it pauses trials, which cannot be
        )

    def tell(self, key: str, look: Look, decides: bool) -> bool:
        """One more look of a trial; returns whether it is to end, where that is asked. A look that was told before changes nothing."""
        racer, value = Racer(key), look.value(self.asked.metric)
        if look.number <= self.seen.get(key, 0) or value is None:
            return False
        if key not in self.seen:
            self.rule.on_trial_add(None, racer)
        self.seen[key] = look.number
        result = {_TIME: look.number, _VALUE: value}
        if decides and look.number < self.points:
            return bool(self.rule.on_trial_result(None, racer, result) == TrialScheduler.STOP)
        if isinstance(self.rule, MedianStoppingRule):
            self.rule.on_trial_complete(None, racer, result)  # keeps the number and decides nothing
        else:
            self.rule.on_trial_result(None, racer, result)  # keeps it in its rung whatever it decides
        return False


class Races(FIFOScheduler):
    """What Tune asks: every race of a sweep. It belongs to the driver: Tune's pickled copies of it are empty."""

    def __init__(self, asked: Scheduler, folder: SweepFolder) -> None:
        super().__init__()
        self.asked, self.folder = asked, folder
        self.races: dict[tuple[object, ...], Race] = {}
        self.trials: dict[str, Trial] = {}
        self.looks: dict[str, list[Look]] = {}
        self.free: set[str] = set()  # those that are to be finished

    def join(self, trials: Iterable[Trial]) -> None:
        """Tell the schedulers what these, and all that they are made of, have seen so far, each once."""
        for trial in (each for one in trials for each in one.made_of):
            if trial.trains and trial.key not in self.trials:
                self.trials[trial.key], place = trial, self.folder.trial(trial)
                self.looks[trial.key] = past_looks(place)
                for look in self.looks[trial.key]:
                    self._race(trial).tell(trial.key, look, decides=False)
                cut = read_cut(place.root)
                if cut is not None and cut.go_on:
                    self.free.add(trial.key)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Never ends a trial itself: one that is to end reads so in its folder when this returns."""
        if result.get("state") == "look":
            seen = {name: result[f"look_{name}"] for name in Look.model_fields if f"look_{name}" in result}
            self.told(trial.config["key"], Look.model_validate(seen), int(result["steps"]))
        return TrialScheduler.CONTINUE

    def told(self, key: str, look: Look, steps: int) -> bool:
        """One more look of a trial that joined, of `steps` in all; True where it was cut by it."""
        trial, known = self.trials[key], self.looks[key]
        if not known or look.number > known[-1].number:
            known.append(look)
        if not self._race(trial).tell(key, look, decides=key not in self.free and look.step < steps):
            return False
        where: dict[str, Any] = {"look": look.number, "step": look.step, "steps": steps, "looks": tuple(known)}
        set_cut(self.folder.trial(trial), Cut(by=self.asked.kind, metric=self.asked.metric, **where))
        return True

    def _race(self, trial: Trial) -> Race:
        assert trial.training is not None
        watch = trial.training.watch
        of = (trial.backbone, trial.task, trial.training.data, trial.training.classes, watch.points, watch.validation)
        if of not in self.races:
            self.races[of] = Race(self.asked, watch.points)
        return self.races[of]
