"""What a sweep and its trials have used of `resources.limits`: the hours of their journals, and of what runs now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gelo.models.words import span
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import read_attempts
from gelo.tasks.ledger.trial import Trial

_RAISE = "its checkpoint stays: raise the limit (--set resources.limits.{name}=...) and run the sweep again"


class Meter:
    """Counts from what the journals say when it is made. before: seconds of training by trial's key; held: the GPU seconds of those, by
    what each start was granted then."""

    def __init__(
        self,
        resources: Resources,
        before: Mapping[str, float],
        held: Mapping[str, float],
        since: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resources, self.before, self.held, self.since, self.clock = (
            resources,
            dict(before),
            dict(held),
            since,
            clock,
        )
        self.now: dict[str, float] = {}  # when those that run were started
        self.shares: dict[str, float] = {}  # GPUs by key, of those that are granted others than resources.gpus

    def started(self, key: str) -> None:
        self.now[key] = self.clock()

    def ended(self, key: str) -> None:
        if key in self.now:
            self.before[key], self.held[key] = self.seconds(key), self.gpu_seconds(key)
            del self.now[key]

    def seconds(self, key: str) -> float:
        """That a trial has trained, all its starts together."""
        return self.before.get(key, 0.0) + self._running(key)

    def gpu_seconds(self, key: str) -> float:
        """The same times the GPUs that it held."""
        return self.held.get(key, 0.0) + self.shares.get(key, self.resources.gpus) * self._running(key)

    def gpu_hours(self) -> float:
        """Of all trainings of the sweep."""
        return sum(map(self.gpu_seconds, {*self.held, *self.now})) / 3600

    def _running(self, key: str) -> float:
        return self.clock() - self.now[key] if key in self.now else 0.0

    def over(self, running: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The failure of each of these trials that has used more than one may."""
        limits, found = self.resources.limits, {}
        for key in running:
            hours, gpu_hours = self.seconds(key) / 3600, self.gpu_seconds(key) / 3600
            for name, used, most, unit in (
                ("trial", hours, limits.trial, "h"),
                ("trial_gpu_hours", gpu_hours, limits.trial_gpu_hours, "GPU hours"),
            ):
                if most is not None and used > most:
                    said = f"trained for {used:.3g} {unit}, and resources.limits.{name} is {most:.3g}"
                    found[key] = {"kind": "limit", "error": f"{said}; {_RAISE.format(name=name)}"}
        return found

    def all_over(self) -> str:
        """Why the sweep has to end here; "" where nothing says so."""
        limits, here = self.resources.limits, self.clock() - self.since
        if limits.run is not None and here > 3600 * limits.run:
            return f"this run took {span(here)}, and resources.limits.run is {span(3600 * limits.run)}"
        if limits.gpu_hours is not None and self.gpu_hours() > limits.gpu_hours:
            return f"the sweep has used {self.gpu_hours():.3g} GPU hours, and resources.limits.gpu_hours is {limits.gpu_hours:.3g}"
        return ""


def meter_of(resources: Resources, trials: Iterable[Trial], folder: SweepFolder, since: float) -> Meter:
    """since: when this run began, by time.monotonic. Journals are read only where a limit needs them."""
    limits, before, held = resources.limits, dict[str, float](), dict[str, float]()
    if any(each is not None for each in (limits.trial, limits.trial_gpu_hours, limits.gpu_hours)):
        keys = {each.key: each for trial in trials for each in trial.made_of if each.trains}
        starts = {key: read_attempts(folder.trial(each).root) for key, each in keys.items()}
        before = {key: sum(a.seconds for a in attempts) for key, attempts in starts.items()}
        held = {key: sum(a.gpus * a.seconds for a in attempts) for key, attempts in starts.items()}
    return Meter(resources, before, held, since)
