"""GELO by hand, and its reasons: nothing is kept of what is not whole on both sides."""

from __future__ import annotations

import math

import pytest

from gelo.tasks.ledger.retention import Average, Retention, Score, average, retention


def whole(*values: float, error: float | None = None) -> Average:
    return average({f"set {n}": Score(value, error) for n, value in enumerate(values)})


def test_by_hand() -> None:
    assert whole(0.5, 0.75) == Average(0.625)
    assert retention(whole(0.5, 0.75), whole(0.625, 0.625)) == Retention(1.0)
    assert retention(whole(0.25), whole(0.5)).value == 0.5


def test_errors_join_as_those_of_independent_sets() -> None:
    after, before = whole(0.4, 0.4, error=0.03), whole(0.8, 0.8, error=0.06)
    assert after.error == pytest.approx(0.03 / math.sqrt(2))
    assert retention(after, before).error == pytest.approx(0.5 * math.sqrt(2) * 0.075 / math.sqrt(2))
    assert retention(whole(0.4), before).error is None and retention(whole(0.0, error=0.1), before).error is None
    assert average({"a": Score(0.5, 0.1), "b": Score(0.5)}).error is None, "one of two is not known"


def test_a_gap_leaves_no_average_and_is_named_with_its_reason() -> None:
    gap = average({"a": Score(0.5), "b": Score(None, reason="no result"), "c": Score(None, reason="one class")})
    assert gap == Average(None, None, {"b": "no result", "c": "one class"})
    kept = retention(gap, whole(0.5))
    assert kept.value is None and kept.why.startswith("no accuracy for b, c, and an average over fewer data sets")
    assert retention(whole(0.5), gap) == Retention(None, None, "its baseline has no accuracy for b, c")
    many = average({f"{n}": Score(None) for n in range(9)})
    assert retention(many, None).why.startswith("no accuracy for 0, 1, 2, 3, ..., and")


def test_no_sets_no_baseline_and_a_baseline_of_zero() -> None:
    assert average({}) == Average(None)
    assert retention(average({}), whole(0.5)).why == "this sweep has no such results"
    assert retention(whole(0.5), None).why == "no baseline of this backbone"
    assert retention(whole(0.5), whole(0.0)).why == "baseline average is 0"
    assert retention(whole(0.5), average({})).why == "its baseline has no accuracy for any data set"
