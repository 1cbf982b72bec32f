"""One Parquet or Arrow file: its columns and rows from its own headers, and one column at a time in batches, never a whole table."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gelo.tasks.prepare.hub.info import Info, from_metadata

Kind = Literal["parquet", "stream", "file"]
POINTER = b"version https://git-lfs"
_AT_ONCE = 64  # rows of a batch with images
_MARK = b"\xff\xff\xff\xff"  # before a message of a stream, since Arrow 0.15
_END = b"\0\0\0\0"
DAMAGED = (
    pa.ArrowException,
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RecursionError,
)  # what Arrow makes of damaged files


class NotDataError(ValueError):
    """A file that is not what its suffix says; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One file as its headers describe it: rows of each Parquet row group or Arrow batch, and what its own metadata say of its columns.

    whole: False for an Arrow stream that does not end as a stream that was closed.
    """

    path: Path
    kind: Kind
    schema: pa.Schema
    groups: tuple[int, ...]
    whole: bool
    info: Info

    @property
    def rows(self) -> int:
        return sum(self.groups)

    def batches(self, column: str, group: int | None = None) -> Iterator[pa.Array]:
        """A column in order, in pieces; of one row group of Parquet where that is given. Types that others defined as they are stored."""
        if self.kind == "parquet":
            groups = list(range(len(self.groups))) if group is None else [group]
            with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(_AT_ONCE, row_groups=groups, columns=[column], use_threads=False):
                    yield _column(batch, column)
            return
        yield from Arrow(self.path, self.kind).column(column)


def open_data(path: Path) -> Opened:
    """Raises NotDataError, or one of `DAMAGED`."""
    with path.open("rb") as stream:
        head = stream.read(64)
    if head.startswith(POINTER):
        raise NotDataError("a pointer of Git LFS, not the data itself")
    if not head:
        raise NotDataError("empty")
    if head.startswith(b"PAR1"):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            groups = tuple(file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups))
            return _described(path, "parquet", file.schema_arrow, groups, whole=True)
    arrow = Arrow(path, "file" if head.startswith(b"ARROW1") else "stream")
    groups = tuple(batch.num_rows for batch in arrow)
    return _described(path, arrow.kind, arrow.schema, groups, whole=arrow.ended())


def _described(path: Path, kind: Kind, schema: pa.Schema, groups: tuple[int, ...], *, whole: bool) -> Opened:
    for field in schema:  # a name that is not text raises where it is asked for
        for inner in (field, *(field.type if pa.types.is_struct(field.type) else ())):
            str(inner.name)
    return Opened(path, kind, schema, groups, whole, from_metadata(schema.metadata, path.name))


class Arrow:
    """The batches of an Arrow stream or file: mapped, so that only what is looked at is read, and nothing is copied."""

    def __init__(self, path: Path, kind: Kind) -> None:
        with path.open("rb") as stream:
            self.buffer = pa.py_buffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        self.kind: Kind = kind
        self._source = pa.BufferReader(self.buffer)
        self._reader = pa.ipc.open_file(self._source) if kind == "file" else pa.ipc.open_stream(self._source)
        self.schema: pa.Schema = self._reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self.kind == "file":
            return (self._reader.get_batch(n) for n in range(self._reader.num_record_batches))
        return iter(self._reader)

    def column(self, name: str) -> Iterator[pa.Array]:
        """A column batch by batch."""
        for batch in self:
            found = _column(batch, name)
            found.validate(full=True)  # offsets in a mapped file have not been looked at before
            yield found

    def ended(self) -> bool:
        """Whether a stream that was read through ends with its mark and nothing follows: one that was cut between two batches does not."""
        if self.kind == "file":
            return True
        mark = _MARK + _END if self.buffer.slice(0, 4).to_pybytes() == _MARK else _END
        at = self._source.tell()
        return at == self.buffer.size and self.buffer.slice(at - len(mark)).to_pybytes() == mark


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    found = batch.column(batch.schema.get_field_index(name))
    return found.storage if isinstance(found, pa.ExtensionArray) else found
