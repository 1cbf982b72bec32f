"""95 % intervals of what is read off a ROC: equal error, an error at another, the area.

Errors at a fixed score are two rates; read off a ROC, the score moves with the sample too. So an equal error of e is believed as long as
some point (FAR, FRR) of the ROC is near (e, e): the sum of squared deviations over their binomial variances at e is at most 1.96 squared,
as in Wilson's interval of one rate, at the point where it is least (a profiled score statistic: Rao 1948; Qin and Lawless 1994 for
likelihood). No density is estimated and no sample drawn, so that the ends are exact and never meet. `effective` says how many trials
each class is worth. `benchmarks/coverage.py` measures how often the truth is covered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from gelo.tasks.metrics.curves import Curve, curve
from gelo.tasks.metrics.effective import Z95, Sample
from gelo.tasks.metrics.intervals import Interval

_EDGE = 1e-9  # rates nearer to 0 or 1 are 0 or 1
_WIDE = 8.0  # standard errors, more than any interval reaches


class Read:
    """What is read off a ROC: its interval around `start`, which takes `value` in, and what causes its length.

    distance: the statistic at a rate, with the genuine (bona fide) class counted so many times.
    """

    def __init__(self, distance: Callable[[float, float], float], start: float, value: float) -> None:
        self._distance, self._start, self.value = distance, start, value
        self._known: dict[tuple[float, float], Interval] = {}

    def interval(self) -> Interval:
        return self.ends(Z95)

    def ends(self, z: float) -> Interval:
        low, high = self._around(z, 1)
        return Interval(min(low, self.value), max(high, self.value))

    @cached_property
    def genuine(self) -> tuple[float, float]:
        """Which part of the squared length of the low and of the high side the genuine (bona fide) class causes, in [0, 1]."""
        found, larger = self._around(Z95, 1), self._around(Z95, 4)
        low, high = self._start - found.low, found.high - self._start
        return _part(low, self._start - larger.low), _part(high, larger.high - self._start)

    def _around(self, z: float, times: float) -> Interval:
        if (z, times) not in self._known:
            self._known[z, times] = self._found(z, times)
        return self._known[z, times]

    def _found(self, z: float, times: float) -> Interval:
        def over(rate: float) -> float:
            return self._distance(rate, times) - z * z

        start, inside = self._start, min(max(self._start, _EDGE), 1 - _EDGE)
        if over(inside) >= 0:
            return Interval(start, start)
        low = 0.0 if start <= _EDGE or over(_EDGE) <= 0 else brentq(over, _EDGE, inside, xtol=1e-12)
        high = 1.0 if start >= 1 - _EDGE or over(1 - _EDGE) <= 0 else brentq(over, inside, 1 - _EDGE, xtol=1e-12)
        return Interval(float(low), float(high))


class Roc:
    """A ROC of two samples, genuine (bona fide) and impostor (attack), for its intervals. Raises UndefinedMetric where one is empty.

    of: the curve, where it is there, or the part of it around what is read and its two ends.
    """

    def __init__(self, genuine: Sample, impostor: Sample, of: Curve | None = None) -> None:
        self.genuine, self.impostor = genuine, impostor
        self.curve = curve(genuine.scores, impostor.scores) if of is None else of
        self._far, self._frr = self.curve.far(), self.curve.frr()
        self._rising = -self._frr

    def equal_error(self, value: float) -> Read:
        """Of an equal error rate, by whichever rule it was read as `value`."""
        start = self.curve.eer()
        errors = self._errors(self.curve.crossing())

        def distance(rate: float, more: float) -> float:
            spread = rate * (1 - rate)
            genuine = more * self.genuine.effective(rate, errors[0]) / spread
            return self._nearest(rate, rate, self.impostor.effective(rate, errors[1]) / spread, genuine)

        return Read(distance, start, value)

    def far_at_frr(self, rate: float, value: float) -> Read:
        """Of FAR (APCER) where FRR (BPCER) is `rate`, read as `value`."""
        start = float(np.interp(rate, self._frr[::-1], self._far[::-1]))
        errors = self._errors(int(np.argmin(np.abs(self._frr - rate))))
        fixed = self.genuine.effective(rate, errors[0]) / (rate * (1 - rate))

        def distance(far: float, more: float) -> float:
            return self._nearest(far, rate, self.impostor.effective(far, errors[1]) / (far * (1 - far)), more * fixed)

        return Read(distance, start, value)

    def frr_at_far(self, rate: float, value: float) -> Read:
        """Of FRR (BPCER, 1 - TAR) where FAR (APCER) is `rate`, read as `value`."""
        start = float(np.interp(rate, self._far, self._frr))
        errors = self._errors(int(np.argmin(np.abs(self._far - rate))))
        fixed = self.impostor.effective(rate, errors[1]) / (rate * (1 - rate))

        def distance(frr: float, more: float) -> float:
            return self._nearest(rate, frr, fixed, more * self.genuine.effective(frr, errors[0]) / (frr * (1 - frr)))

        return Read(distance, start, value)

    def area(self, value: float) -> Read:
        """Of the area under the ROC: Hanley and McNeil's variance at each area that is asked about (Newcombe 2006, method 5)."""
        rate = min(max(self.curve.eer(), 0.5 / (self.genuine.scores.size + 1)), 0.5)
        genuine = self.genuine.effective(rate, _below(self.genuine, self.impostor))
        impostor = self.impostor.effective(rate, _below(self.impostor, self.genuine))

        def distance(area: float, more: float) -> float:
            positive, half = more * genuine, (more * genuine + impostor) / 2 - 1
            shape = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
            return (value - area) ** 2 * positive * impostor / (area * (1 - area) * shape)

        return Read(distance, value, value)

    def _errors(self, point: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Genuine scores that `point` rejects, impostors that it accepts."""
        lowest = self.curve.score_at(point)
        return self.genuine.scores < lowest, self.impostor.scores >= lowest

    def _nearest(self, far: float, frr: float, impostor: float, genuine: float) -> float:
        """Least sum of weighted squares between (far, frr) and the ROC, whose points are joined by straight lines.

        Beyond `_WIDE` standard errors it is only known that it is more than its square.
        """
        across, down = _WIDE / np.sqrt(impostor), _WIDE / np.sqrt(genuine)
        first = max(np.searchsorted(self._far, far - across), np.searchsorted(self._rising, -frr - down)) - 1
        last = min(
            np.searchsorted(self._far, far + across, "right"), np.searchsorted(self._rising, down - frr, "right")
        )
        near = slice(max(0, int(first)), int(last) + 1)
        if near.stop - near.start < 2:
            return _WIDE**2
        x, y = np.sqrt(impostor) * (self._far[near] - far), np.sqrt(genuine) * (self._frr[near] - frr)
        dx, dy = np.diff(x), np.diff(y)
        square = dx * dx + dy * dy
        along = -(x[:-1] * dx + y[:-1] * dy) / np.where(square > 0, square, 1)
        along.clip(0, 1, out=along)
        return float(np.min((x[:-1] + along * dx) ** 2 + (y[:-1] + along * dy) ** 2))


def _part(side: float, less: float) -> float:
    """A squared side is a + b / n, of which four times the trials leave a + b / 4n: b / n of it, 1 where it has no length."""
    return min(1.0, max(0.0, (side**2 - less**2) / side**2 * 4 / 3)) if side > 0 else 1.0


def _below(sample: Sample, other: Sample) -> NDArray[np.float64] | None:
    """Share of the other class that lies below each score (N,), ties as half; None where that decides nothing."""
    if not sample.clustered:
        return None
    ascending = np.sort(other.scores)
    below, not_above = (np.searchsorted(ascending, sample.scores, side=side) for side in ("left", "right"))
    return (below + not_above) / (2 * ascending.size)
