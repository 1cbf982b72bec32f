"""Images of a training step: where they come from, which ones they are, and this process's part of them, made ahead of the step.

The rows of a step are drawn in one thread, in the order of the steps; its images are read in others, several batches ahead; the thread that
trains does the rest on its device. All of it is a function of (seed, step): no number of threads or processes changes a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Full, Queue
from threading import Event, Thread
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.training.world import World

T = TypeVar("T")
P = TypeVar("P")
AHEAD = 4  # batches that wait or are being read, at the least
_SOON = 0.05  # seconds


class Source(Protocol):
    """Labelled images of one split, at random access. models/ sees this alone; tasks/training/source.py has it on prepared data sets."""

    name: str
    fingerprint: str
    labels: NDArray[np.integer]

    def take(self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice) -> NDArray[np.uint8]:
        """uint8 (n, S, S, 3) of rows[own]; augmented where `draws` are given, which are made for all rows: no pixel depends on `own`.
        Called from several threads at once."""

    def column(self, name: str) -> NDArray[np.object_]:
        """A column of the records (subject, group, ...): (N,)."""

    def prompts(self) -> Sequence[Sequence[str]]:
        """The texts of its classes in label order, K lists of T; [] where classes are numbers and have no names, as identities."""

    def classifier(self, base: Encoder) -> Tensor:
        """(d, K) zero-shot weights of its classes by the base's text tower, unit columns. Raises UserError where no prompt can be asked."""


@runtime_checkable
class Begins(Protocol):
    """A source that may leave a part of `take` to the device."""

    def begin(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice, device: torch.device
    ) -> Callable[[], Tensor]:
        """The host's part, in any thread; what it returns does the rest in the thread that trains: `take`, on the device, in its bits."""


class Order(Protocol):
    """Which rows a step sees: a pure function. `steps`: of one epoch."""

    steps: int

    def at(self, epoch: int, step: int) -> NDArray[np.integer]:
        """Rows of the whole batch, over all processes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """pixels float32 (n, 3, H, W), normalised; labels int64 (n,); rows: record numbers (n,).

    extra: what other streams gave for this step, by name.
    """

    source: Source
    pixels: Tensor
    labels: Tensor
    rows: NDArray[np.integer]
    extra: Mapping[str, Batch] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """The batches of a source. The draws of the augmentation are a function of (seed, epoch, step), like the rows."""

    source: Source
    order: Order
    seed: int
    transform: Transform
    augmented: bool = False

    def rows(self, step: int) -> NDArray[np.integer]:
        """Those of the whole batch. An order keeps what it has made of an epoch: to be asked from one thread."""
        return self.order.at(*divmod(step, self.order.steps))

    def begin(self, step: int, rows: NDArray[np.integer], world: World, parts: int = 1) -> Callable[[], list[Batch]]:
        """The host's part of `slices`, in any thread; what it returns does the rest in the thread that trains. Raises UserError, with the
        step, for an image that cannot be read, and ValueError where the batch does not divide by all parts."""
        epoch, within = divmod(step, self.order.steps)
        draws = np.random.default_rng([self.seed, epoch, within]) if self.augmented else None
        each, left = divmod(len(rows), world.size * parts)
        if left:
            raise ValueError(f"a batch of {len(rows)} does not divide into {world.size} x {parts}")
        first = world.rank * parts * each
        own = slice(first, first + parts * each)
        try:
            if isinstance(self.source, Begins):
                pixels = self.source.begin(rows, draws, own, world.device)
            else:
                pixels = partial(torch.from_numpy(self.source.take(rows, draws, own)).to, world.device)
        except UserError as error:
            where = (
                f"{error.subject}, read for step {step:,} (epoch {epoch + 1}, {within:,} of its {self.order.steps:,})"
            )
            raise UserError(where, error.faults) from None

        def finish() -> list[Batch]:
            images = self.transform.normalise(pixels()).split(each)
            labels = torch.from_numpy(np.asarray(self.source.labels[rows[own]], np.int64)).to(world.device).split(each)
            return [
                Batch(self.source, images[part], labels[part], rows[own][part * each : (part + 1) * each])
                for part in range(parts)
            ]

        return finish

    def slices(self, step: int, world: World, parts: int = 1) -> list[Batch]:
        """This rank's `parts` micro-batches of one step, on its device. Raises as `begin` does."""
        return self.begin(step, self.rows(step), world, parts)()


def fed(
    stream: Stream,
    beside: Mapping[str, Stream],
    world: World,
    parts: int,
    start: int,
    stop: int,
    workers: int | None = None,
) -> Iterator[list[Batch]]:
    """This rank's micro-batches of each step, those of the streams `beside` as their `extra`. workers: threads that read, as many as torch
    has where nothing is said."""
    streams = {"": stream, **beside}

    def rows(step: int) -> dict[str, NDArray[np.integer]]:
        return {name: each.rows(step) for name, each in streams.items()}

    def begin(step: int, drawn: dict[str, NDArray[np.integer]]) -> dict[str, Callable[[], list[Batch]]]:
        return {name: each.begin(step, drawn[name], world, parts) for name, each in streams.items()}

    for begun in ahead(rows, begin, start, stop, workers or torch.get_num_threads()):
        made = {name: finish() for name, finish in begun.items()}
        own = made.pop("")
        yield [replace(batch, extra={name: of[i] for name, of in made.items()}) for i, batch in enumerate(own)]


def ahead(
    draw: Callable[[int], P], make: Callable[[int, P], T], start: int, stop: int, workers: int, depth: int = AHEAD
) -> Iterator[T]:
    """make(step, draw(step)) for each step in order. `draw` runs in one thread, step after step; `make` in `workers` others, at most
    max(depth, workers + 1) batches ahead of the one that is taken. What either raises is raised here, in its turn. Nothing has to be
    restored: both are functions of the step."""
    waiting: Queue[Future[T]] = Queue(max(depth, workers + 1) - 1)  # one more is held by the thread that draws
    left = Event()

    def put(made: Future[T]) -> None:
        while not left.is_set():
            try:
                waiting.put(made, timeout=_SOON)
                return
            except Full:
                continue

    def work() -> None:
        for step in range(start, stop):
            try:
                put(pool.submit(make, step, draw(step)))
            except BaseException as error:
                failed: Future[T] = Future()
                failed.set_exception(error)
                put(failed)
                return
            if left.is_set():
                return

    with ThreadPoolExecutor(workers, "images of a step") as pool:
        thread = Thread(target=work, daemon=True, name="rows ahead")
        thread.start()
        try:
            for _ in range(start, stop):
                yield waiting.get().result()
        finally:
            left.set()
            thread.join()
            pool.shutdown(wait=True, cancel_futures=True)
