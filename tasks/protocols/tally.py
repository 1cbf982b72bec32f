"""Collects a protocol's values, intervals and reasons for absence, and makes the `Result`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NotRequired, TypedDict, Unpack

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike
from pydantic import ValidationError

from gelo.models.faults import Fault, UserError
from gelo.tasks.data.understood import Reading
from gelo.tasks.metricnames import LONGEST_PIECE, MEAN, is_piece, metric_name
from gelo.tasks.metrics.intervals import Combined, Estimate, Interval
from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.protocols import metric_of, protocols_of
from gelo.tasks.protocols.base import Metric
from gelo.tasks.results import UNIT, Result

_SLACK = 1e-9  # a mean of ones may round to more than one


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
        """A metric's value and its 95 % interval. Raises UserError for one not declared, no finite number, a share outside [0, 1]."""
        name, metric = self._declared(part, leaf)
        number = _number(value)
        if not math.isfinite(number):
            raise self._refused(
                name, f"the value {value!r}", "a finite number", f"tally.lack({part!r}, {leaf!r}, WHY) for none"
            )
        if metric.unit == "share" and not -_SLACK <= number <= 1 + _SLACK:
            remedy = 'Metric(..., unit="number") for a distance or a count'
            raise self._refused(name, f"the share {number:g}", "a share from 0 to 1, as the metric is declared", remedy)
        self.values[name] = number
        if interval is not None:
            ends = (interval.low, interval.high) if isinstance(interval, Interval) else (math.nan, math.nan)
            if not (all(map(math.isfinite, ends)) and ends[0] <= ends[1]):
                expected = "Interval(low, high) of gelo.tasks.metrics.intervals, finite, low first"
                raise self._refused(name, f"the interval {interval!r}", expected, "None where there is none")
            self.intervals[name] = ends

    def lack(self, part: str, leaf: str, reason: str) -> None:
        """A metric that has no value, and why. Raises UserError for one that is not declared."""
        self.absent[self._declared(part, leaf)[0]] = reason

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
        """What was collected, as one result. Raises UserError for what cannot be one, such as a metric both given and lacking."""
        notes = {**({UNIT: self._unit} if self.intervals else {}), **notes}
        try:
            return Result(
                suite=self.suite, dataset=dataset, protocol=protocol, protocol_version=version, values=self.values,
                intervals=self.intervals, absent=self.absent, counts=counts, notes=notes, **context,
            )  # fmt: skip
        except ValidationError as error:
            found = "; ".join(": ".join([*map(str, each["loc"]), each["msg"]]) for each in error.errors())
            raise self._refused(f"{self.suite}/{dataset}", found, "what a Result takes", "") from None

    def _declared(self, part: str, leaf: str) -> tuple[str, Metric]:
        """The full name of a metric, and what its suite says of it."""
        try:
            name = self.name(part, leaf)
            return name, metric_of(name)
        except ValueError as error:
            remedy = "name it in the METRICS of its Suite"
            raise self._refused(f"{self.suite}/{part}/{leaf}", str(error), "a declared metric", remedy) from None

    def _refused(self, where: str, found: str, expected: str, remedy: str) -> UserError:
        giving = " or ".join(protocol.name for protocol in protocols_of(self.suite)) or f"of the suite {self.suite}"
        return UserError(f"protocol {giving}", Fault(f"protocol {giving}, {where}", found, expected, remedy))


def _number(value: object) -> float:
    """NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


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
