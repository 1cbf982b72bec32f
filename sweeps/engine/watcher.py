"""What the driver sees of Tune's trials: who runs, who was lost and why, what follows from that, when all have saved."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.stopper import Stopper
from rich.markup import escape

from gelo.models.secrets import redacted
from gelo.models.words import counted, span
from gelo.sweeps.engine.failures import Loss, draining, loss_of
from gelo.sweeps.engine.limits import Meter
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.terminal.progress import Stage

_LOOK = 5.0  # seconds between two looks at the cluster
_TELL = 60.0  # seconds between two lines on what is waited for


class Watcher(tune.Callback):
    """Counts trials, shows what runs, and decides what follows where one is lost: Tune would start it again for ever.

    hears: told of each row of a trial's history; went_on: from which step the newest start of a trial went on, 0 where that is not known.
    It belongs to the driver: Tune's pickled copies of it are empty.
    """

    def __init__(
        self,
        stage: Stage,
        labels: Mapping[str, str],
        stop: StopFlag,
        resources: Resources,
        meter: Meter,
        hears: Callable[[str, Mapping[str, Any]], object] = lambda key, row: None,
        clock: Callable[[], float] = time.monotonic,
        went_on: Callable[[str], int] = lambda key: 0,
    ) -> None:
        self.stage, self.labels, self.stop, self.resources = stage, labels, stop, resources
        self.meter, self.hears, self.clock, self.went_on = meter, hears, clock, went_on
        self.running: dict[str, str] = {}
        self.failures: dict[str, dict[str, Any]] = {}
        self.tried: Counter[str] = Counter()  # starts that count, by trial
        self.lost_since: dict[str, float] = {}  # since when a trial was lost again and again, and saved nothing between
        self.saved: dict[str, int] = {}  # the step of the checkpoint that it last went on from
        self.idle_since: float | None = None
        self._looked = self._told = clock()
        self._drains: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        key = trial.config["key"]
        self.running[key] = "starts"
        self.meter.started(key)
        if self.idle_since is not None and key in self.lost_since:
            self.stage.display.say(f"goes on: {escape(self.labels[key])}")
        self.idle_since = None
        self._show()

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        key = trial.config["key"]
        if result.get("failure"):
            if key not in self.failures:
                self.failures[key] = result["failure"]
                self._say_failed(key, result["failure"]["error"].splitlines()[0])
        elif "note" in result:
            self.stage.display.say(escape(f"{self.labels[key]}: {redacted(result['note'])}"))
        elif result.get("cut"):
            self.stage.cut += 1
            self.stage.display.say(f"{result['cut']}: {escape(self.labels[key])}")
        elif result.get("state") == "running":
            self.lost_since.pop(key, None)
            self.hears(key, result)
            kept = f" zero-shot {100 * result['zero_shot']:.0f} %" if "zero_shot" in result else ""
            self.running[key] = f"epoch {result['epoch']:.0f} loss {result['loss']:.3f}{kept}"
        self._show()

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ended(trial.config["key"])

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """One that Tune does not start again, whatever it was told."""
        key = trial.config["key"]
        if key not in self.failures:
            self._give_up(key, loss_of(_last_error(trial), self.stop.where(key)), "")
        self._ended(key)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A start ended before its end, and Tune makes another: say so, or see to it that the next one ends at once."""
        key = trial.config["key"]
        loss = loss_of(_last_error(trial), self.stop.where(key))
        self.running.pop(key, None)
        self.meter.ended(key)
        step = self.went_on(key) if loss.waited_for else 0
        if step > self.saved.get(key, 0):  # no row of it may have come: an epoch may take longer than machines stay
            self.saved[key] = step
            self.lost_since.pop(key, None)
        since = self.lost_since.setdefault(key, self.clock()) if loss.waited_for else None
        why = f"{escape(self.labels[key])}: {loss.kind}, {escape(redacted(loss.why))}"
        if since is not None and self.clock() - since > 3600 * self.resources.patience:
            waited = f"lost again and again for {span(self.clock() - since)} without a checkpoint (resources.patience)"
            self._give_up(key, loss, waited)
        elif since is not None:
            self.stage.display.say(f"lost {why}; it goes on from its last checkpoint, which is no retry")
        elif loss.final or self.tried[key] >= self.resources.retries:
            self._give_up(key, loss, f"tried {counted(self.tried[key] + 1, 'time')}" if self.tried[key] else "")
        else:
            self.tried[key] += 1
            self.stage.display.say(f"lost {why}; retry {self.tried[key]} of {self.resources.retries}")
        self._show()

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """Now and then: what limits say, what Ray says of its machines, and what is waited for."""
        now = self.clock()
        if now - self._looked < _LOOK or self.stop.is_set:
            return
        self._looked = now
        for key, failure in self.meter.over(self.running).items():
            self.stop.fail(key, failure)
        if why := self.meter.all_over():
            self.stage.display.say(f"{why}: the running trials save a checkpoint")
            self.stop.set(why)
        self._drain()
        waits = [trial for trial in trials if trial.status in ("PENDING", "PAUSED")]
        if self.running or not waits:
            self.idle_since = None
            return
        if self.idle_since is None:
            self.idle_since = self._told = now
        self._wait(now, len(waits))

    def _wait(self, now: float, waits: int) -> None:
        """Nothing trains, though some would: for so long, at the longest `patience`."""
        assert self.idle_since is not None
        gone = now - self.idle_since
        if gone > 3600 * self.resources.patience:
            self.stop.set(f"no machine had room for a trial for {span(gone)} (resources.patience)")
        elif now - self._told >= _TELL:
            self._told = now
            nodes = [node for node in ray.nodes() if node["Alive"]]
            cpus, gpus = (sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
            there = f"{counted(len(nodes), 'machine')} with {cpus:g} CPUs and {gpus:g} GPUs"
            self.stage.display.say(
                f"waiting for {span(gone)} for room: {counted(waits, 'trial')} to train, {there} here; at the longest "
                f"{span(3600 * self.resources.patience)} (resources.patience)"
            )

    def _drain(self) -> None:
        found = draining()
        if found != self._drains:
            if new := found - self._drains:
                self.stage.display.say(
                    f"Ray is told that {counted(len(new), 'machine')} will be taken away: its trials save and leave"
                )
            self._drains = found
            self.stop.drain(found)

    def _give_up(self, key: str, loss: Loss, more: str) -> None:
        self.failures[key] = loss.failure(more)
        self.stop.fail(key, self.failures[key])
        self._say_failed(key, f"{loss.kind}, {loss.why}{f' ({more})' if more else ''}")

    def _say_failed(self, key: str, why: str) -> None:
        self.stage.display.say(f"[red]failed[/red] {escape(self.labels[key])}: {escape(redacted(why))}")

    def _ended(self, key: str) -> None:
        self.running.pop(key, None)
        self.meter.ended(key)
        self.stage.failed = len(self.failures)
        if not self.stop.is_set:
            self.stage.tick()
        self._show()

    def _show(self) -> None:
        self.stage.running = tuple(self.running)
        self.stage.describe(", ".join(f"{self.labels[key]} {state}" for key, state in self.running.items()))


class WhenSaved(Stopper):
    """Ends Tune once the trials that ran when the stop flag was set have saved and returned."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.at_stop: set[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        if not self.watcher.stop.is_set:
            return False
        if self.at_stop is None:
            self.at_stop = set(self.watcher.running)
        return not (self.at_stop & set(self.watcher.running))


def _last_error(trial: Any) -> str:
    """In words, of its last start; "" where Tune kept none."""
    try:
        text = Path(trial.error_file).read_text() if trial.error_file else ""
    except OSError:
        return ""
    return text.rpartition("Failure # ")[2].partition("\n")[2].strip()  # below the number and the time
