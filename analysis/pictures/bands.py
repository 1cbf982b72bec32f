"""DET and ROC curves with bands: the scores of one result are drawn again by what its protocol takes as independent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gelo.tasks.metrics.pairs import subjects
from gelo.tasks.protocols import protocols_of
from gelo.tasks.results import Result

Vector = npt.NDArray[np.float64]
DRAWS, SEED = 200, 0


@dataclass(frozen=True)
class Sample:
    """The two classes of one curve. genuine, impostor: scores, higher = genuine. unit: what is drawn again ("" where the table does not
    name it: no band); units: (genuine, impostor) arrays (n, k) of the units that each score belongs to, k 1 or 2; strata: by unit."""

    part: str
    genuine: Vector
    impostor: Vector
    unit: str = ""
    units: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
    strata: npt.NDArray[np.int64] | None = None

    @cached_property
    def order(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Genuine scores rising, impostors falling, and how many genuine ones are at most each of these."""
        rising, falling = np.argsort(self.genuine, kind="stable"), np.argsort(-self.impostor, kind="stable")
        return rising, falling, np.searchsorted(self.genuine[rising], self.impostor[falling], side="right")

    def weights(self, draw: int) -> tuple[Vector, Vector]:
        """How often each score stands in a resample. A score of two units counts as often as both do; of one unit with itself as often as
        that one."""
        assert self.units is not None and self.strata is not None
        generator = np.random.default_rng([SEED, draw])
        times = np.zeros(len(self.strata))
        for stratum in np.unique(self.strata):
            members = np.flatnonzero(self.strata == stratum)
            times[members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)))
        found = []
        for units in self.units:
            first, last = units[:, 0], units[:, -1]
            found.append(np.where(first == last, times[first], times[first] * times[last]))
        return found[0], found[1]


def samples(result: Result, table: pa.Table) -> list[Sample]:
    """One for each curve of a result (an attack, a domain, the pairs) and the scores beside it."""
    unit = result.notes.get("interval_unit", "")
    curve = next((each.curve for each in protocols_of(result.suite) if each.curve is not None), None)
    if curve is None or "score" not in table.column_names:
        return []
    rows = table.set_column(
        table.column_names.index("score"), "score", pa.array(np.arange(len(table), dtype=np.float64))
    )
    scores, ends = table["score"].to_numpy().astype(float), _units(table, unit)
    found = []
    for part in curve(result, rows):  # the scores are row numbers: which rows a curve is made of
        if part.open or not len(part.genuine) or not len(part.impostor):
            continue
        sides = part.genuine.astype(np.int64), part.impostor.astype(np.int64)
        one = Sample(part.name, scores[sides[0]], scores[sides[1]])
        if ends is not None:
            units, strata = ends
            one = Sample(part.name, one.genuine, one.impostor, unit, (units[sides[0]], units[sides[1]]), strata)
        found.append(one)
    return found


def frr_at(of: Sample, far: Vector, weights: tuple[Vector, Vector] | None = None) -> Vector:
    """FRR at the loosest threshold whose FAR is at most each of `far`; score >= threshold is accepted. weights: of both classes' scores."""
    rising, falling, below = of.order
    own, others = (np.ones(len(rising)), np.ones(len(falling))) if weights is None else weights
    lost = np.concatenate([[0.0], np.cumsum(own[rising])]) / max(own.sum(), 1e-12)
    accepted = np.cumsum(others[falling]) / max(others.sum(), 1e-12)
    first = np.searchsorted(accepted, far + 1e-12, side="right")  # the first impostor that may not be accepted
    return lost[np.append(below, 0)[first]]


def band(of: list[Sample], far: Vector) -> tuple[Vector, Vector, Vector]:
    """(FRR, low, high) at each FAR: the mean over samples of the same units (seeds), and 2.5 and 97.5 % of `DRAWS` resamples, the same for
    all samples; NaN ends where the units are not known."""
    middle = np.mean([frr_at(each, far) for each in of], axis=0)
    if any(each.units is None for each in of):
        return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    drawn = [np.mean([frr_at(each, far, each.weights(draw)) for each in of], axis=0) for draw in range(DRAWS)]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return middle, low, high


def _units(table: pa.Table, unit: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """((rows, k) units of each row, stratum of each unit); None where the table does not say them."""
    names, rows = table.column_names, np.arange(len(table))[:, None]
    if unit == "pair" and "same" in names:
        folds = table["fold"].to_numpy().astype(np.int64) if "fold" in names else np.zeros(len(table), np.int64)
        return rows, 2 * folds + table["same"].to_numpy().astype(np.int64)
    if unit in ("image", "video") and "label" in names:
        return rows, table["label"].to_numpy().astype(np.int64)
    if unit == "subject" and {"template_1", "template_2", "same"} <= set(names):
        _, codes = np.unique(
            np.concatenate(
                [table[name].to_numpy(zero_copy_only=False).astype(str) for name in ("template_1", "template_2")]
            ),
            return_inverse=True,
        )
        one, two = codes[: len(table)], codes[len(table) :]
        same = table["same"].to_numpy().astype(bool)
        subject = subjects(same, one, two)
        units = np.stack([subject[one], subject[two]], axis=1).astype(np.int64)
        return units, np.zeros(int(units.max()) + 1, np.int64)
    return None
