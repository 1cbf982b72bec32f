"""How many independent trials a class of dependent scores is worth: its size divided by a design effect (Kish 1965).

Images of one subject and frames of one video err together. At a rate p the design effect is 1 + (m - 1) r(p): m is the mean size of the
cluster that an image is in, r(p) the correlation of two outcomes of a cluster. With few errors r(p) cannot be seen in the errors, so it
comes from the scores: their correlation within clusters, as normal scores, gives that of two outcomes at p by the bivariate normal law
(Emrich and Piedmonte 1991). Where the errors that were seen are more alike than that, they decide.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, owens_t
from scipy.stats import rankdata, t

from gelo.tasks.metrics.scores import Scores

Z95 = float(ndtri(0.975))


class Sample:
    """The scores (N,) of one class, and the unit (N,) that each comes from: subject, video, image; None for one unit each."""

    def __init__(self, scores: Scores, units: ArrayLike | None = None) -> None:
        self.scores = scores
        self._of: NDArray[np.intp] | None = None
        self._sizes = np.ones(scores.size, dtype=np.int64)
        if units is not None:
            names, of = np.unique(np.asarray(units), return_inverse=True)
            if names.size < scores.size:
                self._of, self._sizes = of, np.bincount(of)

    @property
    def clustered(self) -> bool:
        """Whether several scores come from one unit."""
        return self._of is not None

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(self._sizes.size)

    def effective(self, rate: float, outcomes: NDArray[np.bool_] | NDArray[np.float64] | None = None) -> float:
        """Independent trials that the outcomes are worth at an error rate in (0, 1); outcomes (N,): those seen, of about that rate.

        For few units the square of t with units - 1 degrees of freedom replaces that of z (Korn and Graubard 1998).
        """
        if self._of is None:
            return float(self.scores.size)
        mean_size = float((self._sizes**2).sum()) / self.scores.size
        effect = 1 + (mean_size - 1) * _alike(self._correlation, rate)
        if outcomes is not None:
            effect = max(effect, self._seen(outcomes))
        few = (t.ppf(0.975, max(self.units - 1, 1)) / Z95) ** 2
        return self.scores.size / (effect * few)

    @cached_property
    def _correlation(self) -> float:
        """Of two normal scores of one unit, by moments, in [0, 1]."""
        assert self._of is not None
        normal = ndtri((rankdata(self.scores) - 0.5) / self.scores.size)
        square = float((normal**2).sum())
        if square == 0:
            return 1.0  # all scores are equal
        pairs = float((self._sizes * (self._sizes - 1)).sum())
        products = float((np.bincount(self._of, normal) ** 2).sum()) - square
        return min(1.0, max(0.0, products / pairs / (square / self.scores.size)))

    def _seen(self, outcomes: NDArray[np.bool_] | NDArray[np.float64]) -> float:
        """Variance of the sums of units over that of independent outcomes; 1 where all outcomes are alike or there is one unit."""
        assert self._of is not None
        rest = outcomes - outcomes.mean()
        square = float((rest**2).sum())
        if square == 0 or self.units == 1:
            return 1.0
        return float((np.bincount(self._of, rest) ** 2).sum()) / square * self.units / (self.units - 1)


def _alike(correlation: float, rate: float) -> float:
    """Correlation of two outcomes of probability `rate` whose normal scores correlate, in [0, 1]."""
    if correlation in (0.0, 1.0):
        return correlation
    level = ndtri(rate)
    both = rate - 2 * owens_t(level, np.sqrt((1 - correlation) / (1 + correlation)))
    return float(np.clip((both - rate**2) / (rate * (1 - rate)), 0, 1))
