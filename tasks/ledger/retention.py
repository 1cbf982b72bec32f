"""GELO of a suite: the mean over its data sets after training / that of the untouched backbone, over the same sets; 1 = nothing lost.

The one place that says it, for what is logged and for what is concluded. A mean over fewer sets would be another quantity, so a set
without a value leaves no mean, and a mean that is not there on either side leaves no GELO; the reason is told instead. Source: the study
arXiv 2509.14921, whose printed figures this recomputes (tests/analysis/test_published.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAMED = 4  # of the sets that a reason lists


@dataclass(frozen=True, slots=True)
class Score:
    """One data set's value as a fraction, None where it is unknown, and then the reason; error: its standard error, where known."""

    value: float | None
    error: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Average:
    """The mean over a suite's data sets for one encoder. value: None unless there are sets and every one has a value.

    error: its standard error, the sets taken as independent, which errs on the wide side; None unless all of theirs are known.
    lacking: the sets without a value, each with its reason.
    """

    value: float | None
    error: float | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retention:
    """value: after / before, None where undefined, and then `why`. error: its standard error, None where one of the two is not known."""

    value: float | None
    error: float | None = None
    why: str = ""


def average(scores: Mapping[str, Score]) -> Average:
    """The mean of one encoder's scores by data set."""
    lacking = {name: score.reason for name, score in scores.items() if score.value is None}
    if lacking or not scores:
        return Average(None, None, lacking)
    values = [score.value for score in scores.values() if score.value is not None]
    errors = [score.error for score in scores.values() if score.error is not None]
    spread = math.sqrt(sum(error**2 for error in errors)) / len(values) if len(errors) == len(values) else None
    return Average(sum(values) / len(values), spread)


def retention(after: Average, before: Average | None) -> Retention:
    """What `after` kept of `before`, the mean of its own baseline over the same sets; None where there is no baseline."""
    if after.value is None:
        return Retention(None, why=why_not(after))
    if before is None:
        return Retention(None, why="no baseline of this backbone")
    if before.value is None:
        return Retention(None, why=f"its baseline has no accuracy for {', '.join(before.lacking) or 'any data set'}")
    if before.value <= 0:
        return Retention(None, why="baseline average is 0")
    kept = after.value / before.value
    if after.error is None or before.error is None or not after.value:
        return Retention(kept)
    return Retention(kept, kept * math.sqrt((after.error / after.value) ** 2 + (before.error / before.value) ** 2))


def why_not(mean: Average) -> str:
    """Why there is no mean; "" where there is one."""
    if mean.value is not None:
        return ""
    if not mean.lacking:
        return "this sweep has no such results"
    some = list(mean.lacking)[:_NAMED]
    many = f"{', '.join(some)}{', ...' if len(mean.lacking) > _NAMED else ''}"
    return f"no accuracy for {many}, and an average over fewer data sets would be another quantity"
