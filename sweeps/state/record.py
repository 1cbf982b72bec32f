"""What the driver of a sweep says of its runs while it runs: <sweep>/driver.json, for `gelo status`, and its log, for `gelo logs driver`.

Nothing that is measured depends on either.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.untrusted import read_model
from gelo.sweeps.state.beat import beaten, pause_of
from gelo.sweeps.state.logs import DRIVER, Log
from gelo.sweeps.terminal.progress import Display, Stage

FILE = "driver.json"
_MOST = 20  # runs that are kept, the newest


class StageRow(BaseModel):
    """One stage of a run, over all its waves. done, total, failed: in its unit, of what was missing when the run began; seconds: spent."""

    model_config = ConfigDict(extra="ignore")
    title: str
    unit: str
    total: int = 0
    done: int = 0
    failed: int = 0
    cut: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """Units a second; None before the first is done."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None


class DriverRun(BaseModel):
    """One run of a driver. started, seen, ended: seconds since 1970. how: it ended; `running` with an old `seen` was killed.

    stage: the one that runs, "" between two. running: keys of the trials that train now.
    """

    model_config = ConfigDict(extra="ignore")
    started: float
    seen: float
    ended: float | None = None
    how: Literal["running", "ended", "stopped", "failed"] = "running"
    host: str = ""
    pid: int = 0
    stage: str = ""
    running: list[str] = []
    stages: list[StageRow] = []

    def alive(self, now: float, every: float) -> bool:
        """Whether it may still run; see `Attempt.alive`."""
        return self.how == "running" and now - self.seen < 3 * every + 30


class DriverRuns(BaseModel):
    """driver.json."""

    model_config = ConfigDict(extra="ignore")
    runs: list[DriverRun] = Field(default=[])


class Record:
    """The run of this driver, as its display's stages tell of it."""

    def __init__(self, root: UPath) -> None:
        at = time.time()
        self.root = root
        self._before: list[DriverRun] | None = None  # as in a journal
        self._one = threading.Lock()  # as there
        self.run = DriverRun(started=at, seen=at, host=socket.gethostname(), pid=os.getpid())
        self._rows: dict[str, StageRow] = {}
        self._now: Stage | None = None

    def heard(self, stage: Stage) -> None:
        """At the start and at the end of a stage."""
        self._now = None if stage.over else stage
        if stage.over:
            self._rows[stage.title] = self._with(stage)

    def rows(self) -> list[StageRow]:
        """Every stage so far, the one that runs included."""
        now = self._now
        return list((self._rows | ({now.title: self._with(now)} if now is not None else {})).values())

    def running(self) -> tuple[str, ...]:
        """Keys of the trials that train now."""
        return self._now.running if self._now is not None else ()

    def write(self) -> None:
        """Raises OSError."""
        with self._one:
            if self._before is None:
                self._before = read_runs(self.root)[-_MOST + 1 :]
            run = self.run
            if run.ended is None:
                run.seen = time.time()
            run.stage, run.stages = (self._now.title if self._now is not None else ""), self.rows()
            run.running = list(self.running())
            publish_bytes(self.root / FILE, DriverRuns(runs=[*self._before, run]).model_dump_json().encode())

    def _with(self, stage: Stage) -> StageRow:
        row = self._rows.get(stage.title) or StageRow(title=stage.title, unit=stage.unit)
        added = {
            "total": row.total + stage.total,
            "done": row.done + stage.done,
            "failed": row.failed + stage.failed,
            "cut": row.cut + stage.cut,
            "seconds": row.seconds + time.monotonic() - stage.since,
        }
        return row.model_copy(update=added)


@contextmanager
def recorded(root: UPath, display: Display) -> Iterator[Record]:
    """The record and the log of the run that the block is; the block says how it ended, an exception says `failed`."""
    record = Record(root)
    with Log(root, DRIVER) as log, beaten(record.write, pause_of(root)):
        display.stages.append(record.heard)
        display.lines.append(log.line)
        try:
            yield record
            record.run.how = "ended" if record.run.how == "running" else record.run.how
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            record.run.how = "stopped" if interrupted else "failed"
            log.line("stopped" if interrupted else traceback.format_exc())
            raise
        finally:
            display.stages.remove(record.heard)
            display.lines.remove(log.line)
            record.run.ended = record.run.seen = time.time()


def read_runs(root: UPath) -> list[DriverRun]:
    """Of the sweep at `root`, oldest first; [] where there is no record, or a damaged one. Raises OSError where the store is away."""
    found = read_model(root / FILE, DriverRuns, missing_ok=True, lenient=True)
    return found.runs if found is not None else []
