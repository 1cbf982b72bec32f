"""How often the report's intervals of what was kept hold the truth, and how often its tests find what is not there, simulated. `ratio` is
the lowest coverage of an interval of the report.

A world: images of three sets, each with a difficulty that all encoders share by one half, an untouched encoder that is right on 80 %, and
tuned ones of several seeds, whose true accuracy is off by a normal number (one seed: by none, since it cannot show its spread). Truth is
the ratio of the true accuracies. Beside it what was there before: the sets' intervals, before and after taken as independent. Tests are
asked where there is no difference; equivalence where the difference is just the margin.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from benchmarks.line import finish
from gelo.analysis.contrasts import CHANCE
from gelo.analysis.kept import Difference
from gelo.analysis.resampling import DRAWS, Measure, Noise, drawn, error_of, interval, spanned, within
from gelo.analysis.statistics import (
    bootstrap_interval,
    friedman,
    holm,
    mcnemar,
    signed_rank,
)
from gelo.analysis.winner import Contest

SETS = {"one": 60, "two": 100, "three": 200}
BEFORE, AFTER, SHARED, MARGIN, COMPARISONS = 0.8, 0.6, 0.5, 0.1, 4
SEEDS = ((1, 0.0), (3, 0.02), (3, 0.06), (5, 0.02), (5, 0.06))  # and the spread of their true accuracy
CONTESTS = {
    "15 remedies, all spread alike": [1.0] * 16,
    "15 remedies, the reference spreads 5 times as much": [5.0, *[1.0] * 15],
    "15 remedies, one of them spreads 5 times as much": [1.0, 5.0, *[1.0] * 14],
}
Right = npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--contests", type=int, default=1000, help="of remedies, simulated")
    given = parser.parse_args()
    worlds = 10 if given.smoke else given.worlds
    contests = 10 if given.smoke else given.contests
    by_seeds = {f"{seeds}, spread {spread:g}": studied(seeds, spread, worlds) for seeds, spread in SEEDS}
    held = {told: stands(spreads, contests) for told, spreads in CONTESTS.items()}
    detail: dict[str, Any] = {"worlds": worlds, "seeds": by_seeds, "tests": tested(worlds), "contests": held}
    lowest = min(each["kept"] for each in by_seeds.values())
    finish("verdicts", [lowest], [1.0], "lowest coverage of what was kept", "0.93 to 0.97", detail)


def studied(seeds: int, spread: float, worlds: int) -> dict[str, float]:
    """Coverage of what was kept (as it was before: `independent`) and of a difference; false positives of one comparison, of any of four
    corrected together, and of "as much" at the margin."""
    found: Counter[str] = Counter()
    for number in range(worlds):
        rng = np.random.default_rng([seeds, round(1000 * spread), number])
        difficulty = rng.standard_normal(sum(SETS.values()))
        untouched = _right(rng, difficulty, [BEFORE])
        tuned = [_tuned(rng, difficulty, AFTER, seeds, spread) for _ in range(COMPARISONS + 1)]
        sides = [_kept(each, untouched) for each in tuned]
        one, truth = sides[0], AFTER / BEFORE
        found["kept"] += _holds(one.interval(), truth)
        before, after = _independent(untouched), _independent(tuned[0])
        error = one.middle * math.hypot(before[1] / before[0], after[1] / after[0])
        found["independent"] += _holds(Difference(one.values, None, error).interval(), truth)
        differences = [_minus(side, one) for side in sides[1:]]
        found["difference"] += _holds(differences[0].interval(), 0.0)
        p = [each.p() for each in differences]
        found["found, one comparison"] += p[0] < CHANCE
        found["found, any of four (Holm)"] += min(holm(p)) < CHANCE
        apart = _kept(_tuned(rng, difficulty, AFTER + MARGIN * BEFORE, seeds, spread), untouched)
        found["as much, at the margin"] += _minus(apart, one).p_apart(MARGIN) < CHANCE
    return {name: round(count / worlds, 4) for name, count in found.items()}


def stands(spreads: Sequence[float], worlds: int) -> dict[str, float]:
    """How often one of the remedies is told to keep more than none where all keep as much. spreads: of the three seeds of each approach,
    the first without a remedy. pooled alone: by the spread over all approaches, as it was before."""
    found = Counter({"found": 0, "found, pooled alone": 0})
    nothing, outside = np.zeros(DRAWS), 0.05 / (2 * (len(spreads) - 1))
    for number in range(worlds):
        table = np.random.default_rng([len(spreads), number]).standard_normal((len(spreads), 3)) * np.c_[list(spreads)]
        measures = tuple(Measure(dict(enumerate(map(float, row))), dict.fromkeys(range(3), nothing)) for row in table)
        contest = Contest("", 0.9, tuple(map(str, range(len(spreads)))), measures, ())
        best = max(range(1, len(spreads)), key=contest.value)
        middle, low, _ = contest.difference(best, 0, outside)
        left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        freedom = 2 * (len(spreads) - 1)
        pooled = spanned(middle, Noise(0.0, 0.0, 2 * float((left**2).sum()) / freedom / 3, freedom), outside)
        found["found"] += low > 0
        found["found, pooled alone"] += pooled[0] > 0
    return {name: round(count / worlds, 4) for name, count in found.items()}


def tested(worlds: int) -> dict[str, float]:
    """The functions of `statistics`, and those of seeds, alone: coverage of intervals, and how often tests find what is not there."""
    found: Counter[str] = Counter()
    few = max(1, worlds // 5)
    for number in range(worlds):
        rng = np.random.default_rng([9, number])
        before, after = (_right(rng, rng.standard_normal(100), [BEFORE, BEFORE])).T
        found["mcnemar"] += mcnemar(before, after).p < CHANCE
        changed = after.astype(float) - before
        if changed.any():
            found["bootstrap, 100 images: coverage"] += _holds(bootstrap_interval(changed, draws=1000), 0.0)
        else:
            found["bootstrap, 100 images: coverage"] += 1
        sets = rng.standard_normal(10)
        found["signed rank, 10 sets"] += signed_rank(sets).p < CHANCE
        for seeds in (3, 5):
            values = rng.standard_normal(seeds)
            found[f"t interval, {seeds} seeds: coverage"] += _holds(interval(values.tolist(), 0.0), 0.0)
            found[f"equivalence at the margin, {seeds} seeds"] += (
                within(values.mean() / 3 + 1, 1.0, Noise(0.0, 0.0, values.var(ddof=1) / 9 / seeds, seeds - 1)) < CHANCE
            )
    rates = {name: round(count / worlds, 4) for name, count in found.items()}
    rare = np.mean([friedman(np.random.default_rng([8, n]).standard_normal((10, 4))).p < CHANCE for n in range(few)])
    return rates | {f"friedman, 4 remedies on 10 sets ({few} worlds)": round(float(rare), 4)}


def _right(rng: np.random.Generator, difficulty: npt.NDArray[np.float64], accuracy: list[float]) -> Right:
    """(images, encoders): which images each gets right, at these true accuracies."""
    own = rng.standard_normal((len(difficulty), len(accuracy)))
    right: Right = np.sqrt(SHARED) * difficulty[:, None] + np.sqrt(1 - SHARED) * own < ndtri(accuracy)
    return right


def _tuned(
    rng: np.random.Generator, difficulty: npt.NDArray[np.float64], accuracy: float, seeds: int, spread: float
) -> Right:
    return _right(rng, difficulty, [accuracy + spread * rng.standard_normal() for _ in range(seeds)])


def _kept(tuned: Right, untouched: Right) -> Difference:
    """GELO by seed and on resampled images, as `kept.Kept` makes it of files."""
    both = np.hstack([untouched, tuned]).astype(np.float32)
    ends = np.cumsum([0, *SETS.values()])
    means, draws = np.zeros(both.shape[1]), np.zeros(1)
    for (name, size), (start, end) in zip(SETS.items(), pairwise(ends), strict=True):
        means = means + both[start:end].mean(axis=0) / len(SETS)
        draws = draws + (_counts(name, size) @ both[start:end] / size).astype(np.float64) / len(SETS)
    ratio = draws[:, 1:] / draws[:, :1]
    values = {seed: float(mean / means[0]) for seed, mean in enumerate(means[1:])}
    by_seed = {seed: ratio[:, seed] for seed in values}
    return Difference(values, by_seed, *error_of(by_seed, 1 / (float(means[0]) * len(both))))


def _minus(one: Difference, other: Difference) -> Difference:
    assert one.draws is not None and other.draws is not None
    draws = {seed: one.draws[seed] - other.draws[seed] for seed in one.values}
    least = 1 / (BEFORE * sum(SETS.values()))
    return Difference(
        {seed: one.values[seed] - other.values[seed] for seed in one.values}, draws, *error_of(draws, least)
    )


def _independent(right: Right) -> tuple[float, float]:
    """Mean over sets of the first encoder's accuracy, and its standard error."""
    ends = np.cumsum([0, *SETS.values()])
    means = [float(right[start:end, 0].mean()) for start, end in pairwise(ends)]
    squares = [mean * (1 - mean) / size for mean, size in zip(means, SETS.values(), strict=True)]
    return float(np.mean(means)), math.sqrt(sum(squares)) / len(SETS)


def _holds(ends: tuple[float, float], truth: float) -> bool:
    return ends[0] <= truth <= ends[1]


@lru_cache
def _counts(name: str, size: int) -> npt.NDArray[np.float32]:
    return np.concatenate(list(drawn(name, size)))


if __name__ == "__main__":
    main()
