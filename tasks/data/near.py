"""Images that look alike: a perceptual hash of each, and which of two lists lie few bits apart.

The hash is pHash as `imagehash.phash` has it (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010; code
JohannesBuchner/imagehash): grey, 32 x 32 by Lanczos, cosine transform, of its 8 x 8 lowest coefficients a bit each, 1 above their median.
It knows an image again after another compression, size or brightness, not after mirroring, turning or a close crop.

Decisions: at most 4 of 64 bits apart, since of random hashes 50,000 x 1,300,000 pairs then hold 0.002 by chance (at 10 bits, 650). An
image of which more than half of the coefficients are no larger than the rounding of its 8 bits makes is too plain to compare.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from gelo.tasks.data.manifest import Dataset

DISTANCE = 4  # bits of 64 that two images that look alike may differ by
_SIDE, _LOW = 32, 8
_ROUNDING = 64.0  # of a coefficient: 3.5 standard deviations of what rounding 1,024 pixels to whole numbers makes
_BANDS = np.linspace(0, 64, DISTANCE + 2).astype(
    int
)  # hashes that differ in 4 bits are equal in at least one of 5 bands
_AT_ONCE = 1 << 22  # candidate pairs compared together


def look_of(image: Image.Image) -> int | None:
    """The hash of one image; None for one that is too plain."""
    from scipy.fft import dctn

    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, float))[:_LOW, :_LOW].round(6)
    if np.count_nonzero(np.abs(low) > _ROUNDING) < low.size / 2:
        return None
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def looks_of(dataset: Dataset, split: str) -> list[int | None]:
    """`look_of` every image of a split, in record order; None also for one that cannot be decoded."""
    import os

    from gelo.tasks.data.manifest import read_chunk
    from gelo.tasks.data.pixels import UnreadableError, open_image
    from gelo.tasks.data.stream import spread

    def look(data: bytes) -> int | None:
        try:
            return look_of(open_image(data, dataset.card.reading))
        except UnreadableError:
            return None

    found = spread(
        dataset.chunks(split), lambda chunk: [look(data) for data in read_chunk(chunk)[1]], os.cpu_count() or 1
    )
    return [each for looks in found for each in looks]


def nearest(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each hash of `first` (N,) a place in `second` (M,) whose hash is at most `DISTANCE` bits apart; -1 where there is none.

    Only hashes that agree in one of the bands are compared, so memory is bounded and time far below N x M.
    """
    found = np.full(len(first), -1, np.int64)
    for low, high in pairwise(_BANDS.tolist()):
        mask = np.uint64((1 << (high - low)) - 1)
        there = (second >> np.uint64(low)) & mask
        order = np.argsort(there, kind="stable")
        there = there[order]
        open_ = np.flatnonzero(found < 0)
        keys = (first[open_] >> np.uint64(low)) & mask
        start, end = np.searchsorted(there, keys, "left"), np.searchsorted(there, keys, "right")
        for rows in _batches(end - start):
            sizes = (end - start)[rows]
            asked = np.repeat(open_[rows], sizes)
            within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            candidates = order[np.repeat(start[rows], sizes) + within]
            close = np.bitwise_count(first[asked] ^ second[candidates]) <= DISTANCE
            found[asked[close]] = candidates[close]
    return found


def _batches(sizes: NDArray[np.int64]) -> list[slice]:
    """Runs of rows with about `_AT_ONCE` candidates each."""
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _AT_ONCE, prepend=0))
    edges = [0, *cuts.tolist(), len(sizes)]
    return [slice(first, last) for first, last in pairwise(edges) if first < last]
