"""Accuracy of a many-class decision, in [0, 1], higher is better. Equal logits go to the lower class index, as `argmax`
does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gelo.tasks.metrics.scores import UndefinedMetric


def top1(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Share of images whose predicted class is their label; both (N,) integers. Raises UndefinedMetric for N = 0."""
    guess, truth = _pair(predicted, labels, "top1")
    return float(np.mean(guess == truth))


def mean_per_class(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Mean over the classes *present in labels* of the share found; both (N,) integers. Raises UndefinedMetric for N =
    0.
    """
    guess, truth = _pair(predicted, labels, "mean_per_class")
    _, index, sizes = np.unique(truth, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(index, weights=guess == truth) / sizes))


def topk(logits: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Share of images whose label is among the k highest of logits (N, K).

    Raises UndefinedMetric for N = 0 and for k >= K, where every answer would count as right.
    """
    values = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    if k < 1:
        raise ValueError(f"k = {k}: at least 1 needed")
    if k >= values.shape[1]:
        raise UndefinedMetric(f"top-{k}: {values.shape[1]} classes, more than {k} needed")
    if truth.size == 0:
        raise UndefinedMetric(f"top-{k}: no images, at least 1 needed")
    own = np.take_along_axis(values, truth[:, None], axis=1)
    ahead = (values > own) | ((values == own) & (np.arange(values.shape[1]) < truth[:, None]))
    return float(np.mean(ahead.sum(axis=1) < k))


def _pair(predicted: ArrayLike, labels: ArrayLike, metric: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    guess, truth = np.asarray(predicted, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    if guess.shape != truth.shape or truth.ndim != 1:
        raise ValueError(f"{metric}: shapes {guess.shape} and {truth.shape}, two equal lengths needed")
    if truth.size == 0:
        raise UndefinedMetric(f"{metric}: no images, at least 1 needed")
    return guess, truth
