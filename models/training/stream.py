"""Images of a training step: where they come from, which ones they are, and this process's part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import Queue
from threading import Thread
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.training.world import World

T = TypeVar("T")


class Source(Protocol):
    """Labelled images of one split, at random access. models/ sees this alone; tasks/training/source.py has it on prepared data sets."""

    name: str
    fingerprint: str
    labels: NDArray[np.integer]

    def take(self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice) -> NDArray[np.uint8]:
        """uint8 (n, S, S, 3) of rows[own]; augmented where `draws` are given, which are made for all rows: no pixel depends on `own`."""

    def column(self, name: str) -> NDArray[np.object_]:
        """A column of the records (subject, group, ...): (N,)."""

    def classifier(self, base: Encoder) -> Tensor:
        """(d, K) zero-shot weights of its classes by the base's text tower, unit columns. Raises UserError where no prompt can be asked."""


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

    def slices(self, step: int, world: World, parts: int = 1) -> list[Batch]:
        """This rank's `parts` micro-batches of one step, on its device. Raises ValueError where the batch does not divide by all parts."""
        epoch, within = divmod(step, self.order.steps)
        rows = self.order.at(epoch, within)
        draws = np.random.default_rng([self.seed, epoch, within]) if self.augmented else None
        each, left = divmod(len(rows), world.size * parts)
        if left:
            raise ValueError(f"a batch of {len(rows)} does not divide into {world.size} x {parts}")
        first = world.rank * parts * each
        own = slice(first, first + parts * each)
        pixels = torch.from_numpy(self.source.take(rows, draws, own)).to(world.device)
        images = self.transform.normalise(pixels).split(each)
        labels = torch.from_numpy(np.asarray(self.source.labels[rows[own]], np.int64)).to(world.device).split(each)
        return [
            Batch(self.source, images[part], labels[part], rows[own][part * each : (part + 1) * each])
            for part in range(parts)
        ]


def prefetched(make: Callable[[int], T], start: int, stop: int, depth: int = 2) -> Iterator[T]:
    """make(start), ..., make(stop - 1) in order, made ahead by one thread, `depth` of them waiting. Nothing has to be restored: `make` is a
    function of its step. What it raises is raised here, in its turn."""
    queue: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
    closed = False

    def work() -> None:
        for step in range(start, stop):
            try:
                queue.put((make(step), None))
            except BaseException as error:
                queue.put((None, error))
                return
            if closed:
                return

    thread = Thread(target=work, daemon=True, name="batches ahead")
    thread.start()
    try:
        for _ in range(start, stop):
            value, error = queue.get()
            if error is not None:
                raise error
            yield value  # type: ignore[misc]
    finally:
        closed = True
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(0.01)
