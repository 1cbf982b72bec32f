"""gelo's own numbers on Ray's Prometheus port, set by the driver every few seconds while a sweep runs (docs/watching.md).

They are of this run of the driver; `gelo status` is of the whole sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.util.metrics import Gauge

from gelo.sweeps.state.beat import beaten, pause_of
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import read_attempts
from gelo.sweeps.state.record import Record

STATES = ("running", "done", "failed", "cut")
NAMES = {  # Ray puts `ray_` before them
    "gelo_trials": "Trials of this run that train now, have trained, failed for good, or were cut by the scheduler",
    "gelo_images_per_second": "Images a second that all running trials train on",
    "gelo_steps_per_second": "Optimiser steps a second of all running trials",
    "gelo_stage_done": "Of the stage that runs, how much is done, in its unit",
    "gelo_stage_total": "Of the stage that runs, how much there is to do, in its unit",
}
_TRAIN = "train"


class Gauges:
    """The gauges of one sweep."""

    def __init__(self, folder: SweepFolder, record: Record) -> None:
        keys = {"gelo_trials": ("sweep", "state"), "gelo_stage_done": ("sweep", "stage", "unit")}
        keys["gelo_stage_total"] = keys["gelo_stage_done"]
        self._gauges = {n: Gauge(n, description=said, tag_keys=keys.get(n, ("sweep",))) for n, said in NAMES.items()}
        self._folder, self._record = folder, record

    def set(self) -> None:
        """All of them, to what they are now. Raises OSError."""
        own = {"sweep": self._folder.name}
        rows, running = self._record.rows(), self._record.running()
        trained = next((row for row in rows if row.title == _TRAIN), None)
        counts = {"running": len(running)}
        if trained is not None:
            counts |= {"failed": trained.failed, "cut": trained.cut}
            counts["done"] = trained.done - trained.failed - trained.cut
        for state in STATES:
            self._gauges["gelo_trials"].set(counts.get(state, 0), {**own, "state": state})
        paces = [pace for key in running if (pace := self._pace(key)) is not None]
        self._gauges["gelo_images_per_second"].set(sum(images for images, _ in paces), own)
        self._gauges["gelo_steps_per_second"].set(sum(steps for _, steps in paces), own)
        for row in rows[-1:]:
            stage = {**own, "stage": row.title, "unit": row.unit}
            self._gauges["gelo_stage_done"].set(row.done, stage)
            self._gauges["gelo_stage_total"].set(row.total, stage)

    def _pace(self, key: str) -> tuple[float, float] | None:
        """(images, steps) a second of a trial that runs, from its journal."""
        attempts = read_attempts(self._folder.root / "trials" / key)
        last = attempts[-1] if attempts else None
        if last is None or last.how != "running" or last.images_per_second is None or last.seconds_a_step is None:
            return None
        return last.images_per_second, 1 / last.seconds_a_step


@contextmanager
def gauged(folder: SweepFolder, record: Record) -> Iterator[None]:
    """Keep the gauges at what the driver's record and the journals of the running trials say, while the block runs."""
    gauges = Gauges(folder, record)
    with beaten(gauges.set, pause_of(folder.root)):
        yield
