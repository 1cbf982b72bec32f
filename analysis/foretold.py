"""How well one number per trial tells another beforehand: rank correlation, lines fitted to other tasks or remedies, and intervals."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
DRAWS, FEWER, MANY = 500, 100, 1000  # resamples; so many of more than MANY points, whose intervals are narrow
_RANGES = {"rho": (-1.0, 1.0), "within": (-1.0, 1.0), "left_out": (-1.0, 1.0), "error": (0.0, float("inf"))}
_DEFINED = 0.95  # of the resamples, or there is no interval


@dataclass(frozen=True)
class Points:
    """A trial each, (n,) all. measure: what was seen early, kept: what it foretells; the others are codes from 0.

    task: within which ranks are compared. group: those that are left out together. approach: those that are drawn together, such as the
    seeds of a setting; each lies in one task and one group.
    """

    measure: Vector
    kept: Vector
    task: Indices
    group: Indices
    approach: Indices

    def of(self, rows: Indices) -> Points:
        """Some of them, in this order, also twice."""
        return Points(self.measure[rows], self.kept[rows], self.task[rows], self.group[rows], self.approach[rows])


@dataclass(frozen=True)
class Told:
    """rho: Spearman's, the mean over tasks, each for itself. within: the same of what is foretold, not the measure. left_out: that of all
    that is foretold, over all tasks. error: mean of |foretold - kept|. NaN where one is undefined."""

    rho: float
    within: float
    left_out: float
    error: float


def told(points: Points) -> Told:
    """All four of these points. Foretold is what a straight line says that was fitted, by least squares, to the other groups' points."""
    line = foretold(points)
    return Told(
        _by_task(points.task, points.measure, points.kept),
        _by_task(points.task, line, points.kept),
        spearman(line, points.kept),
        float(np.abs(line - points.kept).mean()),
    )


def intervals(points: Points, name: str, level: float = 0.95) -> dict[str, tuple[float, float] | None]:
    """Of each field of `Told` itself -+ z times the bootstrap's standard error, within its range; name: seeds the draws.

    Approaches are drawn with replacement, with all of their trials, as many of each task as there are, and all is fitted and ranked again.
    None where too few resamples have the number. Percentiles are not taken: a drawn approach is tied with itself, so that strong
    correlations come out weaker than they are.
    """
    generator = np.random.default_rng([0, zlib.crc32(name.encode())])
    members = [np.flatnonzero(points.approach == each) for each in range(int(points.approach.max()) + 1)]
    strata = [np.unique(points.approach[points.task == task]) for task in np.unique(points.task)]
    drawn = []
    for _ in range(DRAWS if len(points.kept) <= MANY else FEWER):
        chosen = np.concatenate([generator.choice(each, len(each)) for each in strata])
        found = told(points.of(np.concatenate([members[each] for each in chosen])))
        drawn.append((found.rho, found.within, found.left_out, found.error))
    columns = dict(zip(("rho", "within", "left_out", "error"), np.asarray(drawn).T, strict=True))
    found = told(points)
    return {name: _around(getattr(found, name), column, _RANGES[name], level) for name, column in columns.items()}


def foretold(points: Points) -> Vector:
    """(n,): of each point what the line through the other groups' points says; NaN where these have not two different measures."""
    x, y = points.measure - points.measure.mean(), points.kept - points.kept.mean()  # moves no line, and rounds less
    sums = [np.bincount(points.group, each) for each in (np.ones_like(x), x, y, x * x, x * y)]
    n, sx, sy, sxx, sxy = (each.sum() - each for each in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sxx - sx * sx / n
        spread[spread <= 1e-12 * sxx] = np.nan
        slope = (sxy - sx * sy / n) / spread
        start = (sy - slope * sx) / n
    return np.asarray(start[points.group] + slope[points.group] * x + points.kept.mean())


def spearman(one: Vector, two: Vector) -> float:
    """Of (n,) and (n,), ties at their mean rank; NaN for fewer than 2 points, where one side is constant or not finite."""
    if len(one) < 2 or not (np.isfinite(one).all() and np.isfinite(two).all()):
        return float("nan")
    a, b = (ranks - ranks.mean() for ranks in (rankdata(one), rankdata(two)))
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths else float("nan")


def _by_task(task: Indices, one: Vector, two: Vector) -> float:
    return float(np.mean([spearman(one[task == each], two[task == each]) for each in np.unique(task)]))


def _around(value: float, draws: Vector, ends: tuple[float, float], level: float) -> tuple[float, float] | None:
    known = draws[np.isfinite(draws)]
    if len(known) < _DEFINED * len(draws) or not np.isfinite(value):
        return None
    half = float(ndtri((1 + level) / 2) * known.std(ddof=1))
    return max(ends[0], value - half), min(ends[1], value + half)
