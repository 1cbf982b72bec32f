"""A CSV of scores as columns of text: its separator, header and rows, as whatever program wrote them, or a fault that says why not.

The header decides: the separator is the one that gives it the most known names. Rows are counted as a spreadsheet counts them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.tasks.protocols.inputs import naming
from gelo.tasks.scorefiles.textfile import check_quotes, utf8

_SEPARATORS = (",", ";", "\t", "|")
_TOP = re.compile(rb'\n*(?:"?sep=([,;\t|])"?\n)?\n*', re.IGNORECASE)  # Excel says the separator in a line of its own


@dataclass(frozen=True)
class Columns:
    """names as the file has them, stripped; table: a column each, in that order, named "0", "1", ...; rows (N,): the number of each row,
    the first below the header being 1. separator: "" of a file that has none.
    """

    names: list[str]
    table: pa.Table
    rows: NDArray[np.int64]
    separator: str = ""

    def shown(self, places: NDArray[np.intp], values: NDArray[np.generic] | None = None) -> str:
        """Rows by their numbers, with what stands there: `row 3 (n/a), row 7 () and 2 more`."""
        rows = self.rows[places[:8]].tolist()
        said = ["" if values is None else f" ({values[place]!s})" for place in places[:8].tolist()]
        shown = ", ".join(f"row {row}{what}" for row, what in zip(rows, said, strict=True))
        return shown + (f" and {places.size - 8} more" if places.size > 8 else "")


def read_csv(content: bytes, known: Collection[str], faults: list[Fault]) -> Columns:
    """All columns as text, so that every value that is no number can be shown; rows of another length are faults.

    Rows without a value are left out. Raises NotTextError, csv.Error and pa.ArrowInvalid.
    """
    content = utf8(content)
    top = _TOP.match(content)
    start = top.end() if top else 0
    body = content[start:]
    header = body.split(b"\n", 1)[0].decode()
    rest = body[len(header.encode()) :].decode() if b'"' in body else ""
    separator = (top[1].decode() if top and top[1] else "") or _separator(header, known)
    names = [
        name.strip() for name in next(csv.reader([header.strip()], delimiter=separator, skipinitialspace=True), [])
    ]
    check_quotes(rest, separator)
    if separator == " ":
        body = re.sub(rb"(?m)^ | $", b"", re.sub(rb" +", b" ", body))
    table, odd, blank = _parse(body, separator, len(names))
    if odd:
        before = content.count(b"\n", 0, start)
        what = "record" if '"' in rest else "line"  # a quoted field may have lines of its own
        shown = naming([f"{what} {number + before} has {width}" for number, width in odd.items()])
        remedy = "rows named below are counted without these"
        if separator == "," and 2 * sum(width > len(names) for width in odd.values()) > len(table):
            remedy += "; decimal commas need another separator, such as semicolons"
        faults.append(Fault("rows", f"{len(odd)} of another length: {shown}", f"{len(names)} values", remedy))
    records = np.arange(2, 2 + len(table) + len(odd) + len(blank))
    counted = np.cumsum(~np.isin(records, list(odd)), dtype=np.int64)
    rows = counted[~np.isin(records, [*odd, *blank])]
    filled = _filled(table)
    return Columns(names, table.filter(pa.array(filled)), rows[filled], separator)


def _parse(body: bytes, separator: str, width: int) -> tuple[pa.Table, dict[int, int], list[int]]:
    """The rows of this width; those of another, by the number of the record, with their widths; and the records of blanks alone."""
    columns = [str(place) for place in range(width)]
    odd: dict[int, int] = {}
    blank: list[int] = []

    def other(row: pa_csv.InvalidRow) -> str:
        if row.text.strip(f'{separator} "'):
            odd[row.number] = row.actual_columns
        else:
            blank.append(row.number)
        return "skip"

    if b"\n" not in body:
        return pa.table({name: pa.array([], pa.string()) for name in columns}), odd, blank
    table = pa_csv.read_csv(
        pa.BufferReader(body),
        pa_csv.ReadOptions(use_threads=False, column_names=columns, skip_rows=1),  # in a thread a row has no number
        pa_csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=other
        ),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
    )
    return table, odd, blank


def arrow_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of any type as text, stripped, empty where there is none."""
    try:
        return pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), ""))
    except pa.ArrowException:  # nested values have no text of their own
        return pa.chunked_array([pa.array([str(value) for value in column.to_pylist()], pa.string())])


def _separator(header: str, known: Collection[str]) -> str:
    """The one that gives the most known names, and of equals the fewest others; blanks where a header has no other."""

    def fit(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        right = sum(name in known for name in names)
        return right, right - len(names)

    if not any(separator in header for separator in _SEPARATORS) and " " in header.strip():
        return " "
    best = max(_SEPARATORS, key=fit)
    return best if fit(best)[0] else max(_SEPARATORS, key=header.count)


def _filled(table: pa.Table) -> NDArray[np.bool_]:
    """Rows (N,) with a value: a blank line reads as a row of empty fields, as do the lines of separators that Excel leaves at the end."""
    filled = np.zeros(len(table), dtype=bool)
    for column in table.columns:
        if filled.all():
            break
        filled |= pc.not_equal(pc.utf8_trim_whitespace(column), "").to_numpy()
    return filled
