"""Coverage of the 95 % intervals: how often each holds the truth, simulated where the truth is known. `ratio` is the lowest of all cells.

Scores are normal, and those of one unit (subject, video) correlate by one half. A cell is a metric at a true error of 0.1, 1, 5 or 20 %,
with 30, 100 or 1,000 units of 1 or 5 images in each class; one that so few images leave undefined is not there. A cell whose coverage is
below 94 % in the first rounds is simulated anew in ten times as many, which count: chance would otherwise choose the lowest of so many.
The details have every metric's lowest and mean coverage, its cells outside 93 to 97 %, and the coverage of the percentile bootstrap of the
EER (units drawn whole) in the cells of 30 and 100 units.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from benchmarks.line import finish, note
from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.errors import eer
from gelo.tasks.metrics.intervals import Combined, Highest, Interval, Rate, mean_of_rates
from gelo.tasks.metrics.roc_intervals import Read, Roc
from gelo.tasks.metrics.scores import Scores
from gelo.tasks.protocols.detection import area, in_common

ERRORS, UNITS, IMAGES = (0.001, 0.01, 0.05, 0.2), (30, 100, 1000), (1, 5)
UNEQUAL = (1.6, 1.2, 0.8, 0.4)  # times the error: the parts (attacks, domains, classes) of a mean
LOW = 0.94
Draw = Callable[[float], Sample]


class Cell(NamedTuple):
    """One simulation. error: the truth of the rate that the metric is or reads."""

    metric: str
    error: float
    units: int
    images: int

    @property
    def size(self) -> int:
        return self.units * self.images


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    rounds, again = (3, 3) if smoke else (400, 4000)
    cells = [
        Cell(*each)
        for each in product(METRICS, ERRORS, UNITS[:1] if smoke else UNITS, IMAGES)
        if each[2] * each[3] * RESOLUTION.get(each[0], 1) >= 1
    ]
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        first = dict(zip(cells, pool.map(partial(covered, rounds=rounds, seed=0), cells), strict=True))
        note(f"{len(cells)} cells, {rounds} rounds each: lowest {min(first.values()):.3f}")
        low = [cell for cell in cells if first[cell] < LOW]
        second = dict(zip(low, pool.map(partial(covered, rounds=again, seed=1), low), strict=True))
        note(f"{len(low)} of them in {again} rounds")
        drawn = [cell for cell in cells if cell.metric == "eer" and cell.units <= 100]
        theirs = list(pool.map(partial(bootstrapped, rounds=3 if smoke else 200), drawn))
    found = first | second
    detail = {
        "rounds": rounds, "rounds_of_low_cells": again, "cells": len(cells), "intervals_of_no_width": 0,
        "metrics": {
            metric: _summary({cell: found[cell] for cell in cells if cell.metric == metric})
            for metric in dict.fromkeys(cell.metric for cell in cells)
        },
        "percentile_bootstrap_eer": {_name(cell): value for cell, value in zip(drawn, theirs, strict=True)},
    }  # fmt: skip
    finish("coverage", [min(found.values())], [1.0], "lowest coverage of all cells", ">= 0.92, 0.93 to 0.97", detail)


def covered(cell: Cell, rounds: int, seed: int) -> float:
    """Share of rounds whose interval holds the truth; AssertionError for an interval of no width."""
    hits = 0
    for rng in _streams(cell, rounds, seed):
        interval, truth = METRICS[cell.metric](partial(sample, rng, cell), cell)
        assert interval.low < interval.high, (cell, interval)
        hits += interval.low <= truth <= interval.high
    return hits / rounds


def bootstrapped(cell: Cell, rounds: int, replicates: int = 200) -> float:
    """The same of the percentile bootstrap of the EER, units drawn whole."""
    hits = 0
    for rng in _streams(cell, rounds, 0):
        sides = [sample(rng, cell, sign * norm.isf(cell.error)).scores.reshape(cell.units, -1) for sign in (1, -1)]
        values = []
        for _ in range(replicates):
            genuine, impostor = (Scores(rng.choice(side, cell.units).ravel()) for side in sides)
            values.append(eer(genuine, impostor, chosen_on="simulation").value)
        low, high = np.quantile(values, (0.025, 0.975))
        hits += bool(low <= cell.error <= high)
    return hits / rounds


def sample(rng: np.random.Generator, cell: Cell, mean: float) -> Sample:
    """Scores of variance 1 around `mean`."""
    unit = np.repeat(np.arange(cell.units), cell.images)
    shared = 0.5 if cell.images > 1 else 0.0
    own, common = rng.normal(size=unit.size), rng.normal(size=cell.units)[unit]
    return Sample(Scores(mean + np.sqrt(1 - shared) * own + np.sqrt(shared) * common), unit)


def _streams(cell: Cell, rounds: int, seed: int) -> Iterator[np.random.Generator]:
    known = [seed, round(1e4 * cell.error), cell.units, cell.images, list(METRICS).index(cell.metric)]
    return (np.random.default_rng([*known, number]) for number in range(rounds))


def _name(cell: Cell) -> str:
    return f"{cell.error:g}, {cell.units} x {cell.images}"


def _summary(cells: dict[Cell, float]) -> dict[str, Any]:
    outside = {_name(cell): round(value, 4) for cell, value in cells.items() if not 0.93 <= value <= 0.97}
    values = list(cells.values())
    return {"lowest": round(min(values), 4), "mean": round(float(np.mean(values)), 4), "outside": outside}


def _rejected(bona_fide: Sample) -> Rate:
    return Rate(bona_fide, bona_fide.scores < 0)


def _accepted(attacks: Sample) -> Rate:
    return Rate(attacks, attacks.scores >= 0)


def _rate(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    """top-1, APCER and BPCER at a given threshold, rank-k."""
    return _accepted(draw(-norm.isf(cell.error))).interval(), cell.error


def _mean_per_class(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    """One image of each unit, in classes of 2 or 5 images and of unlike rates; the fold accuracy is made alike."""
    size = max(2, cell.images)
    images = draw(0).scores[:: cell.images][: cell.units // size * size].reshape(-1, size)
    rates = cell.error * np.resize(UNEQUAL, len(images))
    hits = (images < norm.ppf(rates)[:, None]).sum(axis=1)
    return mean_of_rates(hits, np.full(len(images), size)), float(rates.mean())


def _equal(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    roc = Roc(draw(norm.isf(cell.error)), draw(-norm.isf(cell.error)))
    return roc.equal_error(roc.curve.eer()).interval(), cell.error


def _far_at_frr(rate: float, draw: Draw, cell: Cell) -> tuple[Interval, float]:
    return _apcer(draw(norm.isf(rate)), draw(-norm.isf(cell.error)), rate).interval(), cell.error


def _frr_at_far(rate: float, draw: Draw, cell: Cell) -> tuple[Interval, float]:
    return _bpcer(draw(norm.isf(cell.error)), draw(-norm.isf(rate)), rate).interval(), cell.error


def _apcer(bona_fide: Sample, attacks: Sample, rate: float) -> Read:
    roc = Roc(bona_fide, attacks)
    return roc.far_at_frr(rate, roc.curve.far_at_frr(rate))


def _bpcer(bona_fide: Sample, attacks: Sample, rate: float) -> Read:
    roc = Roc(bona_fide, attacks)
    return roc.frr_at_far(rate, roc.curve.frr_at_far(rate))


def _area(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    """The error is 1 - AUC."""
    apart = norm.isf(cell.error) / np.sqrt(2)
    return area(Roc(draw(apart), draw(-apart))).interval(), 1 - cell.error


def _half(draw: Draw, error: float) -> Combined:
    return Combined([_rejected(draw(norm.isf(error))), _accepted(draw(-norm.isf(error)))], [0.5, 0.5])


def _hter(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    return _half(draw, cell.error).interval(), cell.error


def _worst(draw: Draw, error: float) -> Highest:
    return Highest([_accepted(draw(-norm.isf(error * part))) for part in (1, 0.8, 0.5)])


def _apcer_worst(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    return _worst(draw, cell.error).interval(), cell.error


def _acer(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    both = Combined([_rejected(draw(norm.isf(cell.error))), _worst(draw, cell.error)], [0.5, 0.5])
    return both.interval(), cell.error


def _domains(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    return Combined([_half(draw, cell.error * part) for part in UNEQUAL], [0.25] * 4).interval(), cell.error


def _attacks(
    rate: float | None, read: Callable[[Sample, float], Read], draw: Draw, cell: Cell
) -> tuple[Interval, float]:
    """The mean over attacks against one set of bona fide images. rate: the share of it that each rejects; None for its own error."""
    bona_fide = draw(0)
    reads = [read(bona_fide, cell.error * part) for part in UNEQUAL]
    rejected = [each.value if rate is None else rate for each in reads]
    return Combined(reads, [0.25] * 4, in_common(reads, rejected, cell.size)).interval(), cell.error


def _mean_eer(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    def read(bona_fide: Sample, error: float) -> Read:
        roc = Roc(bona_fide, draw(-2 * norm.isf(error)))
        return roc.equal_error(roc.curve.eer())

    return _attacks(None, read, draw, cell)


def _mean_apcer(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    def read(bona_fide: Sample, error: float) -> Read:
        return _apcer(bona_fide, draw(-norm.isf(0.1) - norm.isf(error)), 0.1)

    return _attacks(0.1, read, draw, cell)


def _mean_bpcer(draw: Draw, cell: Cell) -> tuple[Interval, float]:
    def read(bona_fide: Sample, error: float) -> Read:
        return _bpcer(bona_fide, draw(-norm.isf(0.1) - norm.isf(error)), 0.1)

    return _attacks(None, read, draw, cell)


METRICS: dict[str, Callable[[Draw, Cell], tuple[Interval, float]]] = {
    "rate": _rate, "mean_per_class": _mean_per_class, "eer": _equal, "auc": _area,
    "apcer_at_bpcer_1": partial(_far_at_frr, 0.01), "apcer_at_bpcer_10": partial(_far_at_frr, 0.1),
    "apcer_at_bpcer_20": partial(_far_at_frr, 0.2), "bpcer_at_apcer_10": partial(_frr_at_far, 0.1),
    "tar_at_far_1e-3": partial(_frr_at_far, 0.001), "tar_at_far_1e-2": partial(_frr_at_far, 0.01),
    "hter": _hter, "apcer_worst": _apcer_worst, "acer": _acer, "mean_over_domains_hter": _domains,
    "mean_over_attacks_eer": _mean_eer, "mean_over_attacks_apcer_at_bpcer_10": _mean_apcer,
    "mean_over_attacks_bpcer_at_apcer_10": _mean_bpcer,
}  # fmt: skip
RESOLUTION = {
    "apcer_at_bpcer_1": 0.01,
    "tar_at_far_1e-3": 0.001,
    "tar_at_far_1e-2": 0.01,
}  # rates that few images cannot show


if __name__ == "__main__":
    main()
