"""Where each image lies in a row group of a Parquet file, told from the headers of its pages, so that one can be read without the others.

Decisions: Arrow reads and copies a page whole, and writers put up to 1,024 images, whatever their size, into one page: 400 MB of images
in one row group would need twice that. Pages that are not compressed are left where they are; of compressed ones the bytes are kept while
their row group is read. Only what writers make of images is understood here: plain values, or places in a dictionary of plain values, none
missing. Everything else is None, and read through Arrow. Format: apache/parquet-format: src/main/thrift/parquet.thrift, Encodings.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.prepare.hub.bits import BROKEN, places, struct
from gelo.tasks.prepare.hub.footer import Chunk

_PLAIN, _PLACES, _RLE = 0, (2, 8), 3  # encodings
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # types of a page
_ENCODINGS = {0, 2, 3, 4, 8}  # plain, places, runs, and bits of an older kind
_CODECS = {0: "", 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd"}
_BYTE_ARRAY = 6
_HEADER = 1 << 16  # bytes within which a page's header has to end
_ODD = (*BROKEN, pa.ArrowException)
IN_FILE = -1


@dataclass(frozen=True, slots=True)
class Spans:
    """The values of a column chunk by row: page (N,) of `pages`, or the file itself where it is -1; starts (N,) and lengths (N,) there."""

    path: Path
    pages: list[memoryview]
    page: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """What is kept in memory for it."""
        return sum(map(len, self.pages)) + self.starts.nbytes + self.lengths.nbytes

    def __getitem__(self, row: int) -> bytes:
        page, start, length = int(self.page[row]), int(self.starts[row]), int(self.lengths[row])
        if page != IN_FILE:
            return bytes(self.pages[page][start : start + length])
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)


def spans(path: Path, chunk: Chunk | None, rows: int) -> Spans | None:
    """Spans of a column chunk of byte arrays, of which none is missing; None where it holds anything that is not understood."""
    if chunk is None or chunk.kind != _BYTE_ARRAY or chunk.values != rows or not chunk.encodings <= _ENCODINGS:
        return None
    deepest, repeated = chunk.levels
    codec = _CODECS.get(chunk.codec)
    if codec is None or repeated or not none_missing(chunk):
        return None
    try:
        with path.open("rb") as stream:
            return _Pages(path, stream, codec, deepest).read(chunk.start, chunk.end, rows)
    except _ODD:
        return None


def none_missing(chunk: Chunk | None) -> bool:
    """Whether a footer says that every row has its value."""
    return chunk is not None and (chunk.levels[0] == 0 or chunk.missing == 0)


_Table = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]  # page, starts, lengths


class _Pages:
    def __init__(self, path: Path, stream: BinaryIO, codec: str, deepest: int) -> None:
        self._path, self._stream, self._codec, self._deepest = path, stream, codec, deepest
        self._pages: list[memoryview] = []

    def read(self, at: int, end: int, rows: int) -> Spans:
        """Page after page until all rows are found. Raises one of `_ODD`."""
        found: list[_Table] = []
        words: _Table | None = None
        have = 0
        while have < rows:
            self._stream.seek(at)
            header, size = struct(memoryview(self._stream.read(_HEADER)), 0)
            body, at = at + size, at + size + header[3]
            if header[3] < 0 or at > end:
                raise ValueError("a page that does not end within its column")
            if header[1] == _DICTIONARY:
                words = self._plain(*self._body(body, header[3], header[2], True), header[7][1])
            elif header[1] in (_DATA, _DATA_2):
                found.append(self._data(header, body, words))
                have += len(found[-1][0])
        if have != rows:
            raise ValueError("more values than rows")
        page, starts, lengths = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Spans(self._path, self._pages, page, starts, lengths)

    def _data(self, header: dict[int, Any], body: int, words: _Table | None) -> _Table:
        about = header[5] if header[1] == _DATA else header[8]
        count, encoding = about[1], about[2] if header[1] == _DATA else about[4]
        levels = (
            about[5] + about[6] if header[1] == _DATA_2 else 0
        )  # of the second version: before the values, never compressed
        packed = header[1] == _DATA or about.get(7, True)
        page, at, end = self._body(body + levels, header[3] - levels, header[2] - levels, packed)
        if header[1] == _DATA and self._deepest:
            first, at = at + 4, at + 4 + self._word(page)(at)
            deep = places(memoryview(self._bytes(page, first, at)), self._deepest.bit_length(), count)
            if about[3] != _RLE or not (deep == self._deepest).all():
                raise ValueError("a value that is missing")
        elif header[1] == _DATA_2 and about[2]:
            raise ValueError("a value that is missing")
        if encoding == _PLAIN:
            return self._plain(page, at, end, count)
        if encoding not in _PLACES or words is None:
            raise ValueError("values of another encoding")
        data = memoryview(self._bytes(page, at, end))
        rows = places(data[1:], data[0], count)
        return words[0][rows], words[1][rows], words[2][rows]

    def _body(self, at: int, size: int, unpacked: int, packed: bool) -> tuple[int, int, int]:
        """(page, start, end) of a page's content; decompressed into `pages` where it has to be."""
        if not self._codec or not packed:
            return IN_FILE, at, at + size
        self._stream.seek(at)
        data = pa.decompress(self._stream.read(size), unpacked, self._codec) if unpacked else pa.py_buffer(b"")
        self._pages.append(memoryview(data))
        return len(self._pages) - 1, 0, unpacked

    def _plain(self, page: int, at: int, end: int, count: int) -> _Table:
        """Values one after the other, each after its length."""
        if not 0 <= count <= end - at:
            raise ValueError("more values than bytes")
        word = self._word(page)
        starts, lengths = np.empty(count, np.int64), np.empty(count, np.int64)
        for row in range(count):
            starts[row], lengths[row] = at + 4, word(at)
            at += 4 + int(lengths[row])
            if at > end:
                raise ValueError("a value that does not end within its page")
        return np.full(count, page, np.int64), starts, lengths

    def _word(self, page: int) -> Callable[[int], int]:
        """Reads the 4 bytes of a length at a place."""
        return lambda at: int.from_bytes(self._bytes(page, at, at + 4), "little")

    def _bytes(self, page: int, at: int, end: int) -> bytes:
        if page != IN_FILE:
            return bytes(self._pages[page][at:end])
        self._stream.seek(at)
        return self._stream.read(end - at)
