"""Kept at a level, area, hypervolume and front, each against an implementation that is not ours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from gelo.analysis.equal_gain import Vector, area, at_level, front, hypervolume

shares = st.floats(0.0, 1.2, allow_nan=False)
curves = st.lists(st.tuples(shares, shares), min_size=1, max_size=12).map(
    lambda points: (np.array([0.0, *(x for x, _ in points)]), np.array([1.0, *(y for _, y in points)]))
)
levels = st.floats(0.01, 1.2)


def rising(points: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
    """The same with gains that rise, and by more than rounding."""
    gain = np.sort(points[0]) + 1e-6 * np.arange(len(points[0]))
    return gain, points[1]


@given(curves.map(rising), levels)
def test_kept_at_a_level_is_numpys_interpolation_where_gain_rises(points: tuple[Vector, Vector], level: float) -> None:
    gain, kept = points
    weights = at_level(gain, level)
    if level > gain[-1]:
        assert weights is None
    else:
        assert weights is not None
        assert weights @ kept == pytest.approx(np.interp(level, gain, kept), abs=1e-9)
        assert weights.sum() == pytest.approx(1.0) and weights.min() >= 0


def test_the_first_crossing_counts() -> None:
    gain, kept = np.array([0.0, 0.6, 1.0, 0.4, 0.95]), np.array([1.0, 0.9, 0.7, 0.5, 0.1])
    weights = at_level(gain, 0.9)
    assert weights is not None and weights @ kept == pytest.approx(0.9 - 0.2 * 0.75)
    exact = at_level(gain, 0.6)
    assert exact is not None and exact @ kept == 0.9
    assert at_level(gain, 1.01) is None
    start = at_level(gain, 0.0)
    assert start is not None and start @ kept == 1.0


@given(curves.map(rising), levels, levels)
def test_where_a_curve_only_forgets_more_gain_keeps_no_more(
    points: tuple[Vector, Vector], one: float, other: float
) -> None:
    gain, kept = points[0], np.sort(points[1])[::-1]
    low, high = (at_level(gain, level) for level in sorted((one, other)))
    if high is not None:
        assert low is not None
        assert low @ kept >= high @ kept - 1e-9
        assert kept.min() - 1e-9 <= high @ kept <= kept.max() + 1e-9


@given(curves)
def test_area_is_the_trapezoid_over_the_running_maximum(points: tuple[Vector, Vector]) -> None:
    gain, kept = points
    weights, running = area(gain), np.maximum.accumulate(gain)
    if running[-1] < 1e-9:
        return
    assert weights is not None
    assert weights @ kept == pytest.approx(auc(running, kept) / running[-1], rel=1e-9)
    assert weights @ np.full(len(kept), 0.7) == pytest.approx(0.7)


def test_without_a_gain_or_a_second_point_there_is_no_area() -> None:
    assert area(np.array([0.0])) is None
    assert area(np.array([0.0, -0.2, -0.1])) is None


def sweep(gain: Vector, kept: Vector) -> float:
    """Area under the staircase, from the front sorted by falling gain."""
    total, height = 0.0, 0.0
    for x, y in sorted(zip(gain, kept, strict=True), reverse=True):
        if x > 0 and y > height:
            total, height = total + x * (y - height), y
    return total


@given(curves)
def test_hypervolume_is_that_of_a_sorted_sweep(points: tuple[Vector, Vector]) -> None:
    gain, kept = points
    assert hypervolume(gain, kept) @ kept == pytest.approx(sweep(gain, kept), abs=1e-9)
    best = front(gain, kept)
    assert hypervolume(gain[best], kept[best]) @ kept[best] == pytest.approx(sweep(gain, kept), abs=1e-9), (
        "of the front alone"
    )
    assert hypervolume(gain, kept).sum() == pytest.approx(max(gain.max(), 0.0)), (
        "every gain has one point that speaks for it"
    )


def test_hypervolume_is_the_share_of_random_points_that_are_dominated() -> None:
    generator = np.random.default_rng(3)
    gain, kept = generator.uniform(0, 1, (2, 8))
    thrown = generator.uniform(0, 1, (200_000, 2))
    dominated = ((gain > thrown[:, :1]) & (kept > thrown[:, 1:])).any(axis=1).mean()
    assert hypervolume(gain, kept) @ kept == pytest.approx(dominated, abs=4 * np.sqrt(0.25 / len(thrown)))


def test_a_front_chosen_on_other_images_is_not_larger_for_its_noise() -> None:
    """Twenty points of the same gain keep 0.8 in truth: the largest of twenty noisy ones is no estimate of that."""
    generator = np.random.default_rng(0)
    gain = np.ones(20)
    validation, test = 0.8 + 0.05 * generator.standard_normal((2, 2000, 20))
    honest = [hypervolume(gain, other) @ kept for other, kept in zip(validation, test, strict=True)]
    own = [hypervolume(gain, kept) @ kept for kept in test]
    assert np.mean(honest) == pytest.approx(0.8, abs=0.005)
    assert np.mean(own) > 0.88


@given(curves)
def test_the_front_has_no_dominated_point_and_dominates_the_rest(points: tuple[Vector, Vector]) -> None:
    pairs = list(zip(*points, strict=True))
    best = front(*points)
    assert best.any()

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one[0] >= other[0] and one[1] >= other[1] and one != other

    for place, pair in enumerate(pairs):
        assert best[place] == (not any(beats(other, pair) for other in pairs))
        assert best[place] or any(beats(pairs[other], pair) for other in np.flatnonzero(best))
