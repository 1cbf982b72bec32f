"""Feature drift and CKA against their definitions: a U-statistic counted out, the plain CKA for many images, and what neither may see."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cosine
from scipy.stats import ortho_group

from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.metrics.similarity import feature_drift, linear_cka

Matrix = NDArray[np.float64]


def drawn(seed: int, *shape: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal(shape)


def hsic(k: Matrix, l: Matrix) -> float:  # noqa: E741
    """Song et al. 2012, equation 4: the mean over all (i, j, q, r) without repetition."""
    terms = [k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(len(k)), 4)]
    return float(np.mean(terms))


@pytest.mark.parametrize("images", [4, 5, 7])
def test_cka_is_made_of_the_u_statistic_over_all_quadruples(images: int) -> None:
    one = drawn(0, images, 3) + 2
    two = np.hstack([one[:, :2] + 0.3 * drawn(1, images, 2), drawn(2, images, 3)])
    k, l = one @ one.T, two @ two.T  # noqa: E741
    expected = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    assert linear_cka(one, two) == pytest.approx(expected, rel=1e-9)


def test_of_many_images_it_is_kornbliths() -> None:
    """Equation 1 in features: ||Y^T X||^2 / (||X^T X|| ||Y^T Y||) of centred columns."""
    one = drawn(3, 4000, 6) @ np.diag([3.0, 2, 1, 1, 1, 1])
    two = one @ drawn(4, 6, 5) + drawn(5, 4000, 5)
    x, y = one - one.mean(0), two - two.mean(0)
    plain = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(one, two) == pytest.approx(plain, abs=2e-3) and 0.3 < plain < 0.99


def test_what_shares_nothing_is_around_0_where_there_are_fewer_images_than_dimensions() -> None:
    found = [linear_cka(drawn(seed, 16, 64), drawn(1000 + seed, 16, 64)) for seed in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found)) < 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_it_sees_no_rotation_shift_or_factor(seed: int, factor: float, shift: float) -> None:
    one, two = drawn(seed, 12, 4), drawn(seed + 1, 12, 4)
    turned = factor * two @ ortho_group.rvs(4, random_state=seed % 2**32) + shift
    assert linear_cka(one, turned) == pytest.approx(linear_cka(one, two), abs=1e-7)
    assert linear_cka(one, turned) == pytest.approx(linear_cka(turned, one), abs=1e-9)
    assert linear_cka(two, turned) == pytest.approx(1, abs=1e-7) and linear_cka(two, two) == pytest.approx(1, abs=1e-12)


def test_drift_is_scipys_cosine_distance() -> None:
    one, two = drawn(0, 9, 5), drawn(1, 9, 5)
    assert feature_drift(one, two) == pytest.approx(np.mean([cosine(*pair) for pair in zip(one, two, strict=True)]))
    assert feature_drift(one, 7 * one) == pytest.approx(0, abs=1e-12) and feature_drift(one, -one) == pytest.approx(2)


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (drawn(0, 3, 2), drawn(1, 3, 2), "3 images, at least 4"), (drawn(0, 8, 2), np.ones((8, 2)), "do not vary"),
        (drawn(0, 8, 2), np.full((8, 2), np.nan), "finite"),
    ],
)  # fmt: skip
def test_what_has_no_cka_says_why(one: Matrix, two: Matrix, said: str) -> None:
    with pytest.raises(UndefinedMetric, match=said):
        linear_cka(one, two)


@pytest.mark.parametrize("two", [np.zeros((4, 3)), np.full((4, 3), np.inf)], ids=["zero", "infinite"])
def test_features_without_a_direction_have_no_drift(two: Matrix) -> None:
    with pytest.raises(UndefinedMetric, match="zero or not finite"):
        feature_drift(drawn(0, 4, 3), two)
    with pytest.raises(ValueError, match="a row an image"):
        feature_drift(drawn(0, 3, 3), two)
