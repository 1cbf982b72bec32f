"""The tests, intervals and effect sizes that verdicts stand on: pure functions of arrays, each naming its source.

Over images: both encoders answered the same ones (`mcnemar`, `bootstrap_interval`). Over data sets: `signed_rank`, and of many remedies
`friedman`. Several p values: `holm`. Tests are two-sided. What is undefined raises UndefinedMetric (a ValueError) with the reason, and
never is NaN. With seeds, and "as much as": `resampling`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar

from gelo.tasks.metrics.intervals import LEVEL, Interval
from gelo.tasks.metrics.scores import UndefinedMetric

Vector = npt.NDArray[np.float64]
FEWEST_SETS = 6  # of five, all one way, the two-sided p is 2 / 2**5 = 0.06: such a test can find nothing
EXACT = 13  # differences with ties or zeros among them: up to so many all signs are tried
_BLOCK = 2**22  # numbers drawn at once
_DIGITS = 12  # to which differences are rounded before they are ranked: those equal but for the float are ties


@dataclass(frozen=True, slots=True)
class McNemar:
    """gained: images that only the second got right; lost: those that only the first did."""

    gained: int
    lost: int
    images: int
    p: float


@dataclass(frozen=True, slots=True)
class SignedRank:
    """effect: the matched rank-biserial correlation, in [-1, 1], + where differences are. exact: p is no normal approximation."""

    p: float
    effect: float
    pairs: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Ranks:
    """means: (remedies,) mean rank over the sets, 1 = highest score. p: that all are alike (Friedman). critical: how far apart two mean
    ranks have to be (Nemenyi). pairs: (remedies, remedies) Nemenyi's p."""

    means: Vector
    p: float
    critical: float
    pairs: Vector
    sets: int


def mcnemar(before: npt.ArrayLike, after: npt.ArrayLike) -> McNemar:
    """Whether two encoders get equally many of the same images right: (N,) 0 or 1 each. Exact binomial of the images that tell them apart;
    p = 1 where none does (McNemar 1947). ValueError for vectors of other values or lengths, or of no image."""
    first, second = np.asarray(before), np.asarray(after)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(f"McNemar: {first.shape} and {second.shape}, two vectors over the same images needed")
    if not all(np.isin(side, (0, 1)).all() for side in (first, second)):
        raise ValueError("McNemar: values other than 0 (wrong) and 1 (right)")
    gained, lost = int(((first == 0) & (second == 1)).sum()), int(((first == 1) & (second == 0)).sum())
    table = [[int((first * second).sum()), lost], [gained, int(((1 - first) * (1 - second)).sum())]]
    return McNemar(gained, lost, first.size, float(_mcnemar(table, exact=True).pvalue))


