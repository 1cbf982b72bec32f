"""Collects a protocol's values, intervals and reasons for absence, and makes the `Result`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NotRequired, TypedDict, Unpack

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from gelo.models.faults import Fault
from gelo.tasks.data.understood import Reading
from gelo.tasks.metricnames import LONGEST_PIECE, MEAN, is_piece, metric_name
from gelo.tasks.metrics.intervals import Combined, Estimate, Interval
from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.results import Result


class Context(TypedDict):
    """What a Result says of its making: fingerprints of the data set and of both towers, the scale and the reading rule."""

    data: str
    vision: str
    text: str
    scale: Literal["miniature", "full"]
    partial: NotRequired[bool]
    reading: NotRequired[Reading]


class Tally:
    """The metrics of one protocol run; every name is either valued or absent with its reason.

    prefix: before each part of a name, for protocols whose parts are no data sets (attacks, domains): two sets may have the same.
    unit: what the intervals take as independent; the result's note `interval_unit` says it.
    """

    def __init__(self, suite: str, prefix: str = "", unit: str = "image") -> None:
        self.suite = suite
        self._prefix, self._unit = prefix, unit
        self.values: dict[str, float] = {}
        self.intervals: dict[str, tuple[float, float]] = {}
        self.absent: dict[str, str] = {}

    def name(self, part: str, leaf: str) -> str:
        """The metric's full name."""
        return metric_name(self.suite, f"{self._prefix}{part}", leaf)

    def give(self, part: str, leaf: str, value: float, interval: Interval | None = None) -> None:
        name = self.name(part, leaf)
        self.values[name] = float(value)
        if interval is not None:
            self.intervals[name] = (interval.low, interval.high)

    def lack(self, part: str, leaf: str, reason: str) -> None:
        self.absent[self.name(part, leaf)] = reason

    def attempt(self, part: str, leaf: str, measure: Callable[[], tuple[float, Interval | None]]) -> None:
        """Give what `measure` returns, or lack it with the reason of its UndefinedMetric."""
        try:
            value, interval = measure()
        except UndefinedMetric as undefined:
            self.lack(part, leaf, str(undefined))
        else:
            self.give(part, leaf, value, interval)

    def give_mean(self, parts: Mapping[str, Estimate | None], leaf: str, correlation: ArrayLike | None = None) -> None:
        """The unweighted mean of `leaf` over all parts, its interval from theirs; absent when one part lacks it.

        correlation: of the parts, as `Combined` has it; None where they have nothing in common.
        """
        lacking = [part for part, estimate in parts.items() if estimate is None]
        if lacking or not parts:
            self.lack(
                MEAN,
                leaf,
                f"mean over all parts: undefined for {', '.join(lacking)}" if lacking else "no part to average",
            )
            return
        found = [estimate for estimate in parts.values() if estimate is not None]
        mean = Combined(found, [1 / len(found)] * len(found), correlation)
        self.give(MEAN, leaf, mean.value, mean.interval())

    def result(
        self,
        dataset: str,
        protocol: str,
        version: int,
        counts: dict[str, int],
        notes: dict[str, str],
        **context: Unpack[Context],
    ) -> Result:
        notes = {**({"interval_unit": self._unit} if self.intervals else {}), **notes}
        return Result(
            suite=self.suite, dataset=dataset, protocol=protocol, protocol_version=version, values=self.values,
            intervals=self.intervals, absent=self.absent, counts=counts, notes=notes, **context,
        )  # fmt: skip


def undefined(
    suite: str,
    part: str,
    leaves: Iterable[str],
    reason: str,
    *,
    dataset: str,
    protocol: str,
    version: int,
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """What a protocol gives that cannot be run on a data set: every leaf of `part` absent for one reason, and a table without rows."""
    tally = Tally(suite)
    for leaf in leaves:
        tally.lack(part, leaf, reason)
    return tally.result(dataset, protocol, version, {}, {}, **context), pa.table({"id": pa.array([], pa.string())})


def per_class(per_item: pa.Table) -> pa.Table:
    """label, images, right, accuracy: one row for each label of a table with `label` and `predicted`, sorted."""
    right = pc.fill_null(pc.equal(per_item["label"], per_item["predicted"]), False)
    rows = pa.table({"label": per_item["label"], "right": pc.cast(right, pa.int64())})
    found = rows.group_by("label").aggregate([("right", "count"), ("right", "sum")]).sort_by("label")
    accuracy = pc.divide(pc.cast(found["right_sum"], pa.float64()), found["right_count"])
    return pa.table(
        {"label": found["label"], "images": found["right_count"], "right": found["right_sum"], "accuracy": accuracy}
    )


def part_faults(where: str, parts: list[str]) -> list[Fault]:
    """Parts (attack, domain) that cannot stand in a metric's name."""
    faults = []
    for part in parts:
        if not is_piece(part):
            expected = f"letters, digits and _ - . : only, up to {LONGEST_PIECE}"
            faults.append(Fault(where, f"metric name piece {part[: LONGEST_PIECE + 20]!r}", expected))
        if part == MEAN:
            faults.append(Fault(where, f"{MEAN!r}", "another name; this one is kept for the average"))
    return faults
