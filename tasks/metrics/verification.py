"""Verification: ten-fold accuracy of image pairs, and TAR at a FAR of template pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric, exact, needs, needs_resolution

GRID = np.arange(0, 4, 0.01)  # (400,): 0, 0.01, ..., 3.99; squared distances of unit vectors lie in 0..4


class FoldAccuracy(NamedTuple):
    """mean: mean of the fold accuracies. folds, accuracies, thresholds: (F,), by fold. accepted: (P,), the decision on
    each pair.
    """

    mean: float
    folds: NDArray[np.int64]
    accuracies: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    accepted: NDArray[np.bool_]


class TarAtFar(NamedTuple):
    """tar: share of genuine pairs accepted; far: the FAR actually read; threshold: the score it is read at."""

    tar: float
    far: float
    threshold: Threshold


def fold_accuracy(similarity: Scores, same: ArrayLike, folds: ArrayLike) -> FoldAccuracy:
    """Accuracy of "same if squared distance < t", each fold with the t of `GRID` that is best on all other folds.

    similarity: (P,) *negated* squared distance of L2-normalised features, in -4..0. same: (P,) bool. folds: (P,)
    integers. Strict <, the lowest t on a tie, mean over folds (deepinsight/insightface:
    recognition/arcface_torch/eval/verification.py). Raises UndefinedMetric for fewer than two folds or one class only.
    """
    distance = -similarity
    truth = np.asarray(same, dtype=bool)
    names, fold = np.unique(np.asarray(folds, dtype=np.int64), return_inverse=True)
    if names.size < 2:
        raise UndefinedMetric(f"fold accuracy: {names.size} folds, at least 2 needed")
    if truth.all() or not truth.any():
        raise UndefinedMetric("fold accuracy: pairs of one class only, genuine and impostor pairs needed")
    # Pair p is called same at every t from `opens` on; so correct counts along the grid are sums of steps.
    opens = np.searchsorted(GRID, distance, side="right")
    steps = np.zeros((names.size, GRID.size + 1), dtype=np.int64)
    np.add.at(steps, (fold, opens), np.where(truth, 1, -1))
    impostors = np.bincount(fold, weights=~truth, minlength=names.size).astype(np.int64)
    correct = impostors[:, None] + np.cumsum(steps, axis=1)[:, :-1]  # (F, 400)
    best = np.argmax(correct.sum(axis=0) - correct, axis=1)  # argmax takes the first: the lowest t
    sizes = np.bincount(fold, minlength=names.size)
    accuracies = correct[np.arange(names.size), best] / sizes
    return FoldAccuracy(float(accuracies.mean()), names, accuracies, GRID[best], distance < GRID[best][fold])


def tar_at_far(genuine: Scores, impostor: Scores, rate: float, *, chosen_on: str) -> TarAtFar:
    """Share of genuine pairs accepted where FAR is nearest to `rate` (may lie above; the largest TAR on a tie; no
    interpolation).

    Nearest point of scikit-learn's ROC without thinning (deepinsight/insightface:
    recognition/arcface_torch/eval_ijbc.py). Raises UndefinedMetric for one class only, and for a rate below 1 /
    impostors, which no count of impostors can show.
    """
    return tar_at_far_sorted(Scores(np.sort(genuine)), Scores(np.sort(impostor)), rate, chosen_on=chosen_on)


def tar_at_far_sorted(genuine: Scores, impostor: Scores, rate: float, *, chosen_on: str) -> TarAtFar:
    """`tar_at_far` of scores in ascending order: of millions of pairs, one sort serves every rate, and no curve is made."""
    needs(genuine, "tar_at_far", "genuine pairs")
    needs(impostor, "tar_at_far", "impostor pairs")
    needs_resolution(rate, impostor.size, "FAR", "impostor pairs")
    goal, total = exact(rate), impostor.size
    wanted = goal.numerator * total  # impostors to accept, x goal.denominator, so that integers decide what is near
    decided = impostor[total - 1 - wanted // goal.denominator]  # the highest one that would lift FAR above the rate
    more, fewer = (total - int(np.searchsorted(impostor, decided, side=side)) for side in ("left", "right"))
    # The curve has no point with a count between these two; the larger on a tie.
    passing = more if more * goal.denominator - wanted <= wanted - fewer * goal.denominator else fewer
    rejected = impostor[total - 1 - passing] if passing < total else -np.inf
    # Of the points with so many impostors, the last accepts every genuine score above the best rejected impostor.
    first = int(np.searchsorted(genuine, rejected, side="right"))
    lowest = min([*genuine[first : first + 1], *impostor[total - passing : total - passing + 1]], default=None)
    value = np.nextafter(rejected, np.inf) if lowest is None else lowest
    tar = (genuine.size - first) / genuine.size
    return TarAtFar(tar, passing / total, Threshold(float(value), f"FAR nearest {rate:g}", chosen_on))
