"""What a task's settings, remedies and points in time are chosen by: one number of validation images, higher = better.

`chosen` says which images, from the labels alone; `score` the number, from their features. Both are functions of what they are given.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.metrics.errors import eer
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, as_scores
from gelo.tasks.metrics.verification import fold_accuracy
from gelo.tasks.protocols.heads import head_scores
from gelo.tasks.protocols.inputs import normalised

Rows = NDArray[np.int64]
Detector = tuple[NDArray[np.floating], NDArray[np.floating]]  # (weight (2, d), bias (2,)) of a trained head
EACH, FOLDS = 4, 10  # images of one identity; folds, of two identities at the least
_FEWEST = 4  # identities of two folds


def identities(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> Rows:
    """At most `count` rows: two to four of each identity that has two, the more identities the fewer of each until there are 20; identities
    and their images in an order that `rng` draws. None where there are fewer than four identities."""
    each = min(max(count // (2 * FOLDS), 2), EACH)
    order = rng.permutation(len(labels))
    by_identity: dict[int, list[int]] = {}
    for row in order.tolist():
        by_identity.setdefault(int(labels[row]), []).append(row)
    rows: list[int] = []
    for own in by_identity.values():
        taken = own[: min(each, count - len(rows))]
        rows += taken if len(taken) > 1 else []
    return np.array(rows if len({int(labels[row]) for row in rows}) >= _FEWEST else [], np.int64)


def balanced(labels: NDArray[np.integer], count: int, rng: np.random.Generator) -> Rows:
    """At most `count` rows, as many of each class as there are, classes in turn, in an order that `rng` draws."""
    order = rng.permutation(len(labels))
    by_class = [order[labels[order] == label] for label in np.unique(labels)]
    each = min([count // max(len(by_class), 1), *(len(own) for own in by_class)])
    return np.stack([own[:each] for own in by_class], axis=1).reshape(-1) if by_class else order


def pairs(labels: NDArray[np.integer]) -> tuple[Rows, Rows, NDArray[np.bool_], Rows]:
    """(one, two, same, fold), (P,) each: all pairs of one identity, and as many of two in every fold, drawn by a seed of its own. Folds
    share no identity: 10, or fewer where there are fewer than 20 identities. Raises UndefinedMetric for fewer than four."""
    names = list(dict.fromkeys(labels.tolist()))
    folds = min(FOLDS, len(names) // 2)
    if len(names) < _FEWEST:
        raise UndefinedMetric(f"verification: {len(names)} identities of two images, at least 4 needed")
    rng, found = np.random.default_rng(0), list[tuple[int, int, bool, int]]()
    for fold in range(folds):
        members = [np.flatnonzero(labels == name).tolist() for name in names[fold::folds]]
        genuine = [pair for own in members for pair in combinations(own, 2)]
        strangers = [(i, j) for a, b in combinations(members, 2) for i in a for j in b]
        drawn = rng.permutation(len(strangers))[: len(genuine)].tolist()
        found += [(i, j, True, fold) for i, j in genuine]
        found += [(*strangers[place], False, fold) for place in drawn]
    one, two, same, fold_of = (np.array(column) for column in zip(*found, strict=True))
    return one, two, same, fold_of


def verification(
    features: NDArray[np.floating], labels: NDArray[np.integer], detector: Detector | None = None
) -> float:
    """Mean fold accuracy of `pairs`, thresholds from the other folds (deepinsight/insightface:
    recognition/arcface_torch/eval/verification.py). features (N, d): of the images alone, where the protocol adds those of their mirror
    images, at half its cost. Raises UndefinedMetric for too few identities."""
    one, two, same, fold = pairs(labels)
    found = normalised(features)
    return fold_accuracy(as_scores(-np.sum((found[one] - found[two]) ** 2, axis=1)), same, fold).mean


def detection(features: NDArray[np.floating], labels: NDArray[np.integer], detector: Detector | None = None) -> float:
    """1 - EER of the trained head's bona fide scores, the crossing interpolated; label 1 = bona fide. Raises UndefinedMetric for one class
    only, and without a head of two classes."""
    if detector is None:
        raise UndefinedMetric("detection: no head with logits of two classes")
    scores = head_scores(features, *detector)
    return 1.0 - eer(Scores(scores[labels == 1]), Scores(scores[labels != 1]), chosen_on="the same images").value
