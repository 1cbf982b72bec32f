"""The probe's solver against scikit-learn's: the same objective, the same minimum, the same answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from gelo.tasks.logistic import Fit, path

STRENGTHS = (0.01, 0.3, 10.0, 300.0)


def problem(
    seed: int, rows: int, dim: int, kinds: int, condition: float = 30.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Normalised features of overlapping classes whose directions differ in size by `condition`."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(kinds), rng.integers(0, kinds, rows - kinds)])
    x = 0.6 * rng.standard_normal((kinds, dim))[labels] + rng.standard_normal((rows, dim))
    x *= np.geomspace(1, 1 / condition, dim)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def objective(
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
    x: NDArray[np.floating],
    labels: NDArray[np.integer],
    value: float,
) -> float:
    """scikit-learn's, in float64, over its own parameters: (d, K), or one column for two classes."""
    logits = x.astype(np.float64) @ weight + bias
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    fit = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].sum()
    return float(fit + (weight.astype(np.float64) ** 2).sum() / (2 * value))


def as_theirs(fit: Fit) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    if len(fit.classes) > 2:
        return fit.weight, fit.bias
    return fit.weight[:, 1:] - fit.weight[:, :1], fit.bias[1:] - fit.bias[:1]


@pytest.mark.parametrize(("rows", "dim", "kinds"), [(200, 16, 5), (90, 40, 2), (60, 100, 3), (300, 8, 12)])
def test_it_is_scikit_learns_minimum_at_every_c(rows: int, dim: int, kinds: int) -> None:
    x, labels = problem(rows, rows, dim, kinds)
    test, _ = problem(rows + 1, 100, dim, kinds)
    for fit in path(x, labels, STRENGTHS):
        theirs = LogisticRegression(C=fit.C, tol=1e-10, max_iter=100_000).fit(x.astype(np.float64), labels)
        best = objective(theirs.coef_.T, theirs.intercept_, x, labels, fit.C)
        assert fit.converged
        assert objective(*as_theirs(fit), x, labels, fit.C) == pytest.approx(best, rel=1e-4)
        np.testing.assert_allclose(softmax(fit.logits(test), axis=1), theirs.predict_proba(test), atol=5e-3)
        assert np.mean(fit.predict(test) == theirs.predict(test)) >= 0.99


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 6),
    st.sampled_from([1.0, 100.0, 10_000.0]),
    st.sampled_from([0.01, 1.0, 1000.0]),
)
def test_the_gradient_vanishes_whatever_the_problem(seed: int, kinds: int, condition: float, value: float) -> None:
    """In float64, from the answer alone: d/dW = X'(P - Y)/N + W/(C N), twice the penalty for two classes; the bias without it."""
    x, labels = problem(seed, 50, 12, kinds, condition)
    fit = path(x, labels, [value])[0]
    weight = fit.weight.astype(np.float64)
    chances = softmax(x.astype(np.float64) @ weight + fit.bias, axis=1)
    left = (chances - np.eye(kinds)[labels]) / len(x)
    penalty = (2 if kinds == 2 else 1) * weight / (value * len(x))
    assert np.abs(x.T @ left + penalty).max() <= 3e-5
    assert np.abs(left.sum(axis=0)).max() <= 3e-5


def test_the_order_and_the_company_of_c_change_nothing_that_counts() -> None:
    x, labels = problem(3, 150, 10, 4)
    together = path(x, labels, [10.0, 0.1, 1.0])
    assert [fit.C for fit in together] == [10.0, 0.1, 1.0]
    for fit in together:
        alone = path(x, labels, [fit.C])[0]
        np.testing.assert_allclose(softmax(fit.logits(x), axis=1), softmax(alone.logits(x), axis=1), atol=2e-3)
        assert path(x, labels, [fit.C])[0].weight.tobytes() == alone.weight.tobytes()


def test_labels_need_not_be_numbered_without_gaps() -> None:
    x, labels = problem(5, 80, 6, 3)
    odd = np.array([4, 9, 17])[labels]
    plain, gapped = path(x, labels, [1.0])[0], path(x, odd, [1.0])[0]
    np.testing.assert_array_equal(gapped.predict(x), np.array([4, 9, 17])[plain.predict(x)])


@pytest.mark.parametrize(
    ("labels", "strengths"), [([0, 0, 0], [1.0]), ([0, 1], [1.0]), ([0, 1, 0], [0.0]), ([0, 1, 0], [float("inf")])]
)
def test_what_cannot_be_fitted(labels: list[int], strengths: list[float]) -> None:
    with pytest.raises(ValueError, match=r"at least 2|positive"):
        path(np.eye(3), np.array(labels), strengths)
