"""A text file of columns, read by Arrow: millions of lines in seconds, and what does not fit named, counted and left out."""

from __future__ import annotations

import csv as plain_csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from gelo.models.faults import Fault
from gelo.tasks.scorefiles.textfile import NotTextError, arrow_input, check_quotes, other_separator, utf8

Kind = Literal["text", "whole", "number", "flag"]
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
    """The named columns of a file, (rows, columns); blank lines are passed over, and so are blanks at the ends of fields.

    columns: what each holds: `text` (not empty), `whole` (int64), `number` (float64, finite) or `flag` (0 or 1). header: the first
    line names the columns, which may then be more and in another order; fields may be quoted. Faults name the first lines of another
    width and the first with a field of another kind, with how many there are: these rows are left out.
    """
    form = f"lines of {separator.join(columns)}"
    try:
        source = pa.py_buffer(utf8(path.read_bytes())) if header else arrow_input(path)
        names = _header(source, separator) if header else list(columns)
        if wrong := _misnamed(names, columns, separator):
            faults.append(Fault(f"{path} line 1", *wrong))
            return read_nothing(columns)
        content = _Content(source, names, header, separator)
        table, found = _read(path, content, columns)
        if found and not header and (tidy := _tidy(source)) is not None:
            table, found = _read(path, _Content(tidy, names, header, separator), columns)
        faults += found
    except (pa.ArrowInvalid, pa.ArrowKeyError, plain_csv.Error, NotTextError) as error:
        remedy = error.remedy if isinstance(error, NotTextError) else ""
        faults.append(Fault(str(path), f"not a text of columns ({str(error)[:160]})", form, remedy))
        return read_nothing(columns)
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


@dataclass(frozen=True, slots=True)
class _Content:
    """A text for Arrow with the names of all its columns. header: its first line says them, and fields may be quoted."""

    source: Path | pa.Buffer
    names: list[str]
    header: bool
    separator: str

    def parse(self, columns: Mapping[str, Kind]) -> tuple[pa.Table, _Misfits]:
        misfits = _Misfits()
        table = csv.read_csv(
            self.source if isinstance(self.source, Path) else pa.BufferReader(self.source),
            csv.ReadOptions(column_names=self.names, skip_rows=int(self.header)),
            csv.ParseOptions(
                delimiter=self.separator,
                quote_char='"' if self.header else False,
                newlines_in_values=self.header,
                invalid_row_handler=misfits,
            ),
            csv.ConvertOptions(
                column_types={name: _TYPES[kind] for name, kind in columns.items()},
                include_columns=list(columns),
                check_utf8=False,
                null_values=[],
                true_values=["1"],
                false_values=["0"],
            ),
        )
        for place, (name, kind) in enumerate(columns.items()):
            if self.header and kind == "text":
                table = table.set_column(place, name, pc.utf8_trim_whitespace(table[name]))
        return table, misfits


def _read(path: Path, content: _Content, columns: Mapping[str, Kind]) -> tuple[pa.Table, list[Fault]]:
    """The rows whose fields are of their kind, and the faults of the others."""
    faults: list[Fault] = []
    try:
        table, misfits = content.parse(columns)
        fits = _fits_as_parsed(table, columns)
    except pa.ArrowInvalid:  # Arrow stops at the first field of another kind
        fits = False
    if not fits:
        table, misfits = content.parse(dict.fromkeys(columns, "text"))
        table = _sifted(path, table, columns, content.separator, faults)
    if misfits.count:
        width = f"{len(content.names)} columns: {content.separator.join(content.names)}"
        width = "as many columns as the header" if content.header else width
        faults.append(
            Fault(str(path), f"{misfits.count:,} lines of another width: {told(misfits.lines, misfits.count)}", width)
        )
    elif not table.num_rows and fits:
        faults.append(Fault(str(path), "no lines", f"lines of {content.separator.join(columns)}"))
    return table, faults


def _tidy(source: Path | pa.Buffer) -> pa.Buffer | None:
    """The text with one blank between fields and none at the ends of lines; None where it is so already."""
    content = utf8(source.read_bytes() if isinstance(source, Path) else source.to_pybytes())
    tidy = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", content))
    return None if tidy == content else pa.py_buffer(tidy)


def _fits_as_parsed(table: pa.Table, columns: Mapping[str, Kind]) -> bool:
    checks: dict[Kind, Callable[[Any], Any]] = {
        "number": pc.is_finite,
        "text": lambda column: pc.greater(pc.binary_length(column), 0),
    }
    return all(
        pc.all(checks[kind](table[name])).as_py() is not False for name, kind in columns.items() if kind in checks
    )


def _sifted(path: Path, table: pa.Table, columns: Mapping[str, Kind], separator: str, faults: list[Fault]) -> pa.Table:
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


def _header(source: pa.Buffer, separator: str) -> list[str]:
    """The names of the first line. Raises csv.Error for quotes that close elsewhere than a field ends."""
    text = source.to_pybytes().decode()
    check_quotes(text, separator)
    fields = next(plain_csv.reader(text.split("\n", 1)[:1], delimiter=separator), [])
    return [name.strip() for name in fields]


def _misnamed(names: list[str], columns: Mapping[str, Kind], separator: str) -> tuple[str, str, str] | None:
    """What is wrong with a header, what is expected and what to do; None where each column is there once."""
    absent = [name for name in columns if name not in names]
    twice = [name for name in columns if names.count(name) > 1]
    if not absent and not twice:
        return None
    return (
        f"no column {', '.join(absent)}" if absent else f"more than one column {', '.join(twice)}",
        f"a header with each of {separator.join(columns)} once",
        other_separator(names, separator),
    )
