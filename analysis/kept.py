"""What trials kept of a suite (GELO), and how much more one side kept than another, with the noise of test images and seeds.

GELO is a ratio of two means over the same images, so both ends are drawn again together where scores by image are there (`images`): its
noise is that of the ratio, and of a difference that of the difference. Where they are not, the data sets' intervals stand for it, taken as
independent, which errs on the wide side. Seeds add their spread (`resampling.Noise`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.resampling import Noise, Vector, error_of, probability, spanned, within
from gelo.models.words import counted

_ENDS = 0.05  # outside a 95 % interval


@dataclass(frozen=True)
class Difference:
    """A share kept, or a difference of two. values: by seed. draws: by seed (DRAWS,) on resampled images, None where it is not known which
    were right. error: the standard error of the images, NaN where nothing is known of it; own: see `resampling.Noise`."""

    values: Mapping[int, float]
    draws: Mapping[int, Vector] | None
    error: float
    own: float = 0.0

    @property
    def middle(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.values.values())))

    @property
    def noise(self) -> Noise:
        """Of `middle`."""
        return Noise.of(list(self.values.values()), self.error, self.own)

    def interval(self, outside: float = _ENDS) -> tuple[float, float]:
        """Ends of the interval that leaves out `outside`, two-sided; NaN where the error is not known."""
        return spanned(self.middle, self.noise, outside)

    def p(self) -> float:
        """Two-sided, of "there is none". UndefinedMetric where the noise is not known."""
        return probability(self.middle, self.noise)

    def p_apart(self, margin: float, among: int = 1) -> float:
        """Of "it is `margin` or more away from 0" (TOST). among: of how many it is the smallest."""
        return within(self.middle, margin, self.noise, among)


class Kept:
    """GELO of one suite. images: what the images are drawn from."""

    def __init__(self, comparison: Comparison, suite: str = "zero_shot") -> None:
        self.general, self._own = comparison.general[suite], comparison.baseline
        self.images = comparison.images(suite)

    def draws(self, trial: str) -> Vector | None:
        """(DRAWS,) GELO on resampled images, the same for the trial and its baseline; None where it is not known."""
        after = self.images.draws.get(trial)
        before = self.images.draws.get(self._own.get(trial, ""))
        if after is None or before is None or not (before > 0).all():
            return None
        return after.astype(np.float64) / before

    def of(self, trials: Mapping[int, str]) -> Difference:
        """What trials that are alike but for their seed kept, by seed."""
        return self.mean({seed: [trial] for seed, trial in trials.items()})

    def mean(self, trials: Mapping[int, Sequence[str]]) -> Difference:
        """The same of several a seed, whose mean counts. All share their test images: the mean is as noisy as one of them."""
        gelo, error = self.general.gelo, self.general.gelo_error
        values = {seed: float(np.mean([gelo[trial] for trial in each])) for seed, each in trials.items()}
        drawn = {seed: [self.draws(trial) for trial in each] for seed, each in trials.items()}
        known = {seed: [one for one in each if one is not None] for seed, each in drawn.items()}
        if any(len(known[seed]) != len(each) for seed, each in drawn.items()):
            errors = [float(error[trial]) for each in trials.values() for trial in each]
            return Difference(values, None, float(np.mean(errors)))
        draws: dict[int, Vector] = {seed: np.mean(each, axis=0) for seed, each in known.items()}
        return Difference(values, draws, *error_of(draws, self.least(chain(*trials.values()))))

    def between(self, more: pd.DataFrame, less: pd.DataFrame) -> Difference | None:
        """How much more the trials of one side (rows with trial and seed) kept than those of the other, over the seeds that both have; None
        where they share none."""
        sides = [
            {int(str(seed)): rows["trial"].tolist() for seed, rows in side.groupby("seed")} for side in (more, less)
        ]
        seeds = sorted(sides[0].keys() & sides[1].keys())
        if not seeds:
            return None
        one, other = (self.mean({seed: side[seed] for seed in seeds}) for side in sides)
        values = {seed: one.values[seed] - other.values[seed] for seed in seeds}
        if one.draws is None or other.draws is None:
            return Difference(values, None, math.hypot(one.error, other.error))
        least = max(self.least(chain(*(side[seed] for seed in seeds))) for side in sides)
        draws = {seed: one.draws[seed] - other.draws[seed] for seed in seeds}
        return Difference(values, draws, *error_of(draws, least))

    def error_between(self, one: str, other: str) -> float | None:
        """Standard error of the difference of two trials on the same images; None where it is not known which were right."""
        first, second = self.draws(one), self.draws(other)
        if first is None or second is None:
            return None
        error, _ = error_of({0: first - second}, max(self.least([one]), self.least([other])))
        return error

    def by_set(self, trials: Sequence[str]) -> pd.Series:
        """Mean over trials of the share kept of each data set's accuracy; NaN where the baseline has none."""
        before = self.general.scores.loc[[self._own[trial] for trial in trials]].to_numpy()
        after = self.general.scores.loc[list(trials)].to_numpy()
        shares = np.divide(after, before, out=np.full_like(after, math.nan), where=before > 0)
        return pd.Series(shares.mean(axis=0), index=self.general.scores.columns)

    def least(self, trials: Iterable[str]) -> float:
        """What one test image told otherwise is worth: no error is smaller."""
        before = [float(self.general.average[self._own[trial]]) for trial in trials]
        return 1 / (min(before) * self.images.count)


def together(differences: Sequence[Difference]) -> Difference | None:
    """Their mean, over the seeds that all have; None where there is none. Where images are not known it is as noisy as one of
    them: they may share their images and baselines."""
    seeds = sorted(set.intersection(*(set(each.values) for each in differences))) if differences else []
    if not seeds:
        return None
    values = {seed: float(np.mean([each.values[seed] for each in differences])) for seed in seeds}
    known = [each.draws for each in differences if each.draws is not None]
    if len(known) < len(differences):
        return Difference(values, None, float(np.mean([each.error for each in differences])))
    draws: dict[int, Vector] = {seed: np.mean([each[seed] for each in known], axis=0) for seed in seeds}
    return Difference(values, draws, *error_of(draws, min(each.error for each in differences) / len(differences)))


def told(differences: Sequence[Difference], sets: int) -> str:
    """What their noise is made of: `paired bootstrap of the test images of 10 data sets, 3 seeds`."""
    paired = all(each.draws is not None for each in differences)
    seeds = sorted({len(each.values) for each in differences})
    many = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else counted(seeds[0], "seed")
    alone = ", whose spread is not known" if seeds == [1] else ""
    images = (
        f"paired bootstrap of the test images of {counted(sets, 'data set')}"
        if paired
        else f"intervals of {counted(sets, 'data set')}, taken as independent (scores by image are not all there)"
    )
    return f"{images}, {many}{alone}"
