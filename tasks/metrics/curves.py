"""The full ROC of two score sets as integer counts, and what is read off it.

Decisions: every distinct score is a point (`thinned` is scikit-learn's choice of them), and nearness and ties are decided on integers, so
that no rounding of a rate decides which point is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.metrics.scores import Scores, Threshold, exact, needs


@dataclass(frozen=True, slots=True)
class Curve:
    """Accepted counts at each threshold, strictest first.

    thresholds: (M,) distinct scores, descending. genuine, impostor: (M + 1,) int64, how many are accepted (score >= threshold); point 0
    accepts none, point k accepts down to thresholds[k - 1]; the last accepts all.
    """

    thresholds: NDArray[np.float64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]

    @property
    def genuine_total(self) -> int:
        return int(self.genuine[-1])

    @property
    def impostor_total(self) -> int:
        return int(self.impostor[-1])

    def far(self) -> NDArray[np.float64]:
        """Share of impostors (attacks) accepted, (M + 1,)."""
        return self.impostor / self.impostor_total

    def frr(self) -> NDArray[np.float64]:
        """Share of genuine (bona fide) rejected, (M + 1,)."""
        return (self.genuine_total - self.genuine) / self.genuine_total

    def balance(self, point: int) -> int:
        """(FAR - FRR) x genuine x impostor at `point`, an integer: never falls along the curve, 0 where the errors are equal."""
        genuine, impostor = self.genuine_total, self.impostor_total
        return int(self.impostor[point]) * genuine + int(self.genuine[point]) * impostor - genuine * impostor

    def crossing(self) -> int:
        """First point with FAR >= FRR; at least 1, since point 0 has FAR 0 and FRR 1."""
        return self._first(0)

    def eer(self) -> float:
        """Where FAR meets FRR on the straight line between the two points that bracket the crossing."""
        after = self.crossing()
        low, high = self.balance(after - 1), self.balance(after)
        before, then = int(self.impostor[after - 1]), int(self.impostor[after])
        return before / self.impostor_total + -low / (high - low) * (
            then / self.impostor_total - before / self.impostor_total
        )

    def nearest_equal(self) -> int:
        """First point minimising |TPR + FPR - 1|: the papers' EER point (gurayozgur/MADation: src/utils/utils.py)."""
        after = self.crossing()
        low = self.balance(after - 1)
        return self._first(low) if -low <= self.balance(after) else after  # `after` is the first of its own level

    def eer_nearest_fpr(self) -> float:
        """FAR at `nearest_equal`."""
        return int(self.impostor[self.nearest_equal()]) / self.impostor_total

    def hter_at_nearest_equal(self) -> float:
        """Half the sum of both errors at `nearest_equal`."""
        return self._half(self.nearest_equal())

    def far_at_frr(self, rate: float) -> float:
        """FAR at the point whose FRR is nearest to `rate`, the last such point (worst FAR) on a tie."""
        distance = _distance(self.genuine_total - self.genuine, self.genuine_total, rate)
        return int(self.impostor[_last_minimum(distance)]) / self.impostor_total

    def frr_at_far(self, rate: float) -> float:
        """FRR at the point whose FAR is nearest to `rate`, the first such point (worst FRR) on a tie."""
        distance = _distance(self.impostor, self.impostor_total, rate)
        return (self.genuine_total - int(self.genuine[np.argmin(distance)])) / self.genuine_total

    def nearest_far(self, rate: float) -> int:
        """Point whose FAR is nearest to `rate`, the last (largest TAR) on a tie."""
        return _last_minimum(_distance(self.impostor, self.impostor_total, rate))

    def auc(self) -> float:
        """Share of genuine-impostor pairs in the right order, a tie counted as half. Exact in integers up to the division."""
        twice = int(np.sum(np.diff(self.impostor) * (self.genuine[1:] + self.genuine[:-1])))
        return twice / (2 * self.genuine_total * self.impostor_total)

    def hter_at(self, threshold: Threshold) -> float:
        """Half the sum of both errors at a threshold chosen elsewhere."""
        return self._half(int(np.sum(self.thresholds >= threshold.value)))

    def thinned(self) -> Curve:
        """The points that scikit-learn's `roc_curve` keeps by default: no point between two neighbours at equal steps.

        The papers' code reads its nearest points off this curve (gurayozgur/MADation: src/utils/utils.py; gurayozgur/FoundPAD:
        src/training/trainer.py).
        """
        if self.thresholds.size < 3:
            return self
        corner = (np.diff(self.impostor[1:], 2) != 0) | (np.diff(self.genuine[1:], 2) != 0)
        kept = np.concatenate([[True], corner, [True]])
        points = np.concatenate([[True], kept])
        return Curve(self.thresholds[kept], self.genuine[points], self.impostor[points])

    def _half(self, point: int) -> float:
        genuine = self.genuine_total
        return (int(self.impostor[point]) / self.impostor_total + (genuine - int(self.genuine[point])) / genuine) / 2

    def _first(self, level: int) -> int:
        """First point whose balance is at least `level`, which is at most that of the last point: found by halving."""
        low, high = 0, self.thresholds.size
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.balance(middle) >= level else (middle + 1, high)
        return high

    def score_at(self, point: int) -> float:
        """The lowest score that `point` accepts; for point 0, which accepts none, the next number above the highest
        score.
        """
        return float(np.nextafter(self.thresholds[0], np.inf) if point == 0 else self.thresholds[point - 1])

    def between(self, point: int) -> float:
        """A score that accepts just what `point` does, midway to the next lower score (to carry to another set)."""
        high = self.score_at(point)
        if point == 0 or point == self.thresholds.size:
            return high
        low = float(self.thresholds[point])
        middle = low / 2 + high / 2
        return middle if low < middle <= high else high  # neighbouring floats have no middle


def curve(genuine: Scores, impostor: Scores) -> Curve:
    """The ROC of genuine (P,) against impostor (N,) scores. Raises UndefinedMetric when either class is empty."""
    thresholds = _thresholds(genuine, impostor)
    return Curve(thresholds, _above(np.sort(genuine), thresholds), _above(np.sort(impostor), thresholds))


def _thresholds(genuine: Scores, impostor: Scores) -> NDArray[np.float64]:
    needs(genuine, "ROC", "genuine (bona fide) scores")
    needs(impostor, "ROC", "impostor (attack) scores")
    return np.unique(np.concatenate([genuine, impostor]))[::-1]


def _above(ascending: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores each point accepts, (M + 1,)."""
    above = np.zeros(thresholds.size + 1, dtype=np.int64)
    np.subtract(ascending.size, np.searchsorted(ascending, thresholds, side="left"), out=above[1:])
    return above


def _distance(count: NDArray[np.int64], total: int, rate: float) -> NDArray[np.int64]:
    """|count / total - rate| x total x denominator, as integers."""
    goal = exact(rate)
    return np.abs(count * goal.denominator - goal.numerator * total)


def _last_minimum(values: NDArray[np.int64]) -> int:
    return values.size - 1 - int(np.argmin(values[::-1]))
