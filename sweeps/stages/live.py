"""Numbers of trainings to MLflow while they come: losses and forgetting curves by step, of the trials that run.

They are what the trial's files will say, so the log at the end of a wave has nothing of them left to add; what a killed training does again
is the very same. Times (images a second) are not, and come with the files. A store that is away costs the training nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gelo.models.faults import UserError
from gelo.sweeps.stages.log import ended
from gelo.sweeps.tracking.logged import Metric, checked
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.summary import curve_of, losses_of
from gelo.tasks.ledger.trial import Trial

EVERY = 30.0  # seconds between two times that numbers are sent, at first
SHARE = 0.02  # of the time that the training took so far: a run of a day is not sent a thousand times


class Live:
    """What the trials of one stage have said. hear: called by the driver for each row; the sending is a thread's, while `sending`."""

    def __init__(
        self, outbox: Outbox, trials: Mapping[str, Trial], labels: Mapping[str, str], tags: Mapping[str, str],
        every: float = EVERY,
    ) -> None:  # fmt: skip
        self.outbox, self.trials, self.labels, self.tags, self.every = outbox, trials, labels, tags, every
        self._heard: dict[str, dict[tuple[str, int | None], Metric]] = {}
        self._new: set[str] = set()
        self._lock = threading.Lock()

    def hear(self, key: str, row: Mapping[str, Any]) -> None:
        """A row of a trial's history, with the looks that it has seen since its start."""
        if key not in self.trials:  # what another trial is made of, which has no run of its own
            return
        metrics = [*losses_of(row), *curve_of(row.get("points", ()))]
        with self._lock:
            heard = self._heard.setdefault(key, {})
            fresh = [metric for metric in metrics if (metric.name, metric.step) not in heard]
            heard |= {(metric.name, metric.step): metric for metric in fresh}
            self._new |= {key} if fresh else set()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send now and then until the block ends, and what is left then is the wave's matter."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), daemon=True, name="live")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _run(self, over: threading.Event) -> None:
        began = time.monotonic()
        while not over.wait(max(self.every, SHARE * (time.monotonic() - began))):
            try:
                self.send()
            except (
                UserError,
                OSError,
            ):  # storage is away, or another driver leads: whoever trains meets it too, and says so
                return

    def send(self) -> None:
        """Send what is new. Raises what the outbox raises."""
        with self._lock:
            new = {key: list(self._heard[key].values()) for key in sorted(self._new)}
            self._new.clear()
        for key, metrics in new.items():
            tags = {**self.tags, "gelo.state": "training"}
            asked = Asked(key, self.labels[key], self.trials[key].flat(), "RUNNING", tags, wanted=checked(metrics))
            self.outbox.put(asked)
        if new:
            self.outbox.send()

    def stopped(self) -> None:
        """Say of those that were heard of that they train no more, until they do."""
        for key in self._heard:
            self.outbox.put(ended(self.trials[key], self.labels[key], self.tags, "KILLED", "stopped"))
        if self._heard:
            self.outbox.send()
