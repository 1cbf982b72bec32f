"""RecordIO of MXNet: `<name>.rec` and `<name>.idx`, read record by record without a list of them in memory.

Form (dmlc/dmlc-core: src/recordio.cc; apache/mxnet: python/mxnet/recordio.py), little endian: the magic word, a word of flag (top 3 bits: 0
whole, 1 first, 2 middle, 3 last part) and length (low 29), the data, zeros up to four bytes. A record that holds the magic word at a
multiple of four is cut there, and the word comes back between the parts. Data: header `IfQQ`, flag > 0 = that many float32 labels, image.

Decisions: the index is two int64 arrays (42 M records: 670 MB), and one read takes a record whole. What is wrong with a record is known
when it is read: then its item is there, and loading it raises RecordError.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, overload

import numpy as np
from numpy.typing import NDArray

from gelo.tasks.prepare.index import read_index
from gelo.tasks.prepare.layout import Item
from gelo.tasks.prepare.tree import Tree

MAGIC = 0xCED7230A
OLD_MAGIC = 0x3ED7230A  # dmlc's until 12 April 2015, with flags of two bits
EXACT = 1 << 24  # whole numbers below it are exact as float32
_WORD = struct.pack("<I", MAGIC)
_HEAD = struct.Struct("<II")
_IMAGE = struct.Struct("<IfQQ")
_AT_ONCE = 1_024
_FIRST_READ = 1 << 18  # bytes; a record that is longer takes more reads


class RecordError(ValueError):
    """A record that is damaged: what was found."""


class _CutError(RecordError):
    """The bytes end before the record does."""


def joined(data: bytes) -> tuple[bytes, int]:
    """The record that `data` begins with, its parts joined, and the bytes it takes with its padding. Raises RecordError."""
    parts: list[bytes] = []
    at = 0
    while True:
        if len(data) < at + _HEAD.size:
            raise _CutError(f"ends after {len(data)} bytes, within the head of part {len(parts) + 1}")
        magic, word = _HEAD.unpack_from(data, at)
        flag, length, start = word >> 29, word & 0x1FFFFFFF, at + _HEAD.size
        if magic != MAGIC:
            raise RecordError(f"magic 0x{magic:08X} in place of 0x{MAGIC:08X}")
        if flag > 3 or (flag in (0, 1)) != (not parts):
            raise RecordError(f"part {len(parts) + 1} has flag {flag}: a broken sequence of parts")
        if len(data) < start + length:
            raise _CutError(f"a length of {length:,} bytes, {len(data) - start:,} are there")
        parts.append(data[start : start + length])
        at = start + (length + 3) // 4 * 4
        if flag in (0, 3):
            return parts[0] if flag == 0 else _WORD.join(parts), at


def unpacked(data: bytes) -> tuple[tuple[float, ...], bytes]:
    """(one label or more, image bytes: b"" in a bookkeeping record). Raises RecordError."""
    if len(data) < _IMAGE.size:
        raise RecordError(f"{len(data)} bytes, less than its header of {_IMAGE.size}")
    flag, label, _, _ = _IMAGE.unpack_from(data)
    if not flag:
        return (label,), data[_IMAGE.size :]
    end = _IMAGE.size + 4 * flag
    if end > len(data):
        raise RecordError(f"{flag:,} labels in {len(data):,} bytes")
    return struct.unpack_from(f"<{flag}f", data, _IMAGE.size), data[end:]


class RecordFile:
    """A .rec that is open for reading from any thread. starts: (K,) int64 offsets of all known records, ascending."""

    def __init__(self, path: Path, starts: NDArray[np.int64]) -> None:
        self.path, self.starts = path, starts
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size

    def rooms(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) bytes from each offset to the next known record, or to the end of the file."""
        following = self.starts.searchsorted(offsets, "right")
        ends = np.where(following < len(self.starts), self.starts.take(following, mode="clip"), self.size)
        return ends - offsets

    def read(self, offset: int, room: int) -> tuple[bytes, int]:
        """`joined` of the record at `offset`, which may not run on beyond its room."""
        size = min(room, _FIRST_READ)
        while True:
            data = os.pread(self._descriptor, size, offset)
            try:
                return joined(data)
            except _CutError as error:
                if len(data) == size < room:
                    size = min(room, 8 * size)
                    continue
                beyond = "the next record" if offset + room < self.size else "the end of the file (truncated?)"
                raise RecordError(f"{error}: runs past {beyond}") from None


