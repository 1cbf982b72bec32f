"""Intervals over test images and seeds: images are drawn again, the same ones for everything that was measured on them; seeds vary."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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


class Noise(NamedTuple):
    """Of a mean over seeds. images: its standard error over test images. own: how much of that error squared is each seed's own, so that
    the seeds' spread shows it too. spread: the variance of the mean that shows between seeds, known by `freedom` degrees; 0 for one seed.
    """

    images: float
    own: float = 0.0
    spread: float = 0.0
    freedom: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float], images: float, own: float = 0.0) -> Noise:
        """That of the mean of the seeds' values."""
        seeds = len(values)
        return cls(images, own, float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0, seeds - 1)

    def reach(self, tail: float) -> float:
        """How far out an end is that leaves out `tail` on its side.

        What seeds share of the images by the normal distribution, and what they do not share by Student's t, each as far out as it is alone
        (MOVER, Zou and Donner 2008); never less than all of the images alone. Of two or three seeds a percentile bootstrap is far too
        short, and Satterthwaite's degrees of freedom for the sum too: docs/protocols.md has how often each holds the truth.
        """
        normal = abs(float(ndtri(tail)))
        if not self.spread > 0:
            return normal * self.images
        shared = normal * math.sqrt(max(0.0, self.images**2 - self.own))
        seeds = abs(float(stdtrit(self.freedom, tail))) * math.sqrt(self.spread)  # its square may be no number any more
        return max(normal * self.images, math.hypot(shared, seeds))


@dataclass(frozen=True)
class Measure:
    """One number of one approach. values: by seed. draws: by seed (DRAWS,) on each resample of the test images, NaN where it is not known.
    least: the smallest standard error that it may have: where no image was told otherwise all resamples agree, and other images might not.
    """

    values: Mapping[int, float]
    draws: Mapping[int, Vector]
    least: float = 0.0

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.values.values())))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """See `interval`."""
        return interval(list(self.values.values()), *error_of(self.draws, self.least), level=level)


def error_of(draws: Mapping[int, Vector], least: float) -> tuple[float, float]:
    """(images, own) of a `Noise`, of the mean over seeds; NaN where it is not known which images were right. draws: by seed (DRAWS,), all
    on the same resamples. What two seeds differ by on one is their own; what is left is shared, and does not shrink with their number.
    """
    each = np.stack(list(draws.values()))
    mean, seeds = each.mean(axis=0), len(each)
    own = float((each - mean).var(axis=1, ddof=1).sum()) / (seeds * (seeds - 1)) if seeds > 1 else 0.0
    return float(np.maximum(mean.std(ddof=1), least)), own


def interval(values: Sequence[float], error: float, own: float = 0.0, *, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the mean of the seeds' values, whose images' standard error is `error`, `own` of it squared each seed's own: see
    `Noise`. Where that is not known, 0 errs on the wide side. One seed: the images alone."""
    return spanned(float(np.mean(values)), Noise.of(values, error, own), 1 - level)


def spanned(middle: float, noise: Noise, outside: float) -> tuple[float, float]:
    """The ends of an interval that leaves out `outside`, half of it on each side; NaN where the images' error is."""
    half = noise.reach(outside / 2)
    return middle - half, middle + half


def probability(middle: float, noise: Noise) -> float:
    """Two-sided p of a difference `middle` whose true value is 0: the `outside` at which an end of `spanned` is 0. Without noise of images
    the t test's, without spread that of the normal distribution. UndefinedMetric where neither is above 0, or one is not known."""
    if not (noise.images > 0 or noise.spread > 0) or math.isnan(noise.images) or math.isnan(noise.spread):
        raise UndefinedMetric("the noise of the difference is not known")

    def short(digits: float) -> float:
        return noise.reach(10.0**digits / 2) - abs(middle)

    if short(0.0) >= 0:
        return 1.0
    return float(10.0 ** brentq(short, _SMALLEST, 0.0)) if short(_SMALLEST) > 0 else 10.0**_SMALLEST


def within(middle: float, margin: float, noise: Noise, among: int = 1) -> float:
    """p of "the true difference is `margin` or more away from 0": the larger of two one-sided ones (Schuirmann 1987), by `probability`.
    among: of how many differences it is the smallest, so that it may be below the margin for having been looked for (Bonferroni)."""
    below, above = (_one_sided(end, noise) for end in (middle + margin, margin - middle))
    return max(below, min(1.0, among * above))


def _one_sided(end: float, noise: Noise) -> float:
    """p of "what is measured as `end` is below 0"."""
    p = probability(end, noise) / 2
    return p if end > 0 else 1 - p


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
