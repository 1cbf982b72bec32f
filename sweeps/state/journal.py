"""A trial's journal: every start of its training, from which step to which, where and on what. `gelo status` and the gauges read it.

<trial>/attempts.json, written whole by rank 0 every few seconds. Nothing that is measured depends on it: one that is away or damaged costs
what `status` says of kills and hours, no more.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.untrusted import read_model
from gelo.sweeps.state.beat import beaten, pause_of

FILE = "attempts.json"
_MOST = 200  # attempts that are kept, the newest

How = Literal["running", "trained", "stopped", "failed", "cut"]


class Attempt(BaseModel):
    """One start of a trial's training.

    started, began, seen, ended: seconds since 1970, of the start, of its first step's beginning, of the last write, of the end (None: it
    runs, or was killed). from_step, to_step: steps done before it and when last seen; steps: of the whole training. batch: images a step.
    held, stepping: seconds since the start, and since its first step's beginning, by a clock that nobody sets; None in older ones. ranks;
    cpus, gpus: of all of them. memory, card: bytes of its card that rank 0 held at the most, and that the card has; None on CPUs.
    how: it ended; `running` with an old `seen` was killed.
    """

    model_config = ConfigDict(extra="ignore")
    started: float
    seen: float
    began: float | None = None
    ended: float | None = None
    held: float | None = Field(None, ge=0)
    stepping: float | None = Field(None, ge=0)
    from_step: int = Field(0, ge=0)
    to_step: int = Field(0, ge=0)
    steps: int = Field(0, ge=0)
    batch: int = Field(0, ge=0)
    host: str = ""
    ranks: int = Field(1, ge=1)
    cpus: float = Field(1, ge=0)
    gpus: float = Field(0, ge=0)
    memory: int | None = Field(None, ge=0)
    card: int | None = Field(None, gt=0)
    how: How = "running"

    @property
    def seconds(self) -> float:
        """How long it held its CPUs and GPUs, as far as was seen."""
        return max(0.0, (self.ended or self.seen) - self.started) if self.held is None else self.held

    @property
    def seconds_a_step(self) -> float | None:
        """On average, looks and checkpoints included; None before the first step is done."""
        done = self.to_step - self.from_step
        if self.began is None or done <= 0:
            return None
        return max(self.seen - self.began if self.stepping is None else self.stepping, 1e-9) / done

    @property
    def images_per_second(self) -> float | None:
        """Of all ranks; None before the first step is done."""
        pace = self.seconds_a_step
        return None if pace is None else self.batch / pace

    def alive(self, now: float, every: float) -> bool:
        """Whether it may still run: it has not said that it ended, and wrote within three pauses and a half minute."""
        return self.how == "running" and now - self.seen < 3 * every + 30


class Attempts(BaseModel):
    """attempts.json."""

    model_config = ConfigDict(extra="ignore")
    attempts: list[Attempt] = []


class Journal:
    """What rank 0 notes of the attempt that runs."""

    def __init__(self, root: UPath, now: Attempt, memory: Callable[[], tuple[int | None, int | None]]) -> None:
        self.root, self.now, self.memory = root, now, memory
        self._started, self._began = time.monotonic(), 0.0
        self._one = threading.Lock()  # who writes last, writes the newest
        self._before: list[Attempt] | None = (
            None  # read with the first write: a store that is away must not lose them, nor be waited for
        )

    def step(self, step: int, steps: int, batch: int) -> None:
        """After a step, or where nothing is left to do: `step` of `steps` are done, each of `batch` images."""
        if self.now.began is None:
            self.now.began, self.now.from_step, self._began = time.time(), step, time.monotonic()
        self.now.to_step, self.now.steps, self.now.batch = step, steps, batch

    def tell_time(self) -> None:
        """That this is when it was last seen."""
        now = time.monotonic()
        self.now.seen, self.now.held = time.time(), now - self._started
        self.now.stepping = now - self._began if self.now.began is not None else None

    def write(self) -> None:
        """Raises OSError."""
        with self._one:
            if self._before is None:
                self._before = read_attempts(self.root)[-_MOST + 1 :]
            if self.now.ended is None:
                self.tell_time()
            self.now.memory, self.now.card = self.memory()
            publish_bytes(self.root / FILE, Attempts(attempts=[*self._before, self.now]).model_dump_json().encode())


@contextmanager
def journal(
    root: UPath,
    *,
    ranks: int,
    cpus: float,
    gpus: float,
    memory: Callable[[], tuple[int | None, int | None]] = lambda: (None, None),
) -> Iterator[Journal]:
    """The journal of an attempt that begins here, written while the block runs; how it ended is the block's to say.

    root: of the trial; cpus, gpus: of all ranks. memory: asked at each write, in the thread that writes: `models.training.peak.card`. A
    block of which nothing is said has `failed`.
    """
    at = time.time()
    now = Attempt(started=at, seen=at, host=socket.gethostname(), ranks=ranks, cpus=cpus, gpus=gpus)
    own = Journal(root, now, memory)
    with beaten(own.write, pause_of(root)):
        try:
            yield own
        finally:
            own.now.how = "failed" if own.now.how == "running" else own.now.how
            own.tell_time()
            own.now.ended = own.now.seen


def read_attempts(root: UPath) -> list[Attempt]:
    """Of the trial at `root`, oldest first; [] where there is none, or a damaged one. Raises OSError where the store is away."""
    found = read_model(root / FILE, Attempts, missing_ok=True, lenient=True)
    return found.attempts if found is not None else []


def repeated(attempts: Sequence[Attempt]) -> list[tuple[int, float]]:
    """(steps that were done again later, seconds that they had taken) of each attempt: what came after the checkpoint from which a later
    one went on. The last attempt has repeated nothing yet."""
    found = []
    for place, each in enumerate(attempts):
        later = [other.from_step for other in attempts[place + 1 :] if other.began is not None]
        lost = max(0, each.to_step - max(min(later), each.from_step)) if later else 0
        done = each.to_step - each.from_step
        took = (each.seconds_a_step or 0.0) * lost
        found.append((lost, min(took, each.seconds) if done else 0.0))
    return found
