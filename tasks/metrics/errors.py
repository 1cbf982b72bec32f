"""Errors of a two-class decision, all in [0, 1], lower is better (AUC: higher); higher score = genuine / bona fide.

Words: far and frr for comparisons (ISO/IEC 19795-1), apcer and bpcer for presentations and morphs (ISO/IEC 30107-3,
20059). Accepted means score >= threshold. No function takes a bare number as threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric, needs, needs_resolution


class EqualError(NamedTuple):
    """An equal error rate and the threshold that goes with it."""

    value: float
    threshold: Threshold


def far(impostor: Scores, threshold: Threshold) -> float:
    """Share of impostor comparisons accepted. Raises UndefinedMetric without any."""
    needs(impostor, "far", "impostor scores")
    return float(np.mean(impostor >= threshold.value))


def frr(genuine: Scores, threshold: Threshold) -> float:
    """Share of genuine comparisons rejected. Raises UndefinedMetric without any."""
    needs(genuine, "frr", "genuine scores")
    return float(np.mean(genuine < threshold.value))


def apcer(attacks: Scores, threshold: Threshold) -> float:
    """Share of the presentations of one attack instrument that is accepted. Raises UndefinedMetric without any."""
    needs(attacks, "apcer", "attack presentations")
    return float(np.mean(attacks >= threshold.value))


def bpcer(bona_fide: Scores, threshold: Threshold) -> float:
    """Share of bona fide presentations rejected. Raises UndefinedMetric without any."""
    needs(bona_fide, "bpcer", "bona fide presentations")
    return float(np.mean(bona_fide < threshold.value))


def hter(bona_fide: Scores, attacks: Scores, threshold: Threshold) -> float:
    """Half total error rate: (APCER + BPCER) / 2 with the attacks of every instrument pooled. Raises UndefinedMetric
    for one class.
    """
    return (apcer(attacks, threshold) + bpcer(bona_fide, threshold)) / 2


def apcer_worst(attacks: Mapping[str, Scores], threshold: Threshold) -> float:
    """APCER of the attack instrument that is accepted most often, the one that ISO/IEC 30107-3 reports. Raises UndefinedMetric without
    an instrument, or for one without presentations.
    """
    if not attacks:
        raise UndefinedMetric("apcer_worst: no attack instruments, at least 1 needed")
    return max(apcer(scores, threshold) for scores in attacks.values())


def acer(bona_fide: Scores, attacks: Mapping[str, Scores], threshold: Threshold) -> float:
    """(worst APCER over the attack instruments + BPCER) / 2, as ISO/IEC 30107-3 reads it. Raises UndefinedMetric for
    one class.
    """
    if not attacks:
        raise UndefinedMetric("acer: no attack instruments, at least 1 needed")
    return (apcer_worst(attacks, threshold) + bpcer(bona_fide, threshold)) / 2


def eer(genuine: Scores, impostor: Scores, *, chosen_on: str) -> EqualError:
    """Equal error rate at the crossing of FAR and FRR, interpolated on the line between the two bracketing points of
    the full ROC.

    The threshold belongs to the bracketing point with the smaller |FAR - FRR| (the stricter on a tie) and lies midway
    between that point's lowest accepted score and the next lower score. `chosen_on` names the set. Raises
    UndefinedMetric for one class.

    >>> round(eer(as_scores([1, 3, 4]), as_scores([0, 1, 2]), chosen_on="example").value, 4)
    0.3333
    """
    roc = curve(genuine, impostor)
    after = roc.crossing()
    point = after if roc.balance(after) < -roc.balance(after - 1) else after - 1
    return EqualError(roc.eer(), Threshold(roc.between(point), "EER, interpolated", chosen_on))


def eer_nearest_fpr(genuine: Scores, impostor: Scores, *, chosen_on: str) -> EqualError:
    """The papers' EER: FAR at the first point of the full ROC that minimises |TPR + FPR - 1| (gurayozgur/MADation:
    src/utils/utils.py).

    Their curve is scikit-learn's; ours is never thinned and ties are decided on integers. Raises UndefinedMetric for
    one class.
    """
    roc = curve(genuine, impostor)
    return EqualError(
        roc.eer_nearest_fpr(),
        Threshold(roc.score_at(roc.nearest_equal()), "min |TPR + FPR - 1|", chosen_on),
    )


def apcer_at_bpcer(bona_fide: Scores, attacks: Scores, rate: float) -> float:
    """APCER where BPCER is nearest to `rate` in (0, 1), the worst APCER on a tie; BPCER may exceed `rate`, as MADation
    reads it. Raises UndefinedMetric for one class, and for a rate below 1 / bona fide presentations.
    """
    needs_resolution(rate, bona_fide.size, "BPCER", "bona fide presentations")
    return curve(bona_fide, attacks).far_at_frr(rate)


def bpcer_at_apcer(bona_fide: Scores, attacks: Scores, rate: float) -> float:
    """BPCER where APCER is nearest to `rate` in (0, 1), the worst BPCER on a tie; APCER may exceed `rate`, as MADation
    reads it. Raises UndefinedMetric for one class, and for a rate below 1 / attack presentations.
    """
    needs_resolution(rate, attacks.size, "APCER", "attack presentations")
    return curve(bona_fide, attacks).frr_at_far(rate)


def auc(genuine: Scores, impostor: Scores) -> float:
    """Area under the ROC: share of genuine-impostor pairs in the right order, a tie counted as half. Raises
    UndefinedMetric.
    """
    return curve(genuine, impostor).auc()
