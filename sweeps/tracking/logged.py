"""What of a trial's numbers is to be written to MLflow, given what its run has: pure of MLflow itself.

MLflow shows of a name the value at the highest step, of several there the latest. So a result stands at step 0, a training row at the
number of steps done by then, and a value that has changed is written again at its step, one ms after the one it replaces; what is defined
no more becomes NaN, since nothing can be taken back. Every timestamp follows from what is there, the first from the run's start and the
step: rows that are written twice are the very same. Older gelo kept results at other steps: there they are replaced where they stand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

_LONGEST_NAME = 250  # MLflow's limit
_LEGAL = re.compile(r"[A-Za-z0-9_\-.:]+(/[A-Za-z0-9_\-.:]+)*")


class Metric(NamedTuple):
    """One number: `name` as tasks.results builds it, `value` finite, `step` >= 0 of the training, None for a result."""

    name: str
    value: float
    step: int | None = None


class Row(NamedTuple):
    """One row of a run as MLflow keeps it; timestamp in ms."""

    name: str
    value: float
    timestamp: int
    step: int


Wanted = Mapping[tuple[str, int | None], float]


def checked(metrics: Sequence[Metric]) -> dict[tuple[str, int | None], float]:
    """Values by (name, step). Raises ValueError for what MLflow or a reader would not take."""
    wanted: dict[tuple[str, int | None], float] = {}
    check_names(metric.name for metric in metrics)
    for name, value, step in metrics:
        if not math.isfinite(value):
            raise ValueError(f"metric {name} at step {step or 0} is {value}: only finite values are logged")
        if (step or 0) < 0:
            raise ValueError(f"metric {name} has step {step}: steps are >= 0")
        if wanted.setdefault((name, step), float(value)) != value:
            found = f"{wanted[name, step]} and {value}"
            raise ValueError(f"metric {name} has two values at step {step or 0}: {found}")
    return wanted


@lru_cache(maxsize=100_000)  # the same names come for every trial, and those of a curve for every step
def _is_legal(name: str) -> bool:
    whole = _LEGAL.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))
    return whole and len(name) <= _LONGEST_NAME


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for a name that MLflow does not take."""
    for name in names:
        if not _is_legal(name):
            raise ValueError(
                f"{name!r} is no MLflow name: letters, digits, _ - . : and / between, up to {_LONGEST_NAME}"
            )


def unsure(wanted: Wanted, last: Iterable[Row]) -> list[str]:
    """Names whose history must be read: above a metric's last step nothing is there, and at it what MLflow shows."""
    steps = {row.name: row.step for row in last}
    return list(dict.fromkeys(name for name, step in wanted if step is not None and step < steps.get(name, 0)))


def new_rows(
    wanted: Wanted, last: Iterable[Row], histories: Iterable[Row], start: int, whole: tuple[str, ...] = ()
) -> list[Row]:
    """The rows to be written. last: what MLflow shows of each name; histories: every row of the `unsure` ones; start: of the run, in ms.

    whole: beginnings of names of which `wanted` is all that there is.
    """
    shown = {row.name: row for row in last}
    there: dict[tuple[str, int], Row] = {}
    for row in [*shown.values(), *histories]:
        known = there.setdefault((row.name, row.step), row)
        there[row.name, row.step] = max(known, row, key=lambda r: (r.timestamp, r.value))
    names = {name for name, _ in wanted}
    gone = [(name, None) for name in shown if whole and name.startswith(whole) and name not in names]
    rows = []
    for (name, step), value in [*wanted.items(), *((key, math.nan) for key in gone)]:
        place = step if step is not None else shown[name].step if name in shown else 0
        now = there.get((name, place))
        if now is None:
            rows.append(Row(name, value, start + place, place))
        elif now.value != value and not (math.isnan(now.value) and math.isnan(value)):
            rows.append(Row(name, value, now.timestamp + 1, place))
    return rows