class Records(Sequence[Item]):
    """The images of a .rec as items made on demand, in key order; ids are running numbers.

    keys, offsets: (N,) int64. identities: 0 where labels are free, else each label is a whole number below it.
    """

    def __init__(self, file: RecordFile, keys: NDArray[np.int64], offsets: NDArray[np.int64], identities: int) -> None:
        self._file, self._keys, self._offsets = file, keys, offsets
        self._labels, self._path = identities or EXACT, str(file.path)
        self._width = max(6, len(str(len(keys) - 1)))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Item]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._items(first, first + _AT_ONCE)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        rows = range(len(self))[place]
        if isinstance(rows, range):
            return [self[row] for row in rows]
        return next(self._items(rows, rows + 1))

    def _items(self, first: int, stop: int) -> Iterator[Item]:
        offsets = self._offsets[first:stop]
        rows = zip(self._keys[first:stop].tolist(), offsets.tolist(), self._file.rooms(offsets).tolist(), strict=True)
        for row, (key, offset, room) in enumerate(rows, start=first):
            name, where = f"{row:0{self._width}d}", f"{self._path} key {key}"
            try:
                data, taken = self._file.read(offset, room)
                labels, image = unpacked(data)
                whole = taken == _HEAD.size + (len(data) + 3) // 4 * 4  # not in parts
                at = (offset + _HEAD.size + len(data) - len(image), len(image)) if whole else None
                item = Item(name, self._label(labels[0]), where, partial(bytes, image), at=at)
            except (RecordError, OSError) as error:
                item = Item(name, 0, where, partial(_raise, error))
            yield item

    def _label(self, label: float) -> int:
        if not label.is_integer() or not 0 <= label < self._labels:
            raise RecordError(f"label {label:g}, a whole number below {self._labels:,} is needed")
        return int(label)


def records(tree: Tree, rec: str, idx: str) -> tuple[Records, int] | None:
    """The images of `rec` and the number of identities that its header record states, 0 without one; None with faults.

    Key 0 without image bytes and with labels (a, b) is a header record: images are keys 1 to a - 1, identities b - a
    (deepinsight/insightface: recognition/arcface_torch/dataset.py); else every key is an image. Records that the index or the file lacks
    are faults, and the rest is given.
    """
    where = tree.path(rec, "records of MXNet")
    index = tree.path(idx, "the index of the .rec, lines of key and byte offset")
    if where is None or index is None:
        return None
    with where.open("rb") as stream:
        magic = int.from_bytes(stream.read(4), "little")
    if magic != MAGIC:
        old = " of dmlc before 12 April 2015" if magic == OLD_MAGIC else ""
        found = f"magic 0x{magic:08X}{old}" if where.stat().st_size else "empty"
        tree.fault(where, found, f"magic 0x{MAGIC:08X} of RecordIO")
        return None
    size, known = where.stat().st_size, len(tree.faults)
    keys, offsets = read_index(tree, index)
    if len(tree.faults) > known:
        return None
    outside = offsets > size - _HEAD.size
    if outside.any():
        lost = keys[outside]
        found = f"{len(lost):,} offsets beyond the end of {where.name}, first key {lost[0]}"
        tree.fault(index, found, f"offsets below {size:,} (is the .rec truncated, or another file's?)")
        keys, offsets = keys[~outside], offsets[~outside]
    if not len(keys):
        return None
    starts = offsets if (offsets[1:] > offsets[:-1]).all() else np.sort(offsets)
    file = RecordFile(where, starts)
    _check_end(tree, file, idx)
    images, identities = slice(0, len(keys)), 0
    if keys[0] == 0:
        try:
            labels, image = unpacked(file.read(int(offsets[0]), int(file.rooms(offsets[:1])[0]))[0])
        except RecordError as error:
            tree.fault(f"{where} key 0", f"damaged record ({error})", "a header record or an image")
            return None
        if not image:
            images, identities = _images(tree, f"{where} key 0", keys, labels)
    if images.stop <= images.start:
        return None
    return Records(file, keys[images], offsets[images], identities), identities


def _images(tree: Tree, where: str, keys: NDArray[np.int64], labels: tuple[float, ...]) -> tuple[slice, int]:
    """Where the images lie in `keys`, by the header record's labels (a, b), and the number of identities."""
    ends = labels[:2]
    if len(ends) < 2 or not all(n.is_integer() for n in ends) or not 1 < ends[0] <= ends[1] < EXACT:
        form = "a header record of two whole numbers: images are keys 1 to a - 1, identities a to b - 1"
        tree.fault(
            where,
            f"labels {', '.join(f'{n:g}' for n in ends)}",
            form,
            f"above {EXACT:,} float32 cannot count: leave it out",
        )
        return slice(0, 0), 0
    first, last = int(ends[0]), int(ends[1])
    start, stop, end = (int(n) for n in np.searchsorted(keys, (1, first, last)))
    if stop - start != first - 1:
        tree.fault(
            where,
            f"{stop - start:,} of the keys 1 to {first - 1:,} are in the index",
            "all of them (is the .idx truncated?)",
        )
    if end - stop != last - first:
        tree.fault(
            where, f"{end - stop:,} of the identities' keys {first:,} to {last - 1:,} are in the index", "all of them"
        )
        return slice(start, stop), 0
    return slice(start, stop), last - first


def _check_end(tree: Tree, file: RecordFile, idx: str) -> None:
    """The record that lies last must end the file: an index that was cut short leaves records behind it."""
    last = int(file.starts[-1])
    try:
        rest = file.size - last - file.read(last, file.size - last)[1]
    except RecordError:
        return  # told when its item is loaded
    if rest > 0:
        tree.fault(file.path, f"{rest:,} bytes after the last record of {idx}", "none (is the .idx truncated?)")


def _raise(error: Exception) -> NoReturn:
    raise error
