"""Jobs of seconds to minutes for whatever machines of the cluster have room, several at once: work without a checkpoint, of which each job
is either done or done again.

Decisions: processes that do one job after another, since a fresh one imports torch for seconds; as many as there is room for when they
start. They hold what they were granted only as long as there are jobs.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ray

from gelo.models.faults import cannot_write
from gelo.models.secrets import redacted
from gelo.models.words import span
from gelo.sweeps.engine.cluster import room_of
from gelo.sweeps.engine.failures import Loss, loss_of, raised_in
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.spec.resources import Resources

J = TypeVar("J")
R = TypeVar("R")
_LOOK = 5.0  # seconds


class Hand:
    """A process that does one job after another."""

    def here(self) -> str:
        """Id of its machine."""
        return str(ray.get_runtime_context().get_node_id())

    def do(self, work: Callable[[J], R], job: J) -> R:
        return work(job)


@dataclass(frozen=True)
class _Busy:
    """What is waited for. job: its number; None while the process starts. node: "" as long as it does."""

    hand: Any
    job: int | None = None
    node: str = ""


@dataclass
class _Tries:
    """How often each job was lost by what might be its own fault, and since when by what is not."""

    resources: Resources
    counted: Counter[int] = field(default_factory=Counter)
    since: dict[int, float] = field(default_factory=dict)

    def over(self, job: int, loss: Loss) -> bool:
        """Whether the job is given up after one more."""
        if loss.waited_for:
            return time.monotonic() - self.since.setdefault(job, time.monotonic()) > 3600 * self.resources.patience
        self.counted[job] += 1
        return loss.final or self.counted[job] > self.resources.retries


def errands(
    work: Callable[[J], R],
    jobs: Sequence[J],
    resources: Resources,
    stop: StopFlag,
    said: Callable[[J, str], object] = lambda job, line: None,
    most: int | None = None,
) -> Iterator[tuple[J, R | Loss]]:
    """What `work` returns of each job, in the order in which they end; a Loss of one that is given up.

    resources: of each process, as of a trial's rank; most: processes at once. What follows from a loss is what follows where a training is
    lost (failures.py), but that a job begins anew; said: told of each that does. Where no machine has room for `patience`, stop is set, and
    what is left is not done. Raises OSError where a disk is full or cannot be written to.
    """
    left, tries = deque(range(len(jobs))), _Tries(resources)
    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus_of_a_rank or None)(Hand)
    waits: dict[Any, _Busy] = {}

    def hire() -> None:
        hand = remote.remote()
        waits[hand.here.remote()] = _Busy(hand)

    for _ in range(min(len(jobs), max(1, room_of(resources)), most or len(jobs))):
        hire()
    idle = time.monotonic()
    try:
        while left or any(each.job is not None for each in waits.values()):
            done, _ = ray.wait(list(waits), num_returns=1, timeout=_LOOK)
            if not done:
                if any(each.job is not None for each in waits.values()):
                    idle = time.monotonic()
                elif (gone := time.monotonic() - idle) > 3600 * resources.patience:
                    stop.set(f"no machine had room for a job for {span(gone)} (resources.patience)")
                    return
                continue
            busy, idle = waits.pop(done[0]), time.monotonic()
            try:
                found = ray.get(done[0])
            except ray.exceptions.RayError as error:
                loss = _loss(error, busy.node)
                ray.kill(busy.hand)
                if (job := busy.job if busy.job is not None else left.popleft() if left else None) is None:
                    continue
                if tries.over(job, loss):
                    yield jobs[job], loss
                else:
                    said(jobs[job], f"{loss.kind}, {redacted(loss.why)}; it is begun again")
                    left.append(job)
                if left:
                    hire()
                continue
            if left:
                job = left.popleft()
                node = busy.node or found
                waits[busy.hand.do.remote(work, jobs[job])] = _Busy(busy.hand, job, node)
            else:
                ray.kill(busy.hand)
            if busy.job is not None:
                yield jobs[busy.job], found
    finally:
        for each in waits.values():
            ray.kill(each.hand)


def _loss(error: ray.exceptions.RayError, node: str) -> Loss:
    """Raises what ended the job where that keeps the others from being done too: a disk, and Ray's part of this machine."""
    if isinstance(error, ray.exceptions.RayTaskError):
        if isinstance(own := raised_in(error), OSError) and cannot_write(own):
            raise own from None
    elif isinstance(error, ray.exceptions.LocalRayletDiedError | ray.exceptions.RaySystemError):
        raise error
    elif isinstance(error, ray.exceptions.OutOfMemoryError):
        return Loss("out of memory", "Ray ended it, as its machine had no memory left", str(error))
    return loss_of(str(error), {node} if node else ())
