"""Intervals over test images and seeds: images are drawn again, the same ones for everything that was measured on them; seeds vary."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from gelo.analysis.curves import Curve
from gelo.tasks.metrics.scores import UndefinedMetric

Vector = npt.NDArray[np.float64]
DRAWS, SEED = 1000, 0
_BLOCK = 2**24  # counts held at once
_SMALLEST = -300.0  # of a p value, as a power of ten


@dataclass(frozen=True)
class Measure:
    """One number of one approach. values: by seed. draws: (DRAWS,) the mean over seeds on each resample of the test images. least: the
    smallest standard error that it may have: where no image was told otherwise all resamples agree, and other images might not.
    """

    values: Mapping[int, float]
    draws: Vector
    least: float = 0.0

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.values.values())))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """See `interval`."""
        return interval(list(self.values.values()), error_of(self.draws, self.least), level)


def error_of(draws: Vector, least: float) -> float:
    """Standard error of the images; NaN where it is not known which were right."""
    return float(np.maximum(draws.std(ddof=1), least))


def interval(values: Sequence[float], error: float, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the mean of the seeds' values, whose images' standard error is `error`: see `spanned`. One seed: the images alone.

    Seeds share their test images, so that error does not shrink with their number; the spread between n seeds is known by n - 1 degrees.
    """
    seeds = len(values)
    spread = float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0
    return spanned(float(np.mean(values)), error, spread, seeds - 1, 1 - level)


def spanned(middle: float, error: float, spread: float, freedom: float, outside: float) -> tuple[float, float]:
    """middle -+ sqrt((z * error)**2 + t**2 * spread), z and t the two-sided quantiles of `outside`; spread: a variance known by `freedom`
    degrees.

    Each part as far out as it is alone (MOVER, Zou and Donner 2008). Of two or three seeds a percentile bootstrap is far too short, and
    Satterthwaite's degrees of freedom for the sum too: docs/protocols.md has how often each holds the truth.
    """
    half = (float(ndtri(1 - outside / 2)) * error) ** 2
    if spread > 0:
        half += float(stdtrit(freedom, 1 - outside / 2)) ** 2 * spread
    return middle - half**0.5, middle + half**0.5


def probability(middle: float, error: float, spread: float, freedom: float) -> float:
    """Two-sided p of a difference `middle` whose true value is 0: the `outside` at which an end of `spanned` is 0. With error = 0 the t
    test's, with spread = 0 that of the normal distribution. UndefinedMetric where neither is above 0, or one is not known."""
    if not (error > 0 or spread > 0) or math.isnan(error) or math.isnan(spread):
        raise UndefinedMetric("the noise of the difference is not known")

    def reach(digits: float) -> float:
        tail = 10.0**digits / 2
        seeds = float(stdtrit(freedom, tail)) ** 2 * spread if spread > 0 else 0.0
        return math.sqrt((float(ndtri(tail)) * error) ** 2 + seeds) - abs(middle)

    if reach(0.0) >= 0:
        return 1.0
    return float(10.0 ** brentq(reach, _SMALLEST, 0.0)) if reach(_SMALLEST) > 0 else 10.0**_SMALLEST


def within(middle: float, margin: float, error: float, spread: float, freedom: float) -> float:
    """p of "the true difference is `margin` or more away from 0": the larger of two one-sided ones (Schuirmann 1987), by `probability`."""
    sides = [probability(end, error, spread, freedom) / 2 for end in (middle + margin, margin - middle)]
    return max(p if end > 0 else 1 - p for p, end in zip(sides, (middle + margin, margin - middle), strict=True))


def resampled(curve: Curve) -> Vector | None:
    """(DRAWS, points): the mean over sets of the accuracy on test images drawn again with replacement within each set; None where it is not
    known which images were right. Curves over the same sets at the same sizes are given the same draws."""
    if curve.correct is None or curve.of is None:
        return None
    parts = [
        _counts(name, size) @ curve.correct[:, curve.of == place].T.astype(np.float32) / size
        for place, (name, size) in enumerate(curve.sets.items())
    ]
    means: Vector = np.mean(parts, axis=0, dtype=np.float64)
    return means


@lru_cache(maxsize=64)
def _counts(name: str, size: int) -> npt.NDArray[np.float32]:
    """(DRAWS, size): how often each image of a set is drawn."""
    return np.concatenate(list(drawn(name, size)))


def drawn(name: str, size: int) -> Iterator[npt.NDArray[np.float32]]:
    """The rows of `_counts` in blocks that stay small for a set of any size."""
    generator = np.random.default_rng([SEED, zlib.crc32(name.encode()), size])
    block = max(1, _BLOCK // size)
    for start in range(0, DRAWS, block):
        counts = generator.multinomial(size, np.full(size, 1 / size), min(block, DRAWS - start))
        yield counts.astype(np.float32)


@lru_cache(maxsize=64)
def normal(name: str) -> Vector:
    """(DRAWS,) standard normal numbers: the same for one name, independent of those of another and of what images are drawn."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())]).standard_normal(DRAWS)
