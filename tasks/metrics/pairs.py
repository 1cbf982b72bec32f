"""Comparisons of templates (images) that depend on each other: two that share a subject err together.

Sized for IJB-C's 15.7 million: scores are sorted once, and a ROC is made of the part of them that decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gelo.tasks.metrics.curves import Curve
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.roc_intervals import Read, Roc
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.metrics.verification import TarAtFar

_WIDE = 5.0  # standard errors of FAR around the rate: no interval reaches as far


def subjects(same: NDArray[np.bool_], one: NDArray[np.integer], two: NDArray[np.integer]) -> NDArray[np.int32]:
    """(things,): of each thing the number of its subject, which is what genuine pairs join. Pairs (P,) of things, numbered from 0."""
    things = 1 + max(int(one.max(initial=0)), int(two.max(initial=0)))
    joined = coo_array((np.ones(int(same.sum()), dtype=np.int8), (one[same], two[same])), shape=(things, things))
    return np.asarray(connected_components(joined, directed=False)[1], dtype=np.int32)


class Comparisons:
    """Scores (P,) of pairs of same or different subject (P,), of things one and two (P,), numbered from 0.

    See `subjects`. genuine, impostor: scores in ascending order.
    """

    def __init__(
        self, scores: Scores, same: NDArray[np.bool_], one: NDArray[np.integer], two: NDArray[np.integer]
    ) -> None:
        subject = subjects(same, one, two)
        order = np.argsort(scores[same], kind="stable")
        self.genuine = Scores(scores[same][order])
        self._genuine = Sample(self.genuine, subject[one[same]][order])
        self._impostors = _Impostors(Scores(scores[~same]), subject[one[~same]], subject[two[~same]])
        self.impostor = Scores(np.sort(self._impostors.scores))

    def frr_at_far(self, rate: float, found: TarAtFar) -> Read:
        """Of FRR where FAR is `rate`, as `tar_at_far_sorted` found it."""
        worth = self._impostors.effective(rate, self._impostors.scores >= found.threshold.value)
        most = min(
            1.0, max(rate, found.far) + _WIDE * float(np.sqrt(rate * (1 - rate) / worth)) + 2 / self.impostor.size
        )
        lowest = self.impostor[max(0, self.impostor.size - 1 - int(most * self.impostor.size))]
        roc = Roc(self._genuine, self._impostors, _upper(self.genuine, self.impostor, lowest))
        return roc.frr_at_far(rate, 1 - found.tar)


class _Impostors(Sample):
    """Impostor comparisons (N,), each of two subjects: all that share one of them are dependent (Cameron and Miller 2014)."""

    def __init__(self, scores: Scores, one: NDArray[np.int32], two: NDArray[np.int32]) -> None:
        super().__init__(scores)
        self._ends = one, two
        self._each = _added(np.bincount(one), np.bincount(two))

    def effective(self, rate: float, outcomes: NDArray[np.bool_] | NDArray[np.float64] | None = None) -> float:
        """Comparisons over the variance of their sum, over that of independent ones; at most as many as there are."""
        if outcomes is None:
            return float(self.scores.size)
        seen = np.flatnonzero(outcomes)
        share = seen.size / self.scores.size
        if share in (0, 1):
            return float(self.scores.size)
        errors = _added(np.bincount(self._ends[0][seen]), np.bincount(self._ends[1][seen]))
        sums = _added(errors, -share * self._each)
        square = self.scores.size * share * (1 - share)
        # Each comparison's own square stands in the sums of both its subjects.
        return self.scores.size / max(1.0, (float(sums @ sums) - square) / square)


def _added(one: NDArray[np.number], two: NDArray[np.number]) -> NDArray[np.number]:
    """The sum of two vectors, the shorter filled up with zeros."""
    total = np.zeros(max(one.size, two.size), dtype=np.result_type(one, two))
    total[: one.size] += one
    total[: two.size] += two
    return total


def _upper(genuine: Scores, impostor: Scores, lowest: float) -> Curve:
    """The ROC of scores in ascending order down to `lowest`, and its last point, which accepts all."""
    above = genuine[np.searchsorted(genuine, lowest) :], impostor[np.searchsorted(impostor, lowest) :]
    thresholds = np.unique(np.concatenate(above))[::-1]
    counts = []
    for scores in (genuine, impostor):
        accepted = scores.size - np.searchsorted(scores, thresholds, side="left")
        counts.append(np.concatenate([[0], accepted, [scores.size]]))
    return Curve(np.append(thresholds, min(genuine[0], impostor[0], thresholds[-1])), *counts)
