"""Comparisons that a verdict counts: each with its noise and its p, corrected for how many there are, and what all of them together say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gelo.analysis.finding import Finding, Verdict, signed
from gelo.analysis.kept import Difference, Kept, together, told
from gelo.analysis.statistics import holm, signed_rank
from gelo.models.words import counted
from gelo.tasks.metrics.scores import UndefinedMetric

CHANCE = 0.05  # of a verdict that only noise made, over all comparisons of a finding
MARGIN = 0.01  # of a share kept: "as much" is one point more or less


@dataclass(frozen=True, slots=True)
class Contrast:
    """One comparison: `difference` > 0 supports the effect that is asked about. p: of "there is none", None where the noise is not known.
    sets: by data set, how much more the one side kept of it. among: of how many the difference is the smallest."""

    where: str
    difference: Difference
    p: float | None
    sets: pd.Series
    among: int = 1


def contrast(kept: Kept, where: str, more: pd.DataFrame, less: pd.DataFrame) -> Contrast | None:
    """Of the trials of two sides (rows with trial and seed); None where they share no seed."""
    difference = kept.between(more, less)
    if difference is None:
        return None
    one, other = (side.loc[side["seed"].isin(list(difference.values)), "trial"].tolist() for side in (more, less))
    sets = kept.by_set(one) - kept.by_set(other)
    return Contrast(where, difference, _p(difference), sets)


def against_all(kept: Kept, where: str, others: Sequence[pd.DataFrame], side: pd.DataFrame) -> Contrast | None:
    """Whether every one of `others` kept more than `side`, or any kept less: the difference is that of the one that kept least. None where
    there is no other, or one shares no seed with the side: nothing is said of every one then.

    That all kept more needs every comparison, so its p is the largest of theirs (Berger 1982); that any kept less may be found by looking
    among them, so its p is the smallest times their number (Bonferroni).
    """
    found = [each for rows in others if (each := contrast(kept, where, rows, side)) is not None]
    if not found or len(found) < len(others):
        return None
    least = min(found, key=lambda each: each.difference.middle)
    known = [each.p for each in found if each.p is not None]
    if len(known) < len(found):
        return Contrast(where, least.difference, None, least.sets, len(found))
    less = [each.p for each in found if each.p is not None and each.difference.middle < 0]
    p = min(1.0, min(less) * len(found)) if less else max(known)
    return Contrast(where, least.difference, p, least.sets, len(found))


def answer(
    title: str, text: str, contrasts: Sequence[Contrast], supports: str, against: str, after: str = ""
) -> Finding:
    """The verdict over all of them. "Yes": each supports; "in part": more do than not; "no": as many or more are against, or all are alike
    within `MARGIN`. What counts is significant at 5 % when all comparisons are corrected for together (Holm), as is what is alike."""
    tested = [each for each in contrasts if each.p is not None]
    held = dict(zip(map(id, tested), holm([each.p for each in tested if each.p is not None]), strict=True))
    alike_p = holm([each.difference.p_apart(MARGIN, each.among) for each in tested])
    signs = {id(each): _sign(each, held.get(id(each), 1.0)) for each in contrasts}
    alike = sum(p < CHANCE and not signs[id(each)] for each, p in zip(tested, alike_p, strict=True))
    yes, no, even = (sum(sign == which for sign in signs.values()) for which in (1, -1, 0))
    unknown = len(contrasts) - len(tested)
    verdict: Verdict = "cannot be said"
    if yes == len(contrasts):
        verdict = "yes"
    elif yes > no:  # more for it than against it, the others within the noise
        verdict = "in part"
    elif yes or no or alike == len(contrasts):
        verdict = "no"
    words = [f"{supports} in {yes} of {counted(len(contrasts), 'comparison')}"]
    words += [f"{against} in {no}"] if no else []
    words += [f"as much within ±{100 * MARGIN:.0f} point in {alike}"] if alike else []
    words += [f"{even - alike - unknown} within the noise"] if even - alike - unknown else []
    words += [f"{unknown} of unknown noise"] if unknown else []
    wrong = [each.where for each in contrasts if signs[id(each)] < 0]
    tail = f" Against the paper: {'; '.join(wrong)}." if wrong else ""
    sets = [each.sets for each in contrasts]
    joint = together([each.difference for each in contrasts])
    number, interval = _shown(joint)
    corrected = f"Holm over {counted(len(tested), 'comparison')}" if len(tested) > 1 else "1 comparison"
    largest = f", {'largest corrected p' if len(held) > 1 else 'p'} {small(max(held.values()))}" if held else ""
    known = [each.difference for each in tested]
    test = f"{told(known, len(sets[0]))}; {corrected}{largest}" if known else "none: the noise is not known"
    mean = f" Mean difference {number}{f' ({interval})' if interval else ''}." if number else ""
    counting = f"Counted: {', '.join(words)}.{tail}"
    return Finding(title, verdict, f"{text} {counting}{mean}{_over_sets(sets)}{after}", number, interval, test)


def _over_sets(sets: Sequence[pd.Series]) -> str:
    """Whether it holds over data sets as well as over images, by the mean over comparisons; "" for too few sets."""
    means = pd.concat(list(sets), axis=1).mean(axis=1, skipna=False)
    if means.isna().any():
        return ""
    try:
        found = signed_rank(means.to_numpy())
    except UndefinedMetric:
        return ""
    lowest = (
        f"from {signed(float(means.min()), 3)} ({means.idxmin()}) to {signed(float(means.max()), 3)} ({means.idxmax()})"
    )
    return (
        f" Over the {found.pairs} data sets it is {lowest}; signed rank test p {small(found.p)}, rank-biserial "
        f"correlation {signed(found.effect, 2)}."
    )


def _sign(each: Contrast, p: float) -> int:
    """+1 supports, -1 against, 0 within the noise."""
    middle = each.difference.middle
    return 0 if p >= CHANCE or not middle else 1 if middle > 0 else -1


def _p(difference: Difference) -> float | None:
    try:
        return difference.p()
    except UndefinedMetric:
        return None


def _shown(joint: Difference | None) -> tuple[str, str]:
    """The mean difference and its interval as they are read; "" where not known."""
    if joint is None:
        return "", ""
    low, high = joint.interval()
    ends = "" if math.isnan(low) else f"{signed(low, 3)} to {signed(high, 3)}"
    return signed(joint.middle, 3), ends


def small(p: float) -> str:
    """A p value as people read it."""
    return "< 0.001" if p < 0.001 else f"{np.round(p, 3):.3f}"
