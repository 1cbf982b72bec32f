"""95 % intervals by exact equations, so that an end has no noise of its own; `benchmarks/coverage.py` measures their coverage.

One rate: mid-P. A mean of estimates: from their own intervals. What is read off a ROC: `roc_intervals`. Outcomes that depend on each
other count as fewer: `effective`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betainc, ndtr, ndtri

from gelo.tasks.metrics.effective import Z95, Sample
from gelo.tasks.metrics.scores import UndefinedMetric

LEVEL = 0.95
ENOUGH = 30  # errors behind a rate: true to within 30 % with 90 % confidence (Doddington et al. 2000)


class Interval(NamedTuple):
    """A 95 % interval unless a level was given."""

    low: float
    high: float


def rate_interval(successes: float, total: float, level: float = LEVEL) -> Interval:
    """Mid-P interval of a rate, in [0, 1]: the rates at which half the chance of what was seen, and all of what is more extreme, make
    up (1 - level) / 2 (Lancaster 1961; Agresti and Gottard 2007). Real numbers are effective ones.

    Raises UndefinedMetric for total = 0 and ValueError for successes outside 0..total.
    """
    if total == 0:
        raise UndefinedMetric("interval of a rate: 0 trials, at least 1 needed")
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} successes of {total}: 0 to {total} needed")

    def above(rate: float) -> float:
        """Chance of more successes, plus half that of as many."""
        more = float(betainc(successes + 1, total - successes, rate)) if successes < total else 0.0
        as_many = float(betainc(successes, total - successes + 1, rate)) if successes > 0 else 1.0
        return (more + as_many) / 2

    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else brentq(lambda rate: above(rate) - tail, 0, 1, xtol=1e-14)
    high = 1.0 if successes == total else brentq(lambda rate: above(rate) - (1 - tail), 0, 1, xtol=1e-14)
    return Interval(float(low), float(high))


def mean_of_rates(successes: ArrayLike, totals: ArrayLike) -> Interval:
    """Interval of the mean of S rates, each of a stratum (class, fold) of its own: S whole numbers `successes` of `totals`, none 0.

    `rate_interval` of the number that has the variance of the mean: sum of p (1 - p) / (n - 1) over the strata, by S squared (Korn and
    Graubard 1998). Strata of one trial have the variance of the mean rate; no mean is worth more than four times its trials.
    """
    hits, sizes = np.asarray(successes, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    rates = hits / sizes
    mean, total = float(rates.mean()), float(sizes.sum())
    if mean in (0.0, 1.0):
        return rate_interval(mean * total, total)
    alone = mean * (1 - mean)
    variance = float(np.where(sizes > 1, rates * (1 - rates) / np.maximum(sizes - 1, 1), alone).sum()) / sizes.size**2
    worth = min(alone / variance, 4 * total) if variance > 0 else 4 * total
    return rate_interval(mean * worth, worth)


class Estimate(Protocol):
    """A value with intervals of any width. ends: those `z` standard errors away, as a score test has them; the value itself at 0."""

    value: float

    def ends(self, z: float) -> Interval: ...


class Rate:
    """The share of `hits` (N,) among the outcomes of a sample, which counts as their effective number. UndefinedMetric for N = 0."""

    def __init__(self, sample: Sample, hits: NDArray[np.bool_]) -> None:
        if hits.size == 0:
            raise UndefinedMetric("interval of a rate: 0 trials, at least 1 needed")
        self.value = float(hits.mean())
        self._total = sample.effective((hits.sum() + 0.5) / (hits.size + 1), hits)

    def interval(self, level: float = LEVEL) -> Interval:
        return rate_interval(self.value * self._total, self._total, level)

    def ends(self, z: float) -> Interval:
        low, high = self.interval(2 * float(ndtr(z)) - 1)
        return Interval(min(low, self.value), max(high, self.value))


class Highest:
    """The highest of several rates. Its high end is the highest of theirs; its low end too, at a level that holds for all of them
    (Sidak 1967), since any may stand first by chance.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = rates
        self.value = max(rate.value for rate in rates)

    def interval(self) -> Interval:
        low = max(rate.interval(2 * _of_all(0.5 + LEVEL / 2, len(self._rates)) - 1).low for rate in self._rates)
        return Interval(low, max(rate.interval().high for rate in self._rates))

    def ends(self, z: float) -> Interval:
        low = max(rate.ends(float(ndtri(_of_all(float(ndtr(z)), len(self._rates))))).low for rate in self._rates)
        return Interval(min(low, self.value), max(rate.ends(z).high for rate in self._rates))


class Complement:
    """One minus an estimate: TAR from FRR."""

    def __init__(self, estimate: Estimate) -> None:
        self._estimate = estimate
        self.value = 1 - estimate.value

    def interval(self) -> Interval:
        return self.ends(Z95)

    def ends(self, z: float) -> Interval:
        low, high = self._estimate.ends(z)
        return Interval(1 - high, 1 - low)


class Combined:
    """A weighted sum of estimates, all weights positive.

    An end of it is the sum of their ends, each as many standard errors away as the sum's being there makes it: z times its correlation
    with the sum. For normal estimates that is the root of the sum of squares (Zou and Donner 2008, "MOVER"); for a few errors in each,
    where MOVER's low end is too high, it is near the interval of the pooled errors. correlation: (P, P) of the estimates, or (2, P, P),
    of their low and of their high sides; None where they are independent.
    """

    def __init__(
        self, estimates: Sequence[Estimate], weights: Sequence[float], correlation: ArrayLike | None = None
    ) -> None:
        self._estimates, self._weights = estimates, np.asarray(weights, dtype=np.float64)
        alone = np.eye(len(estimates))
        self._joint = np.broadcast_to(alone if correlation is None else np.asarray(correlation), (2, *alone.shape))
        self.value = float(self._weights @ np.array([each.value for each in estimates]))

    def interval(self) -> Interval:
        return self.ends(Z95)

    def ends(self, z: float) -> Interval:
        at_z = [each.ends(z) for each in self._estimates]
        sides = (
            [each.value - ends.low for each, ends in zip(self._estimates, at_z, strict=True)],
            [ends.high - each.value for each, ends in zip(self._estimates, at_z, strict=True)],
        )
        found = []
        for number, (side, joint) in enumerate(zip(sides, self._joint, strict=True)):
            scaled = self._weights * np.array(side)
            along = joint @ scaled
            length = math.sqrt(float(scaled @ along))
            shares = along / length if length > 0 else np.zeros_like(along)
            ends = [each.ends(z * float(share))[number] for each, share in zip(self._estimates, shares, strict=True)]
            found.append(float(self._weights @ np.array(ends)))
        return Interval(min(found[0], self.value), max(found[1], self.value))


def _of_all(one: float, count: int) -> float:
    """The chance that each of `count` independent events needs for all to happen with chance `one`."""
    return float(one ** (1 / count))


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
