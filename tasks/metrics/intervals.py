"""95 % intervals: Wilson for one rate, percentile bootstrap for the rest, resampled by group (subject, video, pair)
with a fixed seed.

Draws are vectorised in blocks, so memory is bounded whatever the number of scores; `benchmarks/bootstrap.py` measures them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from tasks.metrics.scores import UndefinedMetric

REPLICATES = 200
_BLOCK = 1 << 21  # weights held at a time: 16 MiB
ENOUGH = 30  # errors behind a rate: true to within 30 % with 90 % confidence (Doddington et al. 2000)


class Interval(NamedTuple):
    """A 95 % interval unless a level was given."""

    low: float
    high: float


def wilson(successes: int, total: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a rate, in [0, 1] (Wilson 1927; the roots of (p - rate)^2 = z^2 p (1 - p) / n).

    Raises UndefinedMetric for total = 0 and ValueError for successes outside 0..total.
    """
    if total == 0:
        raise UndefinedMetric("interval of a rate: 0 trials, at least 1 needed")
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} successes of {total}: 0 to {total} needed")
    z = float(ndtri((1 + level) / 2))
    rate = successes / total
    centre = rate + z * z / (2 * total)
    half = z * float(np.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)))
    scale = 1 + z * z / total
    # The exact bound at 0 and at all successes is 0 and 1; rounding would miss it by an ulp.
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == total else min(1.0, (centre + half) / scale)
    return Interval(low, high)


def percentile(replicates: ArrayLike, level: float = 0.95) -> Interval:
    """Percentile interval of bootstrap values (B,), linear between order statistics. UndefinedMetric for B = 0."""
    values = np.asarray(replicates, dtype=np.float64)
    if values.size == 0:
        raise UndefinedMetric("percentile interval: no replicates, at least 1 needed")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


class Resampler:
    """Draws bootstrap weights: how often each of N units is in a replicate when its *group* is drawn with replacement.

    groups: (N,) labels of any kind, one per unit (subject, video, ...). seed: integers; equal seeds and groups give
    equal draws, however the replicates are cut into blocks, so that two curves can share the draw of their common
    class.
    """

    def __init__(self, groups: ArrayLike, seed: int | Sequence[int]) -> None:
        names, self._group = np.unique(np.asarray(groups), return_inverse=True)
        if names.size == 0:
            raise UndefinedMetric("bootstrap: nothing to draw from, at least 1 group needed")
        self._groups = names.size
        self._rng = np.random.default_rng(seed)

    def draw(self, replicates: int) -> NDArray[np.int64]:
        """The next `replicates` weights, (B, N); each row counts as many groups as there are."""
        drawn = self._rng.integers(0, self._groups, size=(replicates, self._groups))
        drawn += np.arange(replicates)[:, None] * self._groups
        counts = np.bincount(drawn.ravel(), minlength=replicates * self._groups)
        return np.take(counts.reshape(replicates, self._groups), self._group, axis=1)

    def arranged(self, order: NDArray[np.integer]) -> Resampler:
        """The same draws of the same units, given in another order: its weights are `draw(B)[:, order]`, at one step less."""
        other = copy(self)  # the generator is shared: what one draws, the other does not draw again
        other._group = self._group[order]
        return other


def bootstrap_mean(
    values: ArrayLike, groups: ArrayLike, seed: int | Sequence[int], replicates: int = REPLICATES
) -> NDArray[np.float64]:
    """Bootstrap replicates (B,) of the mean of values (N,), groups drawn with replacement."""
    array = np.asarray(values, dtype=np.float64)
    resampler = Resampler(groups, seed)
    block = max(1, _BLOCK // array.size)
    means = []
    for start in range(0, replicates, block):
        weights = resampler.draw(min(block, replicates - start))
        means.append((weights @ array) / weights.sum(axis=1))
    return np.concatenate(means)


def strata_interval(
    successes: ArrayLike, totals: ArrayLike, seed: int | Sequence[int], replicates: int = REPLICATES
) -> Interval:
    """Interval of the mean of S rates by `strata_mean`; where all trials ended alike no draw differs, and it is Wilson's of their sum."""
    hits, total = int(np.sum(successes)), int(np.sum(totals))
    if hits in (0, total):
        return wilson(hits, total)
    return percentile(strata_mean(successes, totals, seed, replicates))


def strata_mean(
    successes: ArrayLike, totals: ArrayLike, seed: int | Sequence[int], replicates: int = REPLICATES
) -> NDArray[np.float64]:
    """Bootstrap replicates (B,) of the mean of S rates, trials drawn with replacement within each stratum (class,
    fold).

    successes, totals: (S,) whole numbers. Drawing n outcomes of 0 or 1 with replacement is a binomial draw, so no trial
    is kept.
    """
    hits, sizes = np.asarray(successes, dtype=np.int64), np.asarray(totals, dtype=np.int64)
    drawn = np.random.default_rng(seed).binomial(sizes, hits / sizes, size=(replicates, sizes.size))
    return (drawn / sizes).mean(axis=1)


def rule_of_30(errors: Mapping[tuple[str, str], float]) -> dict[str, str]:
    """A note under the key `rule_of_30` on the rates with fewer than 30 errors behind them, or {} where there is none.

    errors: (part, leaf) -> how many errors were seen, or are expected at the rate that the leaf fixes; with two kinds of error (an
    EER) the scarcer. Leaves stand in order of appearance, each with its parts, or `all` of two or more (Doddington et al. 2000).
    """
    parts: dict[str, list[str]] = {}
    few: dict[str, list[str]] = {}
    for (part, leaf), count in errors.items():
        parts.setdefault(leaf, []).append(part)
        if round(count, 6) < ENOUGH:
            few.setdefault(leaf, []).append(part)
    named = (f"{leaf} ({'all' if 1 < len(parts[leaf]) == len(of) else ', '.join(of)})" for leaf, of in few.items())
    return {"rule_of_30": f"fewer than {ENOUGH} errors behind {'; '.join(named)}"} if few else {}