def bootstrap_interval(
    differences: npt.ArrayLike, level: float = LEVEL, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile interval of the mean of (N,) differences, an image's after - before each; images are drawn again with replacement (Efron
    1979). How often a value is drawn is multinomial, so a resample takes one number for each distinct value: three for right and wrong.

    UndefinedMetric for fewer than two images or where all differ by as much: resamples would agree where other images need not.
    """
    sample = _finite(differences, "a bootstrap")
    values, counts = np.unique(sample, return_counts=True)
    if len(values) < 2:
        raise UndefinedMetric(f"a bootstrap of {len(sample)} images that all differ by as much has no spread")
    generator, means = np.random.default_rng(seed), []
    block = max(1, _BLOCK // len(values))
    for start in range(0, draws, block):
        drawn = generator.multinomial(len(sample), counts / len(sample), min(block, draws - start))
        means.append(drawn @ values / len(sample))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def signed_rank(differences: npt.ArrayLike) -> SignedRank:
    """Whether (sets,) differences, one a data set, lie around 0 (Wilcoxon 1945), as Demsar (2006) asks of two methods over many sets.

    Zeros are ranked and then dropped (Pratt 1959); ties share their mean rank. Exact up to 50 sets, with zeros or ties among them up to
    `EXACT`, else by the normal approximation, corrected for ties. All zero: p = 1, effect 0. Effect: Kerby (2014). UndefinedMetric for
    fewer than `FEWEST_SETS` sets.
    """
    sample = np.round(_finite(differences, "the signed rank test"), _DIGITS)
    if len(sample) < FEWEST_SETS:
        raise UndefinedMetric(f"the signed rank test: {len(sample)} data sets, at least {FEWEST_SETS} needed")
    if not sample.any():
        return SignedRank(1.0, 0.0, len(sample), True)
    ranks = stats.rankdata(np.abs(sample))
    above, below = float(ranks[sample > 0].sum()), float(ranks[sample < 0].sum())
    plain = len(np.unique(np.abs(sample))) == len(sample) and bool(sample.all())
    exact = len(sample) <= (50 if plain else EXACT)
    way = ("exact" if plain else stats.PermutationMethod()) if exact else "approx"
    p = float(stats.wilcoxon(sample, zero_method="pratt", method=way).pvalue)
    return SignedRank(p, (above - below) / (above + below), len(sample), exact)


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for being several, in the same order: below 0.05 where it holds for all of them together (Holm 1979).

    Its own five lines: statsmodels' `multipletests` collects the whole process's garbage at every call: 40 ms in an empty one.
    """
    given = np.asarray(p, dtype=np.float64)
    if given.size and not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"Holm: p values outside 0 to 1: {list(p)}")
    order = np.argsort(given, kind="stable")
    steps = np.minimum(1.0, np.arange(given.size, 0, -1) * given[order])
    adjusted = np.empty_like(given)
    adjusted[order] = np.maximum.accumulate(steps) if given.size else steps
    return [float(each) for each in adjusted]


def friedman(scores: npt.ArrayLike) -> Ranks:
    """Whether remedies differ over data sets: scores (sets, remedies), higher is better. Friedman (1937) in the F form of Iman and
    Davenport (1980); which differ by Nemenyi (1963), both as in Demsar (2006). Ties share their mean rank. All alike everywhere: p = 1.

    No p is below that of one order on every set by chance, 1 / remedies! ** (sets - 1). UndefinedMetric for fewer than three remedies
    (`signed_rank` is for two) or than `FEWEST_SETS` sets.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"Friedman: {table.shape}, finite scores of (sets, remedies) needed")
    sets, remedies = table.shape
    if remedies < 3 or sets < FEWEST_SETS:
        raise UndefinedMetric(f"Friedman: {remedies} remedies on {sets} data sets, at least 3 on {FEWEST_SETS} needed")
    table = np.round(table, _DIGITS)
    means = stats.rankdata(-table, axis=1).mean(axis=0)
    p = 1.0
    if (np.ptp(table, axis=1) > 0).any():
        chi = float(stats.friedmanchisquare(*table.T).statistic)
        left = sets * (remedies - 1) - chi
        ratio = (sets - 1) * chi / left if left > 1e-9 else math.inf
        chance = float(stats.f.sf(ratio, remedies - 1, (remedies - 1) * (sets - 1)))
        p = max(chance, math.factorial(remedies) ** -(sets - 1.0))
    error = math.sqrt(remedies * (remedies + 1) / (6 * sets))
    critical = float(stats.studentized_range.ppf(0.95, remedies, np.inf)) / math.sqrt(2) * error
    apart = np.abs(means[:, None] - means[None]) / error * math.sqrt(2)
    return Ranks(means, p, critical, np.clip(stats.studentized_range.sf(apart, remedies, np.inf), 0, 1), sets)


def _finite(values: npt.ArrayLike, what: str) -> Vector:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise ValueError(f"{what}: {sample.shape}, a vector of finite numbers needed")
    if len(sample) < 2:
        raise UndefinedMetric(f"{what}: {len(sample)} values, at least 2 needed")
    return sample
