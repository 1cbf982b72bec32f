"""1:N identification: searches of a gallery of subjects; closed set (rank) and open set (TPIR at a FPIR).

Words of ISO/IEC 19795-1: a search is mated when its subject is in the gallery. Rates are in [0, 1], higher is better. Ties count against
the system: a subject that scores as high as the right one stands before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric, exact, needs, needs_resolution


class TpirAtFpir(NamedTuple):
    """tpir: share of mated searches answered; fpir: share of non-mated ones that raise an alarm; threshold: the score both are read at."""

    tpir: float
    fpir: float
    threshold: Threshold


def ranks(similarity: NDArray[np.floating], own: ArrayLike) -> NDArray[np.int64]:
    """Rank (Q,) of the right subject of each mated search, from 1: the subjects that score as high as it or higher.

    similarity: (Q, S), the score of each search with each subject. own: (Q,) column of the right one.
    """
    mate = np.take_along_axis(similarity, np.asarray(own, dtype=np.intp)[:, None], axis=1)
    return np.count_nonzero(similarity >= mate, axis=1).astype(np.int64)


def rank_k(rank: ArrayLike, k: int, subjects: int) -> float:
    """Share of mated searches whose right subject is among the first k (the closed-set CMC at k). rank: (M,) from 1.

    Raises UndefinedMetric for no searches, and for k >= subjects, where every answer would count as right.
    """
    place = np.asarray(rank, dtype=np.int64)
    if k < 1:
        raise ValueError(f"k = {k}: at least 1 needed")
    if k >= subjects:
        raise UndefinedMetric(f"rank-{k}: {subjects} subjects in the gallery, more than {k} needed")
    if place.size == 0:
        raise UndefinedMetric(f"rank-{k}: no mated searches, at least 1 needed")
    return float(np.mean(place <= k))


def tpir_at_fpir(mate: Scores, rank: ArrayLike, alarm: Scores, rate: float, *, chosen_on: str) -> TpirAtFpir:
    """Share of mated searches whose right subject comes first and at or above the lowest threshold with FPIR <= `rate`.

    mate: (M,) score of the right subject, rank: (M,) its rank; so 1 - TPIR is ISO's FNIR(N, 1, T). alarm: (U,) the highest score of
    each non-mated search, any of which at or above the threshold is a false positive (ISO/IEC 19795-1; IJB-C: Maze et al. 2018, 4).
    FPIR never exceeds `rate`; it is lower where scores tie. Raises UndefinedMetric for no searches of either kind, and for a rate
    below 1 / non-mated searches.
    """
    needs(mate, "tpir_at_fpir", "mated searches")
    needs(alarm, "tpir_at_fpir", "non-mated searches")
    needs_resolution(rate, alarm.size, "FPIR", "non-mated searches")
    goal = exact(rate)
    allowed = goal.numerator * alarm.size // goal.denominator  # fewer than all
    refused = float(np.partition(alarm, alarm.size - 1 - allowed)[alarm.size - 1 - allowed])
    value = float(np.nextafter(refused, np.inf))
    hits = (np.asarray(rank) == 1) & (mate >= value)
    threshold = Threshold(value, f"FPIR <= {rate:g}", chosen_on)
    return TpirAtFpir(float(np.mean(hits)), float(np.mean(alarm >= value)), threshold)
