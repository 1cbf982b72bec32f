"""How far two encoders' features of the same images lie apart: mean cosine, and linear CKA, which sees no rotation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gelo.tasks.metrics.scores import UndefinedMetric

_LEAST = 4  # images: the unbiased estimate divides by n (n - 3)


def feature_drift(before: ArrayLike, after: ArrayLike) -> float:
    """Mean of 1 - cosine of an image's two features, (n, d) both; in [0, 2], 0 = none turned. Raises UndefinedMetric for n = 0, and for
    features that are zero or not finite."""
    one, two = _paired(before, after)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    if not len(one) or not np.isfinite(lengths).all() or not lengths.all():
        raise UndefinedMetric(
            f"feature drift: {len(one)} images, at least 1 needed, none of features that are zero or not finite"
        )
    return float(np.mean(1 - np.einsum("nd,nd->n", one, two) / lengths))


def linear_cka(before: ArrayLike, after: ArrayLike) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414, equation 1) of (n, d) and (n, e), debiased.

    1 of features that differ by a rotation, a shift and a factor; around 0, also below, of those that share nothing.

    Each HSIC is the unbiased estimate of Song et al. 2012 (JMLR 13, equation 5): the plain one is close to 1 for any two encoders where
    there are fewer images than dimensions. It is made of d x e products, so that n does not count squared. Raises UndefinedMetric for fewer
    than 4 images, and where one side does not vary or is not finite.
    """
    one, two = _paired(before, after)
    if len(one) < _LEAST or not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise UndefinedMetric(f"CKA: {len(one)} images, at least {_LEAST} needed, all of finite features")
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)  # changes nothing but the rounding
    own = _hsic(one, one), _hsic(two, two)
    if min(own) <= 0:
        raise UndefinedMetric("CKA: the features of one encoder do not vary over the images")
    return float(_hsic(one, two) / np.sqrt(own[0] * own[1]))


def _hsic(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Unbiased, of the kernels K = one one^T and L = two two^T without their diagonals, times n (n - 3)."""
    n = len(one)
    k, l = np.einsum("nd,nd->n", one, one), np.einsum("nd,nd->n", two, two)  # noqa: E741
    rows_k, rows_l = one @ one.sum(axis=0) - k, two @ two.sum(axis=0) - l
    trace = np.square(one.T @ two).sum() - k @ l
    return float(trace + rows_k.sum() * rows_l.sum() / ((n - 1) * (n - 2)) - 2 * (rows_k @ rows_l) / (n - 2))


def _paired(before: ArrayLike, after: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, two = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if one.ndim != 2 or two.ndim != 2 or len(one) != len(two):
        raise ValueError(f"features are {one.shape} and {two.shape}: two matrices with a row an image are needed")
    return one, two
