"""What a table is, whoever makes it. A cell is a number, or empty with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. text: as in the CSV, empty when unknown. change: after - before in the table's unit, None where there is no
    before. better: the change's sign turned so that + is better. low, high: 95 % interval in the table's unit. value: what `text` rounds.
    version: of the protocol that gave it, 0 where no single one did."""

    text: str
    reason: str = ""
    change: float | None = None
    better: float | None = None
    low: float | None = None
    high: float | None = None
    value: float | None = None
    version: int = 0


@dataclass(frozen=True)
class Row:
    """One trial: its six identifying cells as text, then one `Cell` per column of the table. name: of a row that is no trial."""

    identity: Mapping[str, str]
    baseline: bool
    cells: Mapping[str, Cell]
    name: str = ""


@dataclass(frozen=True)
class Table:
    """A table by its file name (without .csv). main: the columns that the page shows at first sight; numbers: those that are no shares;
    intervals: the page shows them below the values. upwards: +1 where higher is better, -1 where lower, 0 or absent where neither.
    metrics: the metric that a column shows, of those that show one."""

    name: str
    columns: tuple[str, ...]
    main: tuple[str, ...]
    rows: tuple[Row, ...]
    numbers: frozenset[str] = frozenset()
    intervals: bool = False
    upwards: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
