"""Rank correlation against SciPy, lines against scikit-learn's leave-one-group-out, intervals against what is known of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from gelo.analysis.foretold import Points, foretold, intervals, spearman, told


def drawn(seed: int, tasks: int, approaches: int, seeds: int, slope: float) -> Points:
    """kept = slope * measure + noise that seeds of an approach share, each task at another place."""
    random = np.random.default_rng(seed)
    approach = np.repeat(np.arange(tasks * approaches), seeds)
    task = approach // approaches
    measure = random.standard_normal(tasks * approaches)[approach] + 0.1 * random.standard_normal(len(approach))
    kept = slope * measure + random.standard_normal(tasks * approaches)[approach] + task
    group = task if tasks > 1 else approach % 5
    return Points(measure, kept, task, group, approach)


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_correlated_as_scipy_does_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = random.integers(0, 6, 20).astype(float), random.standard_normal(20)
    assert spearman(one, two) == pytest.approx(spearmanr(one, two).statistic, abs=1e-12)


def test_what_has_no_ranks_has_no_correlation() -> None:
    for one, two in (([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, np.nan], [1.0, 2.0])):
        assert np.isnan(spearman(np.array(one), np.array(two)))


@pytest.mark.parametrize(("tasks", "offset"), [(1, 0.0), (3, 1000.0)])
def test_a_line_is_fitted_to_the_other_groups(tasks: int, offset: float) -> None:
    points = drawn(1, tasks, 10, 3, -0.7)
    points = Points(points.measure + offset, points.kept, points.task, points.group, points.approach)
    left = cross_val_predict(
        LinearRegression(), points.measure[:, None], points.kept, groups=points.group, cv=LeaveOneGroupOut()
    )
    assert foretold(points) == pytest.approx(left, abs=1e-8)
    found = told(points)
    assert found.left_out == pytest.approx(spearmanr(left, points.kept).statistic, abs=1e-12)
    assert found.error == pytest.approx(np.abs(left - points.kept).mean())
    by_task = [
        spearmanr(left[points.task == each], points.kept[points.task == each]).statistic for each in range(tasks)
    ]
    assert found.within == pytest.approx(np.mean(by_task), abs=1e-12)
    if tasks > 1:
        assert found.within == pytest.approx(-found.rho), "each task has one line, which falls: ranks are turned around"


def test_a_measure_that_is_constant_elsewhere_has_no_line() -> None:
    points = Points(np.array([1.0, 1, 1, 2, 3]), np.arange(5.0), *(np.array([0, 0, 0, 1, 1]),) * 2, np.arange(5))
    assert np.isnan(foretold(points)[3:]).all() and np.isfinite(foretold(points)[:3]).all()


def test_what_is_told_perfectly_has_an_interval_of_one_point() -> None:
    points = drawn(0, 2, 8, 1, 0.0)
    line = Points(points.measure, -2 * points.measure, points.task, points.group, points.approach)
    found, ends = told(line), intervals(line, "line")
    assert (found.rho, found.within, found.left_out) == pytest.approx((-1, 1, 1)) and found.error == pytest.approx(
        0, abs=1e-9
    )
    assert ends["rho"] == pytest.approx((-1, -1)) and ends["within"] == pytest.approx((1, 1)) == ends["left_out"]


def test_seeds_of_an_approach_are_no_new_evidence() -> None:
    """Each trial three times: the interval is that of the trials once, where trials alone are drawn it shrinks."""

    def width(points: Points) -> float:
        low, high = intervals(points, "width")["rho"] or (np.nan, np.nan)
        return high - low

    once = drawn(3, 1, 20, 1, 0.7)
    thrice = once.of(np.repeat(np.arange(20), 3))
    alone = Points(thrice.measure, thrice.kept, thrice.task, thrice.group, np.arange(60))
    assert width(thrice) == pytest.approx(width(once), abs=1e-9) and width(alone) < 0.75 * width(once)


@pytest.mark.long
def test_the_interval_covers_what_is_true_and_mostly_0_of_what_is_not_related() -> None:
    """Of a normal pair Spearman's rho is 6 / pi * asin(r / 2); the bootstrap of 20 approaches holds it about as often as it says."""
    r = 0.7 / np.hypot(0.7, 1)
    truth = {0.0: 0.0, 0.7: 6 / np.pi * np.arcsin(r / 2)}
    for slope, true in truth.items():
        held = 0
        for seed in range(100):
            low, high = intervals(drawn(seed, 1, 20, 1, slope), f"{slope} {seed}")["rho"] or (np.nan, np.nan)
            held += low <= true <= high
        assert 86 <= held <= 100, (slope, held)
