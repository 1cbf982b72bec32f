"""Two trials or two sweeps, paired: on every data set by the same images, over data sets, and all of it corrected for being several.

Right and wrong are tested by McNemar's exact test, a number off a ROC by a paired bootstrap over what was scored (`scored`); over data sets
by Wilcoxon's signed rank test on the differences of the means. p values are adjusted by Holm, those of data sets and those over data sets
as a family each. Nothing is called better unless its adjusted p is below 0.05.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gelo.analysis import statistics
from gelo.analysis.resampling import Vector
from gelo.analysis.scored import Scored, alike, drawn, scored
from gelo.analysis.sides import Place, Side, apart, headlines
from gelo.models.faults import Fault
from gelo.tasks.metricnames import MEAN, metric_name
from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.protocols import better, direction, suite_of
from gelo.tasks.results import Result

LEVEL = 0.05
MCNEMAR, BOOTSTRAP, WILCOXON = "McNemar's exact test", "paired bootstrap", "Wilcoxon signed rank"
_UNDEFINED = 0.05  # of the resamples, on which a metric may have no value
_MOST = 20_000  # resamples of one row
Verdict = Literal["A better", "B better", "not told apart", "not tested"]


@dataclass(frozen=True)
class Row:
    """One metric of A and B, as its result has it. difference: B - A, with its 95 % interval where there is one. p as the test gives it,
    adjusted: by Holm. units: how many `unit` were paired, or data sets. note: why there is no test or no interval, or what to know of it.
    effect: the matched rank-biserial correlation of a test over data sets."""

    one: Side
    other: Side
    suite: str
    dataset: str
    metric: str
    a: float | None
    b: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    units: int = 0
    test: str = ""
    p: float | None = None
    adjusted: float | None = None
    effect: float | None = None
    verdict: Verdict = "not tested"
    note: str = ""


@dataclass(frozen=True)
class Left:
    """What is not compared, and why."""

    one: Side
    other: Side
    place: Place
    why: str


@dataclass(frozen=True)
class Versus:
    """pairs: the trials that stand beside each other. rows: by data set; over: over the data sets of a suite. left: results of both that
    are not compared; missing: results that one side alone has. alone: trials of A, and of B, that the other has not."""

    pairs: tuple[tuple[Side, Side], ...]
    rows: tuple[Row, ...]
    over: tuple[Row, ...]
    left: tuple[Left, ...]
    missing: tuple[Left, ...]
    alone: tuple[tuple[Side, ...], tuple[Side, ...]] = ((), ())
    faults: tuple[Fault, ...] = ()

    @property
    def compared(self) -> int:
        """How many tests by data set the p values are adjusted for."""
        return sum(row.p is not None for row in self.rows)

    @property
    def compared_over(self) -> int:
        """How many over data sets."""
        return sum(row.p is not None for row in self.over)


def versus(
    pairs: Sequence[tuple[Side, Side]],
    faults: list[Fault],
    alone: tuple[tuple[Side, ...], tuple[Side, ...]] = ((), ()),
) -> Versus:
    """Each pair of trials, result by result. faults: what could not be read so far; what cannot be read here joins them."""
    jobs: list[list[tuple[tuple[Result, Result], str]]] = []  # by pair
    left: list[Left] = []
    missing: list[Left] = []
    for one, other in pairs:
        jobs.append([])
        mine, theirs = one.results(faults), other.results(faults)
        for place in dict.fromkeys([*mine, *theirs]):
            if place not in mine or place not in theirs:
                missing.append(Left(one, other, place, f"{'B' if place not in mine else 'A'} alone"))
            elif why := apart(mine[place], theirs[place]):
                left.append(Left(one, other, place, why))
            else:
                results = mine[place], theirs[place]
                jobs[-1] += [(results, metric) for metric in headlines(*results)]
    tests = sum(map(len, jobs))
    found = [[_row(pair, *job, tests) for job in of_pair] for pair, of_pair in zip(pairs, jobs, strict=True)]
    over = [row for pair, rows in zip(pairs, found, strict=True) for row in _over(pair, rows)]
    return Versus(
        tuple(pairs),
        _adjusted([row for rows in found for row in rows]),
        _adjusted(over),
        tuple(left),
        tuple(missing),
        alone,
        tuple(faults),
    )


def _row(sides: tuple[Side, Side], results: tuple[Result, Result], metric: str, tests: int) -> Row:
    """tests: how many there are in all. Raises nothing: what cannot be tested says why."""
    a, b = (result.values.get(metric) for result in results)
    partial = "a set that lacks some of the official images, the same on both sides" if results[0].partial else ""
    row = Row(*sides, results[0].suite, results[0].dataset, metric, a, b, note=partial)
    if a is None or b is None:
        why = next((result.absent[metric] for result in results if metric in result.absent), "no value on one side")
        return replace(row, note=why)
    row = replace(row, difference=b - a)
    try:
        before, after = (scored(side.folder, result, metric) for side, result in zip(sides, results, strict=True))
    except LookupError as error:
        return replace(row, note=f"cannot be paired: {error}")
    if not alike([before, after]):
        return replace(row, note=f"cannot be paired: other {before.unit}s were scored")
    told = "; ".join(filter(None, (partial, before.note)))
    row = replace(row, unit=before.unit, units=len(before.names), note=told)
    return _right(row, before, after) if before.right is not None else _drawn(row, before, after, tests)


def _right(row: Row, before: Scored, after: Scored) -> Row:
    """Of units that are right or wrong."""
    assert before.right is not None and after.right is not None
    p = statistics.mcnemar(before.right, after.right).p
    row = replace(row, test=MCNEMAR, p=p)
    if len(np.unique(before.strata)) > 1:
        return _between(row, *drawn([before, after]))
    try:
        low, high = statistics.bootstrap_interval(after.right.astype(float) - before.right)
    except UndefinedMetric:
        return replace(row, note=_and(row.note, "every unit differs by as much, which gives no interval"))
    return replace(row, low=low, high=high)


def _drawn(row: Row, before: Scored, after: Scored, tests: int) -> Row:
    """Of a number off a ROC. p: twice the smaller share of resamples on either side of 0, each with one more than were seen (Davison and
    Hinkley 1997, section 4.4); where none is on one side, of as many as it takes to tell p apart from chance among so many tests."""
    draws = drawn([before, after])
    differences = draws[1] - draws[0]
    known = differences[~np.isnan(differences)]
    if len(known) < (1 - _UNDEFINED) * len(differences):
        return replace(
            row, note=_and(row.note, f"undefined on {len(differences) - len(known)} of {len(differences)} resamples")
        )
    p, enough = _p(known), min(_MOST, math.ceil(2.2 * tests / LEVEL))  # a tenth more: on some it may be undefined
    if p == 2 / (1 + len(known)) and enough > len(differences):
        again = drawn([before, after], enough)
        known = (again[1] - again[0])[~np.isnan(again[1] - again[0])]
        p = _p(known)
        if p == 2 / (1 + len(known)) and p * tests >= LEVEL:
            few = f"{enough:,} resamples are too few to be told apart among {tests} tests"
            row = replace(row, note=_and(row.note, few))
    return _between(replace(row, test=BOOTSTRAP, p=p), *draws)


def _p(differences: Vector) -> float:
    sides = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (1 + sides) / (1 + len(differences)))


def _between(row: Row, before: Vector, after: Vector) -> Row:
    """With the percentile interval of paired draws."""
    known = (after - before)[~np.isnan(after - before)]
    if not len(known) or np.ptp(known) == 0:
        return replace(row, note=_and(row.note, "every resample differs by as much, which gives no interval"))
    low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2])
    return replace(row, low=float(low), high=float(high))


def _over(sides: tuple[Side, Side], rows: Sequence[Row]) -> list[Row]:
    """Over the data sets of each suite that averages them, those without a difference left out of both means."""
    by: Mapping[str, list[Row]] = defaultdict(list)
    for row in rows:
        if suite_of(row.suite).averaged and row.difference is not None:
            by[row.suite].append(row)
    found = []
    for suite, those in by.items():
        if len(those) < 2:
            continue
        a, b = (float(np.mean([getattr(row, name) for row in those])) for name in ("a", "b"))
        metric = metric_name(suite, MEAN, suite_of(suite).averaged)
        row = Row(*sides, suite, "", metric, a, b, b - a, unit="data set", units=len(those))
        try:
            tested = statistics.signed_rank([each.difference for each in those if each.difference is not None])
        except UndefinedMetric as error:
            found.append(replace(row, note=str(error)))
        else:
            found.append(replace(row, test=WILCOXON, p=tested.p, effect=tested.effect))
    return found


def _adjusted(rows: Sequence[Row]) -> tuple[Row, ...]:
    """With p adjusted for all of them and the verdict that it carries."""
    tested = [row.p for row in rows if row.p is not None]
    adjusted = iter(statistics.holm(tested))
    return tuple(row if row.p is None else _told(row, next(adjusted)) for row in rows)


def _told(row: Row, adjusted: float) -> Row:
    difference = row.difference or 0.0
    verdict: Verdict = "not told apart"
    if adjusted < LEVEL and difference and better(row.metric):
        verdict = "B better" if difference * direction(row.metric) > 0 else "A better"
    return replace(row, adjusted=adjusted, verdict=verdict)


def _and(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
