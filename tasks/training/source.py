"""`SplitSource`: a split of a prepared data set as a training run reads it: from its pack, decoded when a step wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.tasks.data.asking import named_prompts
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.pack import packed
from gelo.tasks.data.pixels import UNREADABLE, decoding, image_fault, open_image
from gelo.tasks.data.tokens import ask, asked
from gelo.tasks.protocols import zeroshot
from gelo.tasks.training.augment import augment, draw
from gelo.tasks.training.base import Augment
from gelo.tasks.training.batched import augmented
from gelo.tasks.training.device import same_bits
from gelo.tasks.training.resize import resizable, resized

T = TypeVar("T")
_KEPT = 64_000_000  # bytes of decoded images that are kept: small sets are decoded once a trial, not once an epoch


class SplitSource:
    """See `gelo.models.training.stream.Source`. Images come from the split's pack, which is made where it is not there yet."""

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        transform: Transform,
        cache: Path,
        size: int | None = None,
        kind: Augment = "none",
    ) -> None:
        """transform: of each image; size: of what a step sees, cropped from that; kind: of augmentation. Raises UserError for a split that
        is not there and for a disk without room for the pack."""
        self._pack = packed(dataset, split, cache)
        self.name, self.fingerprint = f"{dataset.name}/{split}", dataset.fingerprint
        self.labels = dataset.labels(split)
        self._dataset, self._split, self._kind, self._transform = dataset, split, kind, transform
        self._size = transform.size if size is None else size
        self._cache = cache
        count, side = len(self.labels), transform.size
        self._kept = np.empty((count, side, side, 3), np.uint8) if 3 * count * side**2 <= _KEPT else None
        self._there = np.zeros(count, bool)

    def take(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None = None, own: slice = slice(None)
    ) -> NDArray[np.uint8]:
        """See Source. Raises UserError that names every image of rows[own] that cannot be read."""
        pixels = self._decoded(rows[own])
        return pixels if draws is None else augment(self._kind, pixels, self._size, draws, len(rows), own)

    def begin(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice, device: torch.device
    ) -> Callable[[], torch.Tensor]:
        """See Begins. A GPU that has Pillow's bits resizes and augments; elsewhere the host does all of it."""
        if device.type == "cpu" or not same_bits(device):
            return partial(torch.from_numpy(self.take(rows, draws, own)).to, device)
        return self.deferred(rows, draws, own, device)

    def deferred(
        self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice, device: torch.device
    ) -> Callable[[], torch.Tensor]:
        """`begin` that leaves to the device all but decoding, and resizing where images differ in size, shrink much, or are not RGB."""
        images, shown = list(self._images(rows[own], lambda image: image)), self._transform
        drawn = None if draws is None else draw(self._kind, shown.size, self._size, draws, len(rows)).of(own)
        stored = len({(image.size, image.mode) for image in images}) == 1 and images[0].mode == "RGB"
        as_stored = stored and resizable(shown, images[0].height, images[0].width)
        pixels = np.stack([np.asarray(image) if as_stored else shown.to_uint8(image) for image in images])
        held = torch.from_numpy(pixels)
        if device.type == "cuda":
            held = held.pin_memory()

        def finish() -> torch.Tensor:
            there = held.to(device, non_blocking=True)
            there = resized(shown, there) if as_stored else there.permute(0, 3, 1, 2)
            return (there if drawn is None else augmented(there, drawn)).permute(0, 2, 3, 1)

        return finish

    def _decoded(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """uint8 (n, S, S, 3), the transform's. What threads do twice here gives the same twice."""
        if self._kept is None:
            return self._fresh(rows)
        missing = rows[~self._there[rows]]
        if len(missing):
            self._kept[missing] = self._fresh(missing)
            self._there[missing] = True
        return self._kept[rows]

    def _fresh(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        pixels = np.empty((len(rows), self._transform.size, self._transform.size, 3), np.uint8)
        for place, image in enumerate(self._images(rows, self._transform.to_uint8)):
            pixels[place] = image
        return pixels

    def _images(self, rows: NDArray[np.integer], shown: Callable[[Image.Image], T]) -> Iterator[T]:
        """What `shown` makes of each image; after the last, UserError with those that cannot be read."""
        faults = []
        for row in rows.tolist():
            data = self._pack.read(row)
            try:
                with decoding():
                    image = shown(open_image(data, self._dataset.card.reading))
            except UNREADABLE as error:
                identity = self._dataset.records(self._split, [row], ["id"])[0]["id"]
                faults.append(image_fault(f"{self.name} id {identity!r}", error, "prepare the data set again"))
                continue
            yield image
        if faults:
            raise UserError(f"data set {self._dataset.name}", faults)

    def column(self, name: str) -> NDArray[np.object_]:
        """See Source."""
        return self._dataset.column(self._split, name)

    def prompts(self) -> list[list[str]]:
        """See Source."""
        found = named_prompts(self._dataset)
        return [] if found is None else found.texts()

    def classifier(self, base: Encoder) -> torch.Tensor:
        """See Source."""
        ask(base, self._dataset, self._cache)
        texts, why_not = asked(base.text_fingerprint, self._dataset, self._cache)
        if texts is None:
            raise UserError(f"data set {self._dataset.name}", Fault(self.name, why_not, "prompts that can be asked"))
        return torch.from_numpy(zeroshot.classifier(texts)).float().to(base.device)
