"""`DecodedSplit`: random access to the decoded images of one split."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gelo.models.backbones.transforms import Transform
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import decode, works

if TYPE_CHECKING:
    pass


class DecodedSplit:
    """Random access to the decoded images of one split, for training: `take(indices)` -> uint8 (n, S, S, 3).

    Chunks are memory-mapped and at most 256 are open, so memory is bounded by the batch, not by the data set.
    """

    def __init__(self, dataset: Dataset, split: str, transform: Transform, cache: Path) -> None:
        self._works = works(dataset, split)
        self._first = np.array([work.chunk.first for work in self._works])
        self._root = cache / "decoded" / transform.fingerprint
        self.size = transform.size
        for work in self._works:
            if not work.decoded(self._root):
                decode(work, transform, cache)
        self._open = lru_cache(maxsize=256)(
            lambda index: np.load(self._works[index].place(self._root, ""), mmap_mode="r")
        )

    def take(self, indices: np.ndarray) -> np.ndarray:
        chunk_of = np.searchsorted(self._first, indices, side="right") - 1
        out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for row, (index, chunk) in enumerate(zip(indices, chunk_of, strict=True)):
            out[row] = self._open(int(chunk))[index - self._first[chunk]]
        return out
