"""What every metric agrees on: finite scores with one direction, thresholds that say where they come from, undefined as
an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NewType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NewType("Scores", NDArray[np.float64])  # (N,), finite; higher = more genuine / bona fide


class UndefinedMetric(ValueError):  # noqa: N818 - the name that results and tables speak of
    """The metric has no value on this input; the message is the reason that a `Result` gives under `absent`."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """An operating point: `score >= value` is accepted.

    rule: how it was chosen, e.g. "EER"; chosen_on: on what, e.g. "spoofs/dev" (the scored set only if the metric's name
    says so).
    """

    value: float
    rule: str
    chosen_on: str

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"threshold {self.value} by rule {self.rule!r}: a finite number is needed")


def as_scores(values: ArrayLike, what: str = "scores") -> Scores:
    """`values` as float64 `Scores` (N,), N >= 0. Raises ValueError for another shape or a value that is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{what}: shape {array.shape}, one dimension needed")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{what}: {bad.size} of {array.size} not finite, first at position {bad[0]} ({array[bad[0]]})")
    return Scores(array)


def needs(scores: Scores, metric: str, what: str) -> None:
    """Raise UndefinedMetric when `scores` is empty: `metric` needs at least one of `what`."""
    if scores.size == 0:
        raise UndefinedMetric(f"{metric}: no {what}, at least 1 needed")


def exact(rate: float) -> Fraction:
    """The rate as it was meant: 0.1 is 1/10, not the nearest double. Raises ValueError outside (0, 1)."""
    if not 0 < rate < 1:
        raise ValueError(f"rate {rate}: a fraction above 0 and below 1 is needed (10 % is 0.1)")
    return Fraction(rate).limit_denominator(10**9)


def needs_resolution(rate: float, total: int, metric: str, what: str) -> None:
    """Raise UndefinedMetric where `rate` lies below 1 / total: so few of `what` cannot show it."""
    if exact(rate) * total < 1:
        raise UndefinedMetric(f"{metric} {rate:g} needs at least {-(-1 // exact(rate))} {what}, there are {total}")
