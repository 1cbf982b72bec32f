"""What the driver sees of Tune's trials: who runs, who failed, when all have saved."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.stopper import Stopper
from rich.markup import escape

from gelo.sweeps.terminal.progress import Stage

if TYPE_CHECKING:
    pass


class StopFlag:
    """A switch that every process of the cluster can read; the driver's side."""

    def __init__(self) -> None:
        class Flag:
            def __init__(self) -> None:
                self.value = False

            def set(self) -> None:
                self.value = True

            def get(self) -> bool:
                return self.value

        self.actor = ray.remote(num_cpus=0)(Flag).remote()
        self.is_set = False

    def set(self) -> None:
        self.is_set = True
        self.actor.set.remote()


class Watcher(tune.Callback):
    """Counts trials, shows what runs and collects failures. It belongs to the driver: Tune's pickled copies of it are empty."""

    def __init__(self, stage: Stage, labels: Mapping[str, str], stop: StopFlag) -> None:
        self.stage, self.labels, self.stop = stage, labels, stop
        self.running: dict[str, str] = {}
        self.failures: dict[str, dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.running[trial.config["key"]] = "starts"
        self._show()

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        key = trial.config["key"]
        if result.get("failure"):
            self.failures[key] = result["failure"]
            first = result["failure"]["error"].splitlines()[0]
            self.stage.display.say(f"[red]failed[/red] {self.labels[key]}: {escape(first)}")
        elif result.get("state") == "running":
            kept = f" zero-shot {100 * result['zero_shot']:.0f} %" if "zero_shot" in result else ""
            self.running[key] = f"epoch {result['epoch']:.0f} loss {result['loss']:.3f}{kept}"
        self._show()

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ended(trial.config["key"])

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        key = trial.config["key"]
        self.failures.setdefault(key, {"kind": "fault", "error": _last_error(trial)})
        self.stage.display.say(f"[red]failed[/red] {self.labels[key]} after its retries")
        self._ended(key)

    def _ended(self, key: str) -> None:
        self.running.pop(key, None)
        self.stage.failed = len(self.failures)
        if not self.stop.is_set:
            self.stage.tick()
        self._show()

    def _show(self) -> None:
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
    try:
        path = trial.error_file
        text = Path(path).read_text() if path else ""
    except OSError:
        text = traceback.format_exc()
    return text.strip()[-4000:] or "the worker died"
