"""Tables as they are printed: a line a setting, means over its seeds, the best in bold where intervals say so, reasons below the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import Z95
from gelo.analysis.finding import signed, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.pagetables import title_of
from gelo.analysis.resampling import interval
from gelo.analysis.runs import Runs
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.secrets import redacted
from gelo.models.words import counted

Behind = Literal["", "interval", "difference"]
THREE = ("zero_shot", "linear_probe", "biometric")  # the form of arXiv 2509.14921
_NAMES = ("backbone", "task", "adaptation", "remedy", "seeds")


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell. text: "" where there is no number, and then `note` is the number of its reason; a number may have a note too. behind:
    what stands in brackets after it."""

    text: str
    bold: bool = False
    note: int | None = None
    behind: str = ""


@dataclass(frozen=True)
class Line:
    """One setting. names: a cell for each of `Sheet.names`."""

    names: tuple[str, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Sheet:
    """A table to print. said: sentences below its title; names, heads: its columns of words and of numbers; blocks: the lines of each
    backbone; notes: from number 1. All of it is plain text, which a form escapes."""

    sweep: str
    name: str
    title: str
    said: tuple[str, ...]
    names: tuple[str, ...]
    heads: tuple[str, ...]
    blocks: tuple[tuple[Line, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Setting:
    """Rows that differ in their seed alone, and the mean of their cells by column."""

    row: Row
    seeds: int
    cells: Mapping[str, Cell]

    @property
    def cell(self) -> tuple[str, str]:
        return self.row.identity["backbone"], self.row.identity["task"]


def sheets(runs: Runs, tables: Mapping[str, Table], only: Sequence[str] = (), behind: Behind = "") -> list[Sheet]:
    """Those of `tables` that are named in `only`, or else those that have a number: of gelo's own tables the three of the paper.

    Raises UserError for a name that is none of them, and where no table has a number.
    """
    if strays := [name for name in only if name not in tables]:
        raise UserError(f"results {runs.sweep}", [unknown("--table", name, tables, "table") for name in strays])
    own = [name for name in tables if name in THREE] or list(tables)
    found = [tables[name] for name in only or own if only or _numbered(tables[name])]
    if not found:
        fault = Fault(runs.sweep, "no number in any table", "at least one result", f"gelo resume {runs.sweep}")
        raise UserError(f"results {runs.sweep}", fault)
    return [_sheet(runs, table, behind) for table in found]


def _numbered(table: Table) -> bool:
    return any(row.cells[name].text for row in table.rows for name in table.main or table.columns)


def _sheet(runs: Runs, table: Table, behind: Behind) -> Sheet:
    columns = table.main or table.columns
    settings = list(_settings(table, columns))
    several = max((setting.seeds for setting in settings), default=1) > 1
    remedied = any(setting.row.identity["remedy"] not in ("", NONE) for setting in settings)
    names = tuple(name for name in _NAMES if (name != "remedy" or remedied) and (name != "seeds" or several))
    bold, compared = _bold(table, columns, settings)
    newest = {name: max((each.cells[name].version for each in settings), default=0) for name in columns}
    notes: dict[str, int] = {}
    blocks: dict[str, list[Line]] = {}
    for place, setting in enumerate(settings):
        entries = tuple(
            _entry(setting.cells[name], (place, name) in bold, newest[name], notes, behind) for name in columns
        )
        block = blocks.setdefault(setting.row.identity["backbone"], [])
        block.append(Line(_named(setting, names, first=not block), entries))
    both = {table.upwards.get(name) for name in columns} >= {1, -1}
    heads = tuple(_head(table, name, both) for name in columns)
    said = tuple(_said(runs, table, columns, several, behind, bool(bold), compared))
    lines = tuple(tuple(block) for block in blocks.values())
    return Sheet(runs.sweep, table.name, title_of(table), said, names, heads, lines, tuple(notes))


def _settings(table: Table, columns: Sequence[str]) -> Iterator[_Setting]:
    """In the order in which each first appears; the baseline of a backbone above its trials."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    backbones = list(dict.fromkeys(row.identity["backbone"] for row in table.rows))
    for row in sorted(table.rows, key=lambda row: backbones.index(row.identity["backbone"])):
        alike.setdefault(tuple(row.identity[name] for name in ("backbone", "task", "adaptation", "remedy")), []).append(
            row
        )
    for rows in alike.values():
        cells = {name: _mean([row.cells[name] for row in rows], name, table) for name in columns}
        yield _Setting(rows[0], len(rows), cells)


def _mean(cells: Sequence[Cell], column: str, table: Table) -> Cell:
    """The mean over seeds, its interval from the test images and the seeds; empty where a seed has none, or was scored otherwise."""
    if len(cells) == 1:
        return cells[0]
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        why = next((cell.reason for cell in cells if cell.value is None), "")
        return Cell("", why if not values or not why else f"{len(cells) - len(values)} of {len(cells)} seeds: {why}")
    versions = sorted({cell.version for cell in cells})
    if len(versions) > 1:
        return Cell("", f"seeds were scored by versions {' and '.join(map(str, versions))} of the protocol")
    mean, number = fmean(values), column in table.numbers
    digits = max(len(cell.text.partition(".")[2]) for cell in cells)
    text = f"{mean:.4g}" if number else f"{mean:.{digits}f}"
    changes = [cell.change for cell in cells if cell.change is not None]
    change = fmean(changes) if len(changes) == len(cells) else None
    ends = [(cell.high - cell.low) / (2 * Z95) for cell in cells if cell.low is not None and cell.high is not None]
    if len(ends) < len(cells):
        return Cell(text, change=change, value=mean, version=versions[0])
    low, high = interval(values, fmean(ends))
    if not number and digits == 2:  # a share in per cent
        low, high = max(low, 0.0), min(high, 100.0)
    return Cell(text, change=change, low=low, high=high, value=mean, version=versions[0])


def _bold(table: Table, columns: Sequence[str], settings: Sequence[_Setting]) -> tuple[set[tuple[int, str]], int]:
    """(place of a setting, column) of those that are the best of their backbone and task and whose interval lies apart from every other's;
    and how many intervals were compared. Where one has a number and no interval, or another version's, nothing is told."""
    rivals: dict[tuple[str, str], list[int]] = {}
    for place, setting in enumerate(settings):
        if not setting.row.baseline:
            rivals.setdefault(setting.cell, []).append(place)
    found, compared = set(), 0
    for places in rivals.values():
        for name in columns:
            up = table.upwards.get(name, 0)
            known = [
                (place, settings[place].cells[name])
                for place in places
                if settings[place].cells[name].value is not None
            ]
            ends = [
                (up * cell.low, up * cell.high) for _, cell in known if cell.low is not None and cell.high is not None
            ]
            if not up or len(known) < 2 or len(ends) < len(known) or len({cell.version for _, cell in known}) > 1:
                continue
            compared += len(known) - 1
            best = max(range(len(known)), key=lambda at: up * (known[at][1].value or 0.0))
            if all(min(ends[best]) > max(other) for at, other in enumerate(ends) if at != best):
                found.add((known[best][0], name))
    return found, compared


def _entry(cell: Cell, bold: bool, newest: int, notes: dict[str, int], behind: Behind) -> Entry:
    why = redacted(cell.reason) if not cell.text else ""
    if cell.text and cell.version < newest and cell.version:
        why = f"scored by version {cell.version} of the protocol, others here by {newest}: not to be compared"
    note = notes.setdefault(why, len(notes) + 1) if why else None
    return Entry(cell.text, bold, note, _behind(cell, behind) if cell.text else "")


def _behind(cell: Cell, which: Behind) -> str:
    digits = max(len(cell.text.partition(".")[2]), 1)
    if which == "interval" and cell.low is not None and cell.high is not None:
        return f"{cell.low:.{digits}f} to {cell.high:.{digits}f}"
    return signed(cell.change, digits) if which == "difference" and cell.change is not None else ""


def _named(setting: _Setting, names: Sequence[str], *, first: bool) -> tuple[str, ...]:
    identity = setting.row.identity
    told = {name: identity.get(name, "") for name in _NAMES} | {"seeds": str(setting.seeds)}
    told["backbone"] = told["backbone"] if first else ""
    told["adaptation"] = spelled(told["adaptation"])
    if setting.row.baseline:
        told |= {"task": "untouched", "adaptation": "", "remedy": ""}
    return tuple(told[name] for name in names)


def _head(table: Table, name: str, both: bool) -> str:
    way = {1: " ↑", -1: " ↓"}.get(table.upwards.get(name, 0), "") if both else ""
    return name.replace("_", " ") + (" #" if name in table.numbers else "") + way


def _said(
    runs: Runs, table: Table, columns: Sequence[str], several: bool, behind: Behind, bold: bool, compared: int
) -> Iterator[str]:
    """Sentences that a reader needs to take the numbers for what they are."""
    yield "Per cent." if not table.numbers else "Per cent; columns marked # are no shares."
    if runs.miniature:
        yield f"Miniature ({runs.miniature}): it shows the method, and confirms no published number."
    if any(name.startswith("gelo") for name in columns):
        yield "GELO: average accuracy after over that of the untouched backbone; 1 is nothing lost."
    if several:
        yield "A line is the mean over its seeds."
    if behind == "difference":
        yield "In brackets: ours less the published number of the same backbone and task, in points; GELO as it is."
    if behind == "interval":
        noise = "the test images and the seeds" if several else "the test images"
        yield f"In brackets the 95 % interval, from {noise}."
    if compared:
        which = "Bold: a number that is" if bold else "No number is bold: none is"
        yield (
            f"{which} the best of its backbone and task by a 95 % interval that lies apart from every other's "
            f"({counted(compared, 'comparison')} in all)."
        )
