"""The numbers of a score file, with a decimal point or, where nothing else can be meant, a decimal comma; and what is no number, by row."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.models.faults import Fault
from gelo.tasks.scorefiles.text import Columns, arrow_text

NUMBER = re.compile(r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:-?nan|-?inf(inity)?)$", re.ASCII)
_COMMA = r"^-?\d*,\d+([eE][+-]?\d+)?$"
_THOUSANDS = r"^-?[1-9]\d{0,2}([.,]\d{3})+$"  # 1,234 or 1.234, which some write for 1234
_POINT = "numbers with a decimal point"


def numbers(columns: Columns, column: str, faults: list[Fault]) -> NDArray[np.float64]:
    """The scores (N,), NaN where a fault was added; empty without the column."""
    if column not in columns.names:
        return np.empty(0)
    values = columns.table[column]
    if _numeric(values.type):
        try:
            found = np.asarray(pc.cast(values, pa.float64()), dtype=np.float64)
        except pa.ArrowException as error:
            faults.append(Fault(column, str(error).splitlines()[0], "numbers that a double can hold"))
            return np.full(len(values), np.nan)
        bad = np.flatnonzero(~np.isfinite(found))
    else:
        text = pc.replace_substring_regex(arrow_text(values), r"^\+", "")
        text, doubt = _with_points(text, columns, column)
        if doubt is not None:
            faults.append(doubt)
            return np.full(len(values), np.nan)
        number = pc.match_substring_regex(text, NUMBER.pattern)
        wrong = np.flatnonzero(~number.to_numpy())
        if wrong.size:
            faults.append(Fault(column, f"{wrong.size} no numbers: {columns.shown(wrong, text.to_numpy())}", _POINT))
        found = np.asarray(pc.cast(pc.if_else(number, text, "nan"), pa.float64()), dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(found) & number.to_numpy())
    if bad.size:
        faults.append(Fault(column, f"{bad.size} not finite: {columns.shown(bad, found)}", "finite numbers"))
    return found


def _with_points(text: pa.ChunkedArray, columns: Columns, column: str) -> tuple[pa.ChunkedArray, Fault | None]:
    """Decimal commas as points; or a fault where a comma, or a point in a file of semicolons, may stand before thousands."""
    comma = pc.match_substring_regex(text, _COMMA).to_numpy()
    if not comma.any() and columns.separator != ";":
        return text, None
    point = pc.match_substring(text, ".").to_numpy()
    if comma.any() and point.any():
        both = np.sort(np.concatenate([np.flatnonzero(comma)[:4], np.flatnonzero(point)[:4]]))
        found = f"decimal commas in {comma.sum():,} rows and points in {point.sum():,}: {columns.shown(both, text.to_numpy())}"
        return text, Fault(column, found, "one of the two", "save the file with points")
    marked = comma | point
    if marked.any() and not (marked & ~pc.match_substring_regex(text, _THOUSANDS).to_numpy()).any():
        found = (
            f"1,234 or 1234? three digits behind every mark: {columns.shown(np.flatnonzero(marked), text.to_numpy())}"
        )
        return text, Fault(column, found, _POINT, "save the file with commas between the columns and points in numbers")
    return (pc.replace_substring(text, ",", ".") if comma.any() else text), None


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))
