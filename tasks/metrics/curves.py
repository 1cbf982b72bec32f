"""The full ROC of two score sets as integer counts, and what is read off it; the same code reads one curve or many
resampled ones.

Decisions: every distinct score is a point (scikit-learn's thinning moves "nearest point" metrics by up to two points of
100), and nearness and ties are decided on integers, so that no rounding of a rate decides which point is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.metrics.intervals import Resampler
from tasks.metrics.scores import Scores, Threshold, exact, needs

_T = TypeVar("_T", np.int64, np.float64)
_BLOCK = 1 << 20  # counts held at a time per class while resampling: 8 MiB


@dataclass(frozen=True, slots=True)
class Curve:
    """Accepted counts at each threshold, strictest first. `...` is empty for one curve, (B,) for B resampled ones.

    thresholds: (M,) distinct scores, descending. genuine, impostor: (..., M + 1) int64, how many are accepted (score >=
    threshold); point 0 accepts none, point k accepts down to thresholds[k - 1]; the last accepts all.
    """

    thresholds: NDArray[np.float64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]

    @property
    def genuine_total(self) -> NDArray[np.int64]:
        return self.genuine[..., -1:]

    @property
    def impostor_total(self) -> NDArray[np.int64]:
        return self.impostor[..., -1:]

    def far(self) -> NDArray[np.float64]:
        """Share of impostors (attacks) accepted, (..., M + 1)."""
        return self.impostor / self.impostor_total

    def frr(self) -> NDArray[np.float64]:
        """Share of genuine (bona fide) rejected, (..., M + 1)."""
        return (self.genuine_total - self.genuine) / self.genuine_total

    def balance(self, point: NDArray[np.int64]) -> NDArray[np.int64]:
        """(FAR - FRR) x genuine x impostor at `point` (...,), an integer: never falls along the curve, 0 where the errors are equal."""
        genuine, impostor = self.genuine_total[..., 0], self.impostor_total[..., 0]
        return _at(self.impostor, point) * genuine + _at(self.genuine, point) * impostor - genuine * impostor

    def crossing(self) -> NDArray[np.int64]:
        """First point with FAR >= FRR, (...,); at least 1, since point 0 has FAR 0 and FRR 1."""
        return self._first(np.zeros(self.genuine.shape[:-1], dtype=np.int64))

    def eer(self) -> NDArray[np.float64]:
        """Where FAR meets FRR on the straight line between the two points that bracket the crossing, (...,)."""
        after = self.crossing()
        low, high = self.balance(after - 1), self.balance(after)
        share = -low / (high - low)
        total = self.impostor_total[..., 0]
        before = _at(self.impostor, after - 1) / total
        return before + share * (_at(self.impostor, after) / total - before)

    def nearest_equal(self) -> NDArray[np.int64]:
        """First point minimising |TPR + FPR - 1|, (...,): the papers' EER point (gurayozgur/MADation:
        src/utils/utils.py).
        """
        after = self.crossing()
        low = self.balance(after - 1)
        return np.where(-low <= self.balance(after), self._first(low), after)  # `after` is the first of its own level

    def eer_nearest_fpr(self) -> NDArray[np.float64]:
        """FAR at `nearest_equal`, (...,)."""
        return _at(self.impostor, self.nearest_equal()) / self.impostor_total[..., 0]

    def hter_at_nearest_equal(self) -> NDArray[np.float64]:
        """Half the sum of both errors at `nearest_equal`, (...,)."""
        point = self.nearest_equal()
        genuine = self.genuine_total[..., 0]
        return (
            _at(self.impostor, point) / self.impostor_total[..., 0] + (genuine - _at(self.genuine, point)) / genuine
        ) / 2

    def far_at_frr(self, rate: float) -> NDArray[np.float64]:
        """FAR at the point whose FRR is nearest to `rate`, the last such point (worst FAR) on a tie, (...,)."""
        distance = _distance(self.genuine_total - self.genuine, self.genuine_total, rate)
        return _at(self.far(), _last_minimum(distance))

    def frr_at_far(self, rate: float) -> NDArray[np.float64]:
        """FRR at the point whose FAR is nearest to `rate`, the first such point (worst FRR) on a tie, (...,)."""
        distance = _distance(self.impostor, self.impostor_total, rate)
        return _at(self.frr(), np.argmin(distance, axis=-1))

    def nearest_far(self, rate: float) -> NDArray[np.int64]:
        """Point whose FAR is nearest to `rate`, the last (largest TAR) on a tie, (...,)."""
        return _last_minimum(_distance(self.impostor, self.impostor_total, rate))

    def auc(self) -> NDArray[np.float64]:
        """Share of genuine-impostor pairs in the right order, a tie counted as half, (...,). Exact in integers up to
        the division.
        """
        twice = np.sum(np.diff(self.impostor, axis=-1) * (self.genuine[..., 1:] + self.genuine[..., :-1]), axis=-1)
        return twice / (2 * self.genuine_total[..., 0] * self.impostor_total[..., 0])

    def hter_at(self, threshold: Threshold) -> NDArray[np.float64]:
        """Half the sum of both errors at a threshold chosen elsewhere, (...,)."""
        point = int(np.sum(self.thresholds >= threshold.value))
        far = self.impostor[..., point] / self.impostor_total[..., 0]
        frr = (self.genuine_total[..., 0] - self.genuine[..., point]) / self.genuine_total[..., 0]
        return (far + frr) / 2

    def _first(self, level: NDArray[np.int64]) -> NDArray[np.int64]:
        """First point whose balance is at least `level` (...,), which is at most that of the last point: found by halving."""
        low = np.zeros_like(level)
        high = np.full_like(level, self.thresholds.size)
        while np.any(low < high):
            middle = (low + high) // 2
            reached = self.balance(middle) >= level
            low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
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


def curve(
    genuine: Scores,
    impostor: Scores,
    genuine_weights: NDArray[np.int64] | None = None,
    impostor_weights: NDArray[np.int64] | None = None,
) -> Curve:
    """The ROC of genuine (P,) against impostor (N,) scores; with weights (B, P) and (B, N), B resampled ones.

    Raises UndefinedMetric when either class is empty.
    """
    thresholds = _thresholds(genuine, impostor)
    if genuine_weights is None or impostor_weights is None:
        return Curve(thresholds, _above(np.sort(genuine), thresholds), _above(np.sort(impostor), thresholds))
    of_genuine, of_impostor = _side(genuine, thresholds), _side(impostor, thresholds)
    weights = genuine_weights[:, of_genuine.order], impostor_weights[:, of_impostor.order]
    return Curve(thresholds, of_genuine.accepted(weights[0]), of_impostor.accepted(weights[1]))


def resampled(
    genuine: Scores, impostor: Scores, draw_genuine: Resampler, draw_impostor: Resampler, replicates: int
) -> Iterator[Curve]:
    """Curves of `replicates` bootstrap draws, in blocks of bounded memory; scores are sorted once for all."""
    thresholds = _thresholds(genuine, impostor)
    of_genuine, of_impostor = _side(genuine, thresholds), _side(impostor, thresholds)
    draw_genuine, draw_impostor = draw_genuine.arranged(of_genuine.order), draw_impostor.arranged(of_impostor.order)
    block = max(1, _BLOCK // (genuine.size + impostor.size))
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        accepted = of_genuine.accepted(draw_genuine.draw(size)), of_impostor.accepted(draw_impostor.draw(size))
        yield Curve(thresholds, *accepted)


@dataclass(frozen=True, slots=True)
class _Side:
    """One class, sorted: order (N,) from the highest score down; above (M + 1,), how many scores each point accepts."""

    order: NDArray[np.intp]
    above: NDArray[np.int64]

    def accepted(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """Accepted counts (B, M + 1) where each score, in `order`, counts `weights` (B, N) times."""
        total = np.zeros((weights.shape[0], self.order.size + 1), dtype=np.int64)
        np.cumsum(weights, axis=1, out=total[:, 1:])
        return np.take(total, self.above, axis=1)


def _thresholds(genuine: Scores, impostor: Scores) -> NDArray[np.float64]:
    needs(genuine, "ROC", "genuine (bona fide) scores")
    needs(impostor, "ROC", "impostor (attack) scores")
    return np.unique(np.concatenate([genuine, impostor]))[::-1]


def _side(scores: Scores, thresholds: NDArray[np.float64]) -> _Side:
    order = np.argsort(scores, kind="stable")
    return _Side(order[::-1], _above(scores[order], thresholds))


def _above(ascending: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores each point accepts, (M + 1,)."""
    above = np.zeros(thresholds.size + 1, dtype=np.int64)
    np.subtract(ascending.size, np.searchsorted(ascending, thresholds, side="left"), out=above[1:])
    return above


def _distance(count: NDArray[np.int64], total: NDArray[np.int64], rate: float) -> NDArray[np.int64]:
    """|count / total - rate| x total x denominator, as integers."""
    goal = exact(rate)
    return np.abs(count * goal.denominator - goal.numerator * total)


def _last_minimum(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values.shape[-1] - 1 - np.argmin(values[..., ::-1], axis=-1)


def _at(values: NDArray[_T], index: NDArray[np.int64]) -> NDArray[_T]:
    return np.take_along_axis(values, np.expand_dims(index, -1), axis=-1)[..., 0]
