"""Items of an Arrow table, made on demand: millions of images whose ids a reader has already seen to be there once each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

import pyarrow as pa
import pyarrow.compute as pc

from gelo.tasks.prepare.layout import Item

_AT_ONCE = 1_024


class Rows(Sequence[Item]):
    """`item(**row)` for each row of `table`, in its order; nothing but the table is kept."""

    def __init__(self, table: pa.Table, item: Callable[..., Item]) -> None:
        self._table, self._item = table.combine_chunks(), item

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[Item]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._items(first, _AT_ONCE)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        rows = range(len(self))[place]
        if isinstance(rows, range):
            return [self[row] for row in rows]
        return next(self._items(rows, 1))

    def _items(self, first: int, count: int) -> Iterator[Item]:
        for row in self._table.slice(first, count).to_pylist():
            yield self._item(**row)


def mapped(values: pa.ChunkedArray, to: Mapping[str, str] | Mapping[str, int]) -> pa.ChunkedArray:
    """What each of values (N,) becomes, text or int32; null where `to` says nothing of it."""
    kind = pa.int32() if any(isinstance(value, int) for value in to.values()) else pa.string()
    places = pc.index_in(values, value_set=pa.array(list(to), pa.string()))
    return pa.chunked_array([pa.array(list(to.values()), kind).take(chunk) for chunk in places.chunks], kind)
