"""The image of a row: its bytes, a file that it names, or an array of pixels; read when it is asked for, one at a time.

Decisions: the rows of one Parquet row group, or of one Arrow file, are looked up together and kept while images of it are asked for: as
places in the file where the bytes stand there as they are, else as Arrow holds them. Threads ask in about the order of the rows, so the
last few are kept, of whichever file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.tasks.prepare.hub.files import Arrow, Opened
from gelo.tasks.prepare.hub.footer import Chunk
from gelo.tasks.prepare.hub.pages import IN_FILE, Spans, none_missing, spans
from gelo.tasks.prepare.hub.types import BYTES, PATH, is_bytes, is_list, is_text
from gelo.tasks.prepare.layout import Item, png
from gelo.tasks.prepare.tree import read_file

HELD, NAMED, NOTHING = 0, 1, 2  # what a row has: the image, a path alone, neither
_KEPT, _BYTES = 2, 1 << 26  # row groups that are kept, and bytes below which more are
_Pieces = list[tuple[int, Spans | pa.Array]]  # (first row, rows)


class Kept:
    """The last row groups that were looked up, of all files of a set: some thread finds one, the others wait for it."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[Path, int], _Pieces] = OrderedDict()
        self._bytes: dict[tuple[Path, int], int] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, int], find: Callable[[], _Pieces]) -> _Pieces:
        with self._lock:
            if key not in self._found:
                while len(self._found) >= _KEPT and sum(self._bytes.values()) > _BYTES:
                    del self._bytes[self._found.popitem(last=False)[0]]
                self._found[key] = find()
                self._bytes[key] = sum(piece.nbytes for _, piece in self._found[key])
            self._found.move_to_end(key)
            return self._found[key]


class Images:
    """The images of one file by row. chunks: where they lie in each row group of Parquet. kept: shared by all files of a set. paths: of
    the rows that hold a path alone."""

    def __init__(
        self, opened: Opened, column: str, chunks: Sequence[Chunk | None], kept: Kept, paths: Mapping[int, str]
    ) -> None:
        self._opened, self._column, self._chunks, self._kept, self._paths = opened, column, chunks, kept, paths
        self._ends = np.cumsum(opened.groups if opened.kind == "parquet" else (opened.rows,))

    def item(self, identity: str, label: int, row: int) -> Item:
        return Item(identity, label, f"{self._opened.path} row {row}", partial(self.load, row))

    def load(self, row: int) -> bytes:
        """Raises OSError or ValueError for a row without an image."""
        if row in self._paths:
            return read_file(self._paths[row])
        try:
            group = int(np.searchsorted(self._ends, row, "right"))
            pieces = self._kept.get((self._opened.path, group), lambda: list(self._find(group)))
            first, piece = next(part for part in reversed(pieces) if part[0] <= row)
            return piece[row - first] if isinstance(piece, Spans) else _image(piece.slice(row - first, 1))
        except (pa.ArrowException, LookupError, StopIteration) as error:
            raise OSError(f"damaged: {error}") from None

    def _find(self, group: int) -> Iterator[tuple[int, Spans | pa.Array]]:
        at = int(self._ends[group - 1]) if group else 0
        if self._opened.kind != "parquet":
            yield from _in_arrow(self._opened, self._column)
        elif (found := spans(self._opened.path, self._chunks[group], self._opened.groups[group])) is not None:
            yield at, found
        else:
            for piece in self._opened.batches(self._column, group):
                yield at, piece
                at += len(piece)


def what_is_held(
    opened: Opened, column: str, chunks: Sequence[Chunk | None]
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """`HELD`, `NAMED` or `NOTHING` of each row (N,), and the paths of those that are `NAMED`. Raises what Arrow raises."""
    held = np.full(opened.rows, HELD, np.uint8)
    paths: dict[int, str] = {}
    for group, pieces in _with_holes(opened, column, chunks):
        at = sum(opened.groups[:group])
        for cells in pieces:
            field, names = cells, None
            if pa.types.is_struct(cells.type):
                here = [one.name for one in cells.type]
                field = pc.struct_field(cells, BYTES) if BYTES in here else pa.nulls(len(cells))
                names = pc.struct_field(cells, PATH) if PATH in here else None
            elif is_text(cells.type):
                field, names = pa.nulls(len(cells)), cells
            for row in np.flatnonzero(~field.is_valid().to_numpy(zero_copy_only=False)).tolist():
                name = names[row].as_py() if names is not None else None
                held[at + row] = NAMED if name else NOTHING
                if name:
                    paths[at + row] = str(name)
            at += len(cells)
    return held, paths


def _with_holes(
    opened: Opened, column: str, chunks: Sequence[Chunk | None]
) -> Iterator[tuple[int, Iterator[pa.Array]]]:
    """The groups in which a row may lack its image, as Parquet's statistics say, with their rows; of an Arrow file all."""
    if opened.kind != "parquet":
        yield 0, opened.batches(column)
        return
    kind = opened.schema.field(column).type
    paths = is_text(kind) or (pa.types.is_struct(kind) and BYTES not in [one.name for one in kind])
    yield from (
        (group, opened.batches(column, group)) for group, chunk in enumerate(chunks) if paths or not none_missing(chunk)
    )


def _in_arrow(opened: Opened, column: str) -> Iterator[tuple[int, Spans | pa.Array]]:
    at = 0
    arrow = Arrow(opened.path, opened.kind)
    for cells in arrow.column(column):
        field = pc.struct_field(cells, BYTES) if pa.types.is_struct(cells.type) else cells
        found = _mapped(opened.path, field, arrow.buffer) if is_bytes(field.type) else None
        yield at, cells if found is None else found
        at += len(cells)


def _mapped(path: Path, field: pa.Array, file: pa.Buffer) -> Spans | None:
    """Where the values lie in a file that is mapped; None where they were decompressed, or lie in several buffers."""
    if pa.types.is_binary_view(field.type):
        return None
    _, offsets, data = field.buffers()
    kind = np.int64 if pa.types.is_large_binary(field.type) else np.int32
    begin = data.address - file.address if data is not None and data.size else 0
    if not 0 <= begin <= file.size:
        return None
    ends = begin + np.frombuffer(offsets, kind)[field.offset : field.offset + len(field) + 1].astype(np.int64)
    return Spans(path, [], np.broadcast_to(np.int64(IN_FILE), len(field)), ends[:-1], np.diff(ends))


def _image(cell: pa.Array) -> bytes:
    """The image of an array of one."""
    if pa.types.is_struct(cell.type):
        cell = pc.struct_field(cell, BYTES)
    if is_list(cell.type):
        return png(_pixels(cell))
    value = cell[0].as_py()
    if not isinstance(value, bytes):
        raise ValueError("no bytes")
    return value


def _pixels(cell: pa.Array) -> NDArray[np.uint8]:
    """An array of one image as lists of rows of pixels, (H, W), (H, W, 1) or (H, W, 3)."""
    shape = []
    while is_list(cell.type):
        lengths = pc.list_value_length(cell).unique().to_pylist()
        if len(lengths) != 1 or not lengths[0]:
            raise ValueError("an array of rows of different lengths")
        shape.append(lengths[0])
        cell = cell.flatten()
    if len(shape) == 3 and shape[2] == 1:
        shape.pop()
    if cell.null_count or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise ValueError(f"an array of {' x '.join(map(str, shape))}: (height, width) or (height, width, 3) is read")
    return cell.to_numpy().reshape(shape)
