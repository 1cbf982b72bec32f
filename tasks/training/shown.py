"""Some images of a split, held in memory as an encoder is shown them: what is looked at again and again while a trial trains.

Which ones follows from names and numbers alone, so all trials of a sweep look at the same images and the points of a curve are paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.tasks.data.manifest import CHUNK, Dataset
from gelo.tasks.data.pixels import UNREADABLE, decoding, image_fault, open_image


@dataclass(frozen=True)
class Shown:
    """pixels: uint8 (n, S, S, 3) behind a transform; labels: (n,). fingerprint: of the data set."""

    name: str
    split: str
    fingerprint: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @property
    def place(self) -> str:
        """`shapes/val`."""
        return f"{self.name}/{self.split}"


def shown(dataset: Dataset, split: str, rows: NDArray[np.int64], transform: Transform) -> Shown:
    """These rows, in their order. Raises UserError that names every image that cannot be read."""
    pixels = np.empty((len(rows), transform.size, transform.size, 3), np.uint8)
    faults = []
    records = dataset.records(split, rows.tolist(), ["id", "image", "label"])
    for place, record in enumerate(records):
        try:
            with decoding():
                pixels[place] = transform.to_uint8(open_image(record["image"], dataset.card.reading))
        except UNREADABLE as error:
            where = f"{dataset.name}/{split} id {record['id']!r}"
            faults.append(image_fault(where, error, "prepare the data set again"))
    if faults:
        raise UserError(f"data set {dataset.name}", faults)
    labels = np.array([record["label"] for record in records], np.int64)
    return Shown(dataset.name, split, dataset.fingerprint, pixels, labels)


def order(dataset: Dataset, split: str) -> np.random.Generator:
    """What draws the rows of a split: fewer rows are the beginning of more."""
    return np.random.default_rng(int(digest([dataset.name, split]), 16))


def features(encoder: Encoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """(n, d), a chunk at a time: the number of images does not bound the memory. None where the tower gives nothing to go by: values that
    are not finite, or zero."""
    starts = range(0, len(pixels), CHUNK)
    found = [encoder.encode_images(pixels[start : start + CHUNK]) for start in starts]
    made = np.concatenate([np.zeros((0, encoder.dim), np.float32), *found])
    return made if np.isfinite(made).all() and made.any(axis=1).all() else None


def digest(parts: Sequence[str]) -> str:
    """16 hex digits."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
