"""Intervals against scipy, closed forms, and what a draw by group must keep together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from tasks.metrics.intervals import (
    Resampler,
    bootstrap_mean,
    percentile,
    rule_of_30,
    strata_interval,
    strata_mean,
    wilson,
)
from tasks.metrics.scores import UndefinedMetric


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 1), (0, 30), (3, 30), (30, 30), (204, 1000), (1, 10**6)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(hits: int, total: int, level: float) -> None:
    theirs = binomtest(hits, total).proportion_ci(level, method="wilson")
    assert wilson(hits, total, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson(hits, total, level).low <= hits / total <= wilson(hits, total, level).high


def test_undefined_and_refused() -> None:
    with pytest.raises(UndefinedMetric, match="0 trials"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="4 successes of 3"):
        wilson(4, 3)
    with pytest.raises(UndefinedMetric, match="no replicates"):
        percentile([])
    with pytest.raises(UndefinedMetric, match="at least 1 group"):
        Resampler([], 0)


def test_groups_are_drawn_whole_and_counts_kept() -> None:
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    weights = Resampler(groups, 7).draw(500)
    assert weights.shape == (500, 6)
    for name in "abc":
        assert np.all(weights[:, groups == name] == weights[:, groups == name][:, :1])
    assert np.all(weights[:, [0, 1, 3]].sum(axis=1) == 3)  # as many groups a draw as there are


def test_draws_repeat_with_the_seed_and_across_blocks() -> None:
    whole = Resampler(np.arange(9), [1, 2]).draw(10)
    parts = Resampler(np.arange(9), [1, 2])
    np.testing.assert_array_equal(whole, np.concatenate([parts.draw(3), parts.draw(7)]))
    assert not np.array_equal(whole, Resampler(np.arange(9), [1, 3]).draw(10))


def test_bootstrap_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(0).gamma(2, 1, 120)
    ours = percentile(bootstrap_mean(values, np.arange(120), 0, 4000))
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_groups_widen_the_interval_of_dependent_values() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=40), 10)  # 40 subjects, 10 equal images each
    alone = percentile(bootstrap_mean(values, np.arange(400), 0, 1000))
    by_subject = percentile(bootstrap_mean(values, np.repeat(np.arange(40), 10), 0, 1000))
    ratio = (by_subject.high - by_subject.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_strata_mean_has_the_spread_of_its_binomials() -> None:
    hits, sizes = np.array([8, 27, 10]), np.array([10, 30, 10])
    drawn = strata_mean(hits, sizes, seed=0, replicates=20_000)
    rates = hits / sizes
    assert drawn.mean() == pytest.approx(rates.mean(), abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(np.sum(rates * (1 - rates) / sizes)) / 3, rel=0.03)


def test_units_in_another_order_have_the_same_draws() -> None:
    order = np.random.default_rng(2).permutation(12)
    groups = np.arange(12) // 3
    np.testing.assert_array_equal(
        Resampler(groups, 5).arranged(order).draw(20), Resampler(groups, 5).draw(20)[:, order]
    )
    shared = Resampler(groups, 5)
    first, second = shared.arranged(order).draw(10), shared.arranged(order).draw(10)
    np.testing.assert_array_equal(np.concatenate([first, second]), Resampler(groups, 5).draw(20)[:, order])


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


def test_a_mean_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = np.random.default_rng(0).normal(size=30), np.arange(30) // 2
    whole = bootstrap_mean(values, groups, 3, 25)
    monkeypatch.setattr("tasks.metrics.intervals._BLOCK", 7 * 30)
    np.testing.assert_allclose(bootstrap_mean(values, groups, 3, 25), whole, rtol=1e-12)


@pytest.mark.parametrize("hits", [[0, 0, 0], [10, 20, 30]])
def test_rates_that_all_ended_alike_get_wilsons_interval_of_their_sum_and_not_one_of_no_width(hits: list[int]) -> None:
    found = strata_interval(hits, [10, 20, 30], seed=0)
    assert found == wilson(sum(hits), 60)
    assert found.low < found.high


def test_other_rates_are_drawn_within_their_strata() -> None:
    hits, sizes = [9, 15, 30], [10, 20, 30]
    assert strata_interval(hits, sizes, seed=3) == percentile(strata_mean(hits, sizes, seed=3))
