"""A text file of columns, read by Arrow: millions of lines in seconds, and what does not fit named, counted and left out."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from models.faults import Fault

Kind = Literal["text", "whole", "number", "flag"]
_BLOCK = 1 << 24  # bytes looked at together
_NAMED = 8  # lines spelled out in one fault
_TYPES: dict[Kind, pa.DataType] = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
_FORM: dict[Kind, tuple[str, str]] = {  # what a field looks like, and how that is said
    "text": (".", "a name"),
    "whole": (r"^-?[0-9]{1,18}$", "a whole number"),
    "number": (r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$", "a finite number"),
    "flag": ("^[01]$", "0 or 1"),
}


def read_columns(
    path: Path, columns: Mapping[str, Kind], faults: list[Fault], *, separator: str = " ", header: bool = False
) -> pa.Table:
    """The named columns of a file, (rows, columns); blank lines are passed over.

    columns: what each holds: `text` (not empty), `whole` (int64), `number` (float64, finite) or `flag` (0 or 1). header: the first
    line names the columns, which may then be more and in another order; fields may be quoted. Faults name the first lines of another
    width and the first with a field of another kind, with how many there are: these rows are left out.
    """
    texts: dict[str, Kind] = dict.fromkeys(columns, "text")
    try:
        _check_text(path)
        if header and (wrong := _header(path, columns, separator)):
            expected = f"a header with each of {separator.join(columns)} once"
            faults.append(Fault(f"{path} line 1", wrong, expected))
            return read_nothing(columns)
        try:
            table, misfits = _parse(path, columns, separator, header)
            fits = _fits_as_parsed(table, columns)
        except pa.ArrowInvalid:  # Arrow stops at the first field of another kind
            fits = False
        if not fits:
            table, misfits = _parse(path, texts, separator, header)
            table = _sifted(path, table, columns, separator, faults)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        faults.append(
            Fault(str(path), f"not a text of columns ({str(error)[:160]})", f"lines of {separator.join(columns)}")
        )
        return read_nothing(columns)
    if misfits.count:
        width = "as many columns as the header" if header else f"{len(columns)} columns: {separator.join(columns)}"
        faults.append(
            Fault(str(path), f"{misfits.count:,} lines of another width: {told(misfits.lines, misfits.count)}", width)
        )
    elif not table.num_rows and fits:
        faults.append(Fault(str(path), "no lines", f"lines of {separator.join(columns)}"))
    return table


def told(names: Sequence[object], count: int) -> str:
    """The first names, quoted, and how many of `count` are not said."""
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    return shown if count <= _NAMED else f"{shown} and {count - _NAMED:,} more"


def named(
    faults: list[Fault], where: Path | str, names: pa.Array | pa.ChunkedArray, mask: NDArray[np.bool_], what: str, expected: str
) -> None:  # fmt: skip
    """A fault that counts and names those of names (N,) where mask (N,) is true, if there are any."""
    rows = np.flatnonzero(mask)
    if rows.size:
        first = names.take(pa.array(rows[:_NAMED])).to_pylist()
        faults.append(Fault(str(where), f"{rows.size:,} {what}: {told(first, rows.size)}", expected))


class _Misfits:
    """Lines of another width: how many, and the first."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[str] = []

    def __call__(self, row: csv.InvalidRow) -> str:
        self.count += 1
        if len(self.lines) < _NAMED:
            self.lines.append(row.text[:80])
        return "skip"


def _parse(path: Path, columns: Mapping[str, Kind], separator: str, header: bool) -> tuple[pa.Table, _Misfits]:
    misfits = _Misfits()
    table = csv.read_csv(
        path,
        csv.ReadOptions(column_names=None if header else list(columns)),
        csv.ParseOptions(delimiter=separator, quote_char='"' if header else False, invalid_row_handler=misfits),
        csv.ConvertOptions(
            column_types={name: _TYPES[kind] for name, kind in columns.items()},
            include_columns=list(columns),
            check_utf8=False,
            null_values=[],
            true_values=["1"],
            false_values=["0"],
        ),
    )
    return table, misfits


def _check_text(path: Path) -> None:
    """Raises UnicodeDecodeError. Arrow would pass over a line of another width that is no text without a word."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            decoder.decode(block)
    decoder.decode(b"", final=True)


def _fits_as_parsed(table: pa.Table, columns: Mapping[str, Kind]) -> bool:
    checks: dict[Kind, Callable[[Any], Any]] = {
        "number": pc.is_finite,
        "text": lambda column: pc.greater(pc.binary_length(column), 0),
    }
    return all(
        pc.all(checks[kind](table[name])).as_py() is not False for name, kind in columns.items() if kind in checks
    )


def _sifted(
    path: Path, table: pa.Table, columns: Mapping[str, Kind], separator: str, faults: list[Fault]
) -> pa.Table:  # fmt: skip
    """The rows of a table of text whose fields are all of their kind, in those types; the others are named by their line."""
    good = np.ones(table.num_rows, dtype=bool)
    for name, kind in columns.items():
        form, said = _FORM[kind]
        fits = pc.match_substring_regex(table[name], form).to_numpy().astype(bool)
        if kind == "number":
            fits[fits] = pc.is_finite(table[name].filter(pa.array(fits)).cast(pa.float64())).to_numpy().astype(bool)
        rows = np.flatnonzero(~fits)
        if rows.size:
            first = [separator.join(row.values()) for row in table.take(pa.array(rows[:_NAMED])).to_pylist()]
            found = f"{rows.size:,} lines whose {name} is not {said}: {told(first, rows.size)}"
            faults.append(Fault(str(path), found, f"{said} as {name}"))
            good &= fits
    kept = table.filter(pa.array(good))
    return pa.table(
        {
            name: pc.equal(kept[name], "1") if kind == "flag" else kept[name].cast(_TYPES[kind])
            for name, kind in columns.items()
        }
    )


def read_nothing(columns: Mapping[str, Kind]) -> pa.Table:
    """The columns of `read_columns` without a row."""
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()]).empty_table()


def _header(path: Path, columns: Mapping[str, Kind], separator: str) -> str:
    """What is wrong with the first line; empty where each column is there once."""
    with path.open(encoding="utf-8-sig") as stream:
        there = [name.strip('"') for name in stream.readline().rstrip("\r\n").split(separator)]
    absent = [name for name in columns if name not in there]
    twice = [name for name in columns if there.count(name) > 1]
    return f"no column {', '.join(absent)}" if absent else f"more than one column {', '.join(twice)}" if twice else ""
