"""The index of a RecordIO file: text lines of key, tab and byte offset, read at some ten million lines a second in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from gelo.tasks.prepare.tree import Tree

_FORM = "lines of key, tab and byte offset"
_LARGEST = (1 << 63) - 1
_BLOCK = 1 << 20
_ALLOWED = b"0123456789\t\r\n"
Numbers = NDArray[np.int64]


def read_index(tree: Tree, path: Path) -> tuple[Numbers, Numbers]:
    """(keys ascending, their offsets), both (N,) int64; N = 0 with a fault for a malformed line, a key or an offset given twice."""
    none = np.empty(0, np.int64)
    if not path.stat().st_size:
        tree.fault(path, "empty", _FORM)
        return none, none
    try:
        keys, offsets = _parsed(path)
    except (pa.ArrowInvalid, _StrayError) as error:
        where, found = _first_malformed(path) or (str(path), f"not an index ({error})")
        tree.fault(where, found, _FORM)
        return none, none
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, offsets = keys[order], offsets[order]
    twice = keys[1:][keys[1:] == keys[:-1]]
    if len(twice):
        tree.fault(path, f"{len(twice):,} keys given twice, first {twice[0]}", "each key once")
        return none, none
    if not (offsets[1:] > offsets[:-1]).all():
        order = np.argsort(offsets, kind="stable")
        same = np.flatnonzero(offsets[order][1:] == offsets[order][:-1])
        if len(same):
            pair = f"{keys[order[same[0]]]} and {keys[order[same[0] + 1]]}"
            tree.fault(path, f"{len(same):,} offsets given twice, first by the keys {pair}", "each record once")
            return none, none
    return keys, offsets


class _StrayError(ValueError):
    """Bytes that no index has."""


def _parsed(path: Path) -> tuple[Numbers, Numbers]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if block.translate(None, _ALLOWED):  # Arrow would take signs, blanks and 0x
                raise _StrayError("other bytes than digits, tabs and line ends")
    names = ["key", "offset"]
    reader = csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        csv.ConvertOptions(check_utf8=False, column_types=dict.fromkeys(names, pa.int64()), null_values=[]),
    )
    columns = [np.empty(0, np.int64), np.empty(0, np.int64)]
    for batch in reader:
        for values, column in zip(columns, batch.columns, strict=True):
            n = len(values)
            values.resize(n + len(column), refcheck=False)  # moves pages, copies none
            # to_numpy would import pandas, 40 MB, to ask whether it is there
            values[n:] = np.frombuffer(column.buffers()[1], np.int64, len(column), 8 * column.offset)
    return columns[0], columns[1]


def _first_malformed(path: Path) -> tuple[str, str] | None:
    """(file and line, what stands there) of the first line that is not two numbers."""
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(256), b""), start=1):
            fields = line.rstrip(b"\r\n").split(b"\t")
            good = len(fields) == 2 and all(field.isdigit() and len(field) < 20 for field in fields)
            if line.strip(b"\r\n") and not (good and all(int(field) <= _LARGEST for field in fields)):
                return f"{path} line {number}", line[:40].decode("ascii", "backslashreplace").strip()
    return None
