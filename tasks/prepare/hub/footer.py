"""Where a column lies in each row group, as the footer of a Parquet file says.

Decision: read here and not through pyarrow, whose `ColumnChunkMetaData` ends the process where a footer's statistics are damaged
(parquet::ParquetException, seen with pyarrow 25). Format: apache/parquet-format: src/main/thrift/parquet.thrift (`FileMetaData`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gelo.tasks.prepare.hub.bits import BROKEN, struct
from gelo.tasks.prepare.hub.types import BYTES

_TAIL = 8  # bytes after the footer: its length, and PAR1
_OPTIONAL, _REPEATED = 1, 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of one row group: type, codec and encodings by their numbers, values, the bytes from start to end, and how many values
    are missing, None where the footer does not say. levels: the highest definition level, and the highest repetition level."""

    kind: int
    codec: int
    encodings: frozenset[int]
    values: int
    start: int
    end: int
    missing: int | None
    levels: tuple[int, int]


def chunks_of(path: Path, column: str, groups: int) -> list[Chunk | None]:
    """The chunk of a column in each row group, of an Image's struct that of its bytes; None for what cannot be told."""
    try:
        with path.open("rb") as stream:
            end = stream.seek(-_TAIL, 2)
            size = int.from_bytes(stream.read(4), "little")
            stream.seek(max(0, end - size))
            footer, _ = struct(memoryview(stream.read(size)), 0)
        leaves = dict(_leaves(footer[2]))
        listed: list[Chunk | None] = [_chunk(group[1], column.encode(), leaves) for group in footer[4]]
    except BROKEN:
        return [None] * groups
    return listed if len(listed) == groups else [None] * groups


def _chunk(columns: Sequence[dict[int, Any]], column: bytes, leaves: dict[tuple[bytes, ...], tuple[int, int]]) -> Chunk:
    about = {tuple(one[3][3]): one[3] for one in columns if one[3][3][0] == column}
    path = next((path for path in about if path in ((column,), (column, BYTES.encode()))), next(iter(about), ()))
    one = about[path]
    start = one.get(11) or one[9]  # a dictionary's page comes before those of the values
    return Chunk(one[1], one[4], frozenset(one[2]), one[5], start, start + one[7], one.get(12, {}).get(3), leaves[path])


def _leaves(schema: Sequence[dict[int, Any]]) -> Iterator[tuple[tuple[bytes, ...], tuple[int, int]]]:
    """Path and levels of every leaf of a schema that is listed parent before children."""
    open_: list[tuple[int, tuple[bytes, ...], int, int]] = [(schema[0][5], (), 0, 0)]  # children to come, path, levels
    for element in schema[1:]:
        while open_ and not open_[-1][0]:
            open_.pop()
        left, path, deep, repeated = open_[-1]
        open_[-1] = (left - 1, path, deep, repeated)
        kind = element.get(3, 0)
        path, deep, repeated = (
            (*path, element[4]),
            deep + (kind in (_OPTIONAL, _REPEATED)),
            repeated + (kind == _REPEATED),
        )
        if element.get(5):
            open_.append((element[5], path, deep, repeated))
        else:
            yield path, (deep, repeated)
