"""Accuracies against scikit-learn, with ties and undefined cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from gelo.tasks.metrics.classification import mean_per_class, top1, topk
from gelo.tasks.metrics.scores import UndefinedMetric


@pytest.mark.parametrize("seed", range(10))
def test_accuracies_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.choice([0, 1, 2, 5, 7], 60), rng.integers(0, 8, 60)
    assert top1(predicted, labels) == pytest.approx(accuracy_score(labels, predicted))
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)  # scikit-learn remarks on predicted classes that no label has
        assert mean_per_class(predicted, labels) == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_mean_per_class_by_hand() -> None:
    # class 0: 3 of 4; class 1: 0 of 1; class 2 is not in the labels and does not count.
    assert mean_per_class([0, 0, 0, 2, 0], [0, 0, 0, 0, 1]) == pytest.approx(0.375)
    assert top1([0, 0, 0, 2, 0], [0, 0, 0, 0, 1]) == pytest.approx(0.6)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_topk_equals_a_stable_sort(k: int) -> None:
    rng = np.random.default_rng(k)
    logits, labels = rng.integers(0, 4, (200, 8)).astype(float), rng.integers(0, 8, 200)  # heavily tied
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    assert topk(logits, labels, k) == pytest.approx(np.mean([y in row for y, row in zip(labels, best, strict=True)]))
    if k == 1:
        assert topk(logits, labels, 1) == top1(np.argmax(logits, axis=1), labels)


def test_undefined() -> None:
    with pytest.raises(UndefinedMetric, match="top-5: 5 classes, more than 5 needed"):
        topk(np.zeros((3, 5)), [0, 1, 2], 5)
    with pytest.raises(UndefinedMetric, match="no images"):
        topk(np.zeros((0, 5)), np.zeros(0, int), 1)
    for metric in (top1, mean_per_class):
        with pytest.raises(UndefinedMetric, match="no images"):
            metric([], [])
        with pytest.raises(ValueError, match="two equal lengths"):
            metric([1], [1, 2])
