"""Intervals against scipy's binomial law, closed forms, simulation, and by property; their coverage stands in docs/benchmarks.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multivariate_normal, norm

from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import (
    Combined,
    Complement,
    Estimate,
    Highest,
    Interval,
    Rate,
    mean_of_rates,
    rate_interval,
    rule_of_30,
)
from gelo.tasks.metrics.scores import UndefinedMetric, as_scores


def outcomes(hits: int, total: int) -> Rate:
    right = np.arange(total) < hits
    return Rate(Sample(as_scores(right.astype(float))), right)


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 1), (0, 30), (3, 30), (30, 30), (204, 1000), (1, 10**6)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_ends_of_a_rate_solve_the_equation_of_mid_p(hits: int, total: int, level: float) -> None:
    low, high = rate_interval(hits, total, level)
    tail = (1 - level) / 2
    assert low <= hits / total <= high
    if hits > 0:
        assert binom.sf(hits, total, low) + binom.pmf(hits, total, low) / 2 == pytest.approx(tail, rel=1e-6)
    if hits < total:
        assert binom.cdf(hits, total, high) - binom.pmf(hits, total, high) / 2 == pytest.approx(tail, rel=1e-6)
    assert (low == 0) == (hits == 0)
    assert (high == 1) == (hits == total)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("total", [30, 100, 1000])
def test_a_rate_is_covered_exactly_as_often_as_the_binomial_law_says(rate: float, total: int) -> None:
    held = [low <= rate <= high for low, high in (rate_interval(hits, total) for hits in range(total + 1))]
    assert binom.pmf(np.arange(total + 1), total, rate) @ np.array(held) > 0.93


def test_undefined_and_refused() -> None:
    with pytest.raises(UndefinedMetric, match="0 trials"):
        rate_interval(0, 0)
    with pytest.raises(ValueError, match="4 successes of 3"):
        rate_interval(4, 3)
    with pytest.raises(UndefinedMetric, match="0 trials"):
        outcomes(0, 0)


def test_units_of_one_score_each_are_as_good_as_none() -> None:
    scores = as_scores(np.random.default_rng(0).normal(size=50))
    assert Sample(scores, [f"s{n}" for n in range(50)]).effective(0.1) == Sample(scores).effective(0.1) == 50


def test_equal_images_of_a_unit_are_worth_one() -> None:
    scores = as_scores(np.repeat(np.random.default_rng(0).normal(size=2000), 5))
    found = Sample(scores, np.repeat(np.arange(2000), 5)).effective(0.1, scores > norm.isf(0.1))
    assert found == pytest.approx(2000, rel=0.05)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_effect_of_normal_scores_is_that_of_the_bivariate_normal_law(rate: float) -> None:
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(20_000), 3)
    scores = as_scores(rng.normal(size=unit.size) * np.sqrt(0.4) + rng.normal(size=20_000)[unit] * np.sqrt(0.6))
    level = norm.ppf(rate)
    both = multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).cdf([level, level])
    correlation = (both - rate**2) / (rate * (1 - rate))
    assert Sample(scores, unit).effective(rate) == pytest.approx(unit.size / (1 + 2 * correlation), rel=0.01)


def test_errors_that_are_more_alike_than_the_scores_decide() -> None:
    unit = np.repeat(np.arange(200), 5)
    scores = as_scores(np.random.default_rng(2).normal(size=1000))  # within a unit as unlike as between units
    wrong = unit < 20  # a tenth of the units are always wrong
    assert Sample(scores, unit).effective(0.1) == pytest.approx(1000, rel=0.1)
    assert Sample(scores, unit).effective(0.1, wrong) < 205


def test_a_mean_of_equal_strata_without_a_spread_is_their_sum() -> None:
    assert mean_of_rates([0, 0, 0], [20, 20, 20]) == rate_interval(0, 60)
    assert mean_of_rates([20, 20, 20], [20, 20, 20]) == rate_interval(60, 60)


def test_a_mean_of_large_strata_has_the_normal_interval() -> None:
    hits, sizes = np.array([700, 2000, 150]), np.array([1000, 4000, 500])
    rates = hits / sizes
    half = norm.ppf(0.975) * np.sqrt(np.sum(rates * (1 - rates) / sizes)) / 3
    assert mean_of_rates(hits, sizes) == pytest.approx((rates.mean() - half, rates.mean() + half), abs=1e-3)


class Normal:
    """An estimate with a standard error."""

    def __init__(self, value: float, error: float) -> None:
        self.value, self.error = value, error

    def ends(self, z: float) -> Interval:
        return Interval(self.value - z * self.error, self.value + z * self.error)


def test_a_sum_of_normal_estimates_has_the_variance_of_a_sum() -> None:
    parts: list[Estimate] = [Normal(0.4, 0.03), Normal(0.5, 0.01), Normal(0.6, 0.02)]
    weights, error = np.array([0.2, 0.5, 0.3]), np.array([0.03, 0.01, 0.02])
    joint = np.array([[1, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]])
    for correlation in (None, joint):
        covariance = np.outer(error, error) * (np.eye(3) if correlation is None else correlation)
        half = norm.ppf(0.975) * np.sqrt(weights @ covariance @ weights)
        found = Combined(parts, weights.tolist(), correlation)
        assert found.interval() == pytest.approx((found.value - half, found.value + half))
    assert Complement(parts[0]).ends(1) == pytest.approx((0.57, 0.63))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(8, 60)), min_size=1, max_size=5))
def test_no_interval_has_no_width_and_each_holds_its_value(parts: list[tuple[int, int]]) -> None:
    rates = [outcomes(*part) for part in parts]
    combined = Combined(rates, [1 / len(rates)] * len(rates))
    strata = mean_of_rates(*zip(*parts, strict=True))
    assert strata.low <= combined.value + 1e-12
    assert strata.high >= combined.value - 1e-12
    for interval, value in (
        (combined.interval(), combined.value),
        (Highest(rates).interval(), max(r.value for r in rates)),
    ):
        assert 0 <= interval.low <= value <= interval.high <= 1
        assert interval.low < interval.high
    assert strata.low < strata.high


def test_a_mean_of_rates_with_few_errors_is_near_the_interval_of_the_pooled_errors() -> None:
    for hits in ([1, 1, 1, 1], [0, 2, 1, 1]):
        found = Combined([outcomes(n, 500) for n in hits], [0.25] * 4).interval()
        pooled = rate_interval(sum(hits), 2000)
        assert found.low == pytest.approx(pooled.low, rel=0.35)
        assert pooled.high < found.high < 2 * pooled.high


def test_the_highest_of_equal_rates_has_a_lower_low_end_than_each() -> None:
    one, three = Highest([outcomes(10, 100)]).interval(), Highest([outcomes(10, 100)] * 3).interval()
    assert one == outcomes(10, 100).interval()
    assert (three.low < one.low, three.high) == (True, one.high)


def test_rule_of_30_names_the_leaves_with_too_few_errors() -> None:
    assert rule_of_30({("warp", "eer"): 30, ("pairs", "accuracy"): 1e6}) == {}
    errors = {
        ("warp", "eer"): 29,
        ("blend", "eer"): 31,
        ("warp", "low"): 2.04,
        ("blend", "low"): 0,
        ("pairs", "accuracy"): 3,
    }
    assert rule_of_30(errors)["rule_of_30"] == "fewer than 30 errors behind eer (warp); low (all); accuracy (pairs)"
    assert rule_of_30({("warp", "low"): 0.1 * 300}) == {}  # 30.000000000000004 or 29.999999999999996: 30
