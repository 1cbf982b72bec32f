"""The labels of one file: what stands in its column, and what the file calls its numbers; rows whose label is hidden or lacks."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.tasks.prepare.hub.files import Opened
from gelo.tasks.prepare.hub.info import Info
from gelo.tasks.prepare.splits import role_of
from gelo.tasks.prepare.tree import Tree

Value = str | int
_HIDDEN = -1  # what `datasets` writes where a label is not told


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one file: the place (N,) of each row's in `values`, -1 where it has none.

    names: what the file calls its numbers, as `where` says; () where nothing does. said: what is called so beside the file, by `said_by`.
    """

    file: str
    split: str
    codes: NDArray[np.int64]
    values: tuple[Value, ...]
    names: tuple[str, ...]
    where: str
    said: tuple[str, ...] = ()
    said_by: str = ""

    @property
    def numbers(self) -> bool:
        return any(isinstance(value, int) for value in self.values)

    def placed(self, place: Mapping[Hashable, int]) -> NDArray[np.int64]:
        """What `place` says of each row's value, (N,); -1 where it says nothing."""
        return np.array([*(place.get(value, -1) for value in self.values), -1], np.int64)[self.codes]


def read_labels(opened: Opened, column: str, file: str, split: str, info: Info) -> Labels:
    """One file's labels: text in composed Unicode; whole numbers, and yes and no, as numbers. Raises what Arrow raises."""
    place: dict[Value, int] = {}
    codes = [np.empty(0, np.int64)]
    for cells in opened.batches(column):
        coded = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
        values = [_value(value) for value in coded.dictionary.to_pylist()]
        known = [-1 if value is None else place.setdefault(value, len(place)) for value in values]
        rows = pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        codes.append(np.array([*known, -1], np.int64)[rows])
    if (found := sum(map(len, codes))) != opened.rows:
        raise ValueError(f"{found:,} labels in {opened.rows:,} rows")
    own, said = opened.info.names(column), info.names(column)
    where = f"ClassLabel of {file}" if own else f"{info.where}: ClassLabel of {column}"
    return Labels(file, split, np.concatenate(codes), tuple(place), own or said, where, said, info.where)


def visible(tree: Tree, read: Sequence[Labels]) -> list[Labels]:
    """The files without the values that hide a label; one fault a split for rows that have none."""
    given = tree.asked.classes
    hides = (
        (lambda value: False)
        if isinstance(given, Mapping) and str(_HIDDEN) in given
        else (lambda value: value == _HIDDEN)
    )
    _by_split(
        tree, read, lambda one: np.isin(one.codes, [row for row, value in enumerate(one.values) if hides(value)]),
        f"label {_HIDDEN}", "hidden labels", "a class in every row", f"; if {_HIDDEN} is a class, name it: --classes FILE, a YAML mapping",
    )  # fmt: skip
    _by_split(tree, read, lambda one: one.codes < 0, "no label", "null or empty", "a label in every row", "")
    kept = []
    for one in read:
        stays = [row for row, value in enumerate(one.values) if not hides(value)]
        moved = np.full(len(one.values) + 1, -1, np.int64)
        moved[stays] = np.arange(len(stays))
        kept.append(replace(one, codes=moved[one.codes], values=tuple(one.values[row] for row in stays)))
    return kept


def _by_split(
    tree: Tree, read: Sequence[Labels], which: Callable[[Labels], NDArray[np.bool_]], what: str, why: str, expected: str, more: str
) -> None:  # fmt: skip
    """A fault for each split with rows that `which` (N,) chooses: how many, and how to leave the split out."""
    lost: dict[str, int] = defaultdict(int)
    rows: dict[str, int] = defaultdict(int)
    for one in read:
        lost[one.split] += int(which(one).sum())
        rows[one.split] += len(one.codes)
    scored = next((split for split, count in lost.items() if not count and role_of(split) == "val"), "")
    instead = f", and score {scored}: --split {scored}=test" if scored else ""
    for split, count in lost.items():
        if count:
            of = "" if count == rows[split] else f" of {rows[split]:,}"
            remedy = f"leave the split out: --split {split}=none{instead}{more}"
            tree.fault(tree.root, f"{what} in {count:,}{of} rows of {split}: {why}", expected, remedy)


def _value(value: object) -> Value | None:
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value) or None
    return None if value is None else int(value)  # type: ignore[call-overload]
