"""Which images a data set holds, by content: written beside the shards, and the leaks that two splits or two data sets show by it.

Decisions: equal means the same bytes of the encoded file, by the first 16 bytes of their SHA-256 (`sha256sum FILE` says it too), taken
while the records are written, so that nothing is read twice; two of ten million different images agree with a probability of 10^-25.
Tables of ten million rows are compared as arrays in memory, one pair of splits in a few seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.models.words import counted
from gelo.tasks.data.near import DISTANCE, looks_of, nearest
from gelo.tasks.data.understood import Leak

if TYPE_CHECKING:
    from gelo.tasks.data.manifest import Dataset

TABLE = "contents"
UNCHECKED = "prepared by an older gelo, so its images cannot be compared; prepare it anew with --replace"
_BYTES = 16
_NAMED = 3  # images that a leak names
_SCORED_FIRST = ("test", "dev", "val")  # a leak is told of the split that is scored


class Contents:
    """Takes the digest of every record as it is written: 16 bytes of memory an image."""

    def __init__(self) -> None:
        self._digests: dict[str, bytearray] = {}

    def add(self, split: str, image: bytes) -> None:
        self._digests.setdefault(split, bytearray()).extend(hashlib.sha256(image).digest()[:_BYTES])

    def table(self, looks: Mapping[str, Sequence[int | None]]) -> pa.Table:
        """`split` and `digest` a row, in record order; `look`, null where an image is too plain, where looks were asked for."""
        counts = {split: len(digests) // _BYTES for split, digests in self._digests.items()}
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), list(counts.values()))
        buffers = [None, pa.py_buffer(b"".join(self._digests.values()))]
        columns = {
            "split": pa.DictionaryArray.from_arrays(pa.array(rows, pa.int32()), pa.array(list(counts), pa.string())),
            "digest": pa.FixedSizeBinaryArray.from_buffers(pa.binary(_BYTES), len(rows), buffers),
        }
        if looks:
            columns["look"] = pa.array([look for split in counts for look in looks[split]], pa.uint64())
        return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Content:
    """One split: digests (N, 2) as pairs of uint64; looks (N,) with `plain` (N,) where there is none, or None where nobody asked."""

    digests: NDArray[np.uint64]
    looks: NDArray[np.uint64] | None
    plain: NDArray[np.bool_]


def is_known(dataset: Dataset) -> bool:
    """Whether the data set's contents were written; a set prepared by an older gelo has none."""
    return TABLE in dataset.card.tables


def content_of(dataset: Dataset, split: str) -> Content:
    """Raises UserError for a data set without contents (`is_known`)."""
    table = dataset.table(TABLE)
    table = table.filter(pc.equal(table["split"], split)).combine_chunks()
    digest = table["digest"].combine_chunks()
    words = np.frombuffer(digest.buffers()[1] or b"", np.uint64)
    digests = words[2 * digest.offset : 2 * (digest.offset + len(digest))].reshape(-1, 2)
    if "look" not in table.column_names:
        return Content(digests, None, np.zeros(len(digests), bool))
    plain = table["look"].is_null().to_numpy().astype(bool)
    return Content(digests, pc.fill_null(table["look"], 0).to_numpy().astype(np.uint64), plain)


def known_of(dataset: Dataset, near: bool = False) -> dict[str, Content]:
    """The contents of every split, those that are scored first. near: with looks, decoding images where nobody asked before."""
    splits = sorted(dataset.card.splits, key=lambda s: (_SCORED_FIRST.index(s) if s in _SCORED_FIRST else 9, s))
    return {split: _looked_at(dataset, split) if near else content_of(dataset, split) for split in splits}


def within(dataset: Dataset, known: Mapping[str, Content] | None = None) -> tuple[Leak, ...]:
    """Images of one split that stand in another, and those that stand in one split twice, each also counted where the label differs.

    A set whose labels are free (pairs, templates) names an image as often as it needs it: there nothing is said of one split alone.
    """
    known = known or known_of(dataset)
    splits = list(known)
    groups = dict(zip(splits, _groups([known[split].digests for split in splits]), strict=True))
    leaks: list[Leak | None] = []
    for split, other in [*combinations(splits, 2), *((split, split) for split in splits if dataset.card.classes)]:
        a, b = groups[split], groups[other]
        same = _among(a) if split == other else _in_other(a, b)
        leaks.append(_leak(dataset, split, dataset, other, same))
        if dataset.card.classes and (same >= 0).any():
            odd = _labelled_otherwise(a, dataset.labels(split), b, dataset.labels(other))
            leaks.append(_leak(dataset, split, dataset, other, odd, relabelled=True))
        if split != other:
            leaks.append(_leak(dataset, split, dataset, other, _close(known[split], known[other], same), kind="near"))
    return tuple(leak for leak in leaks if leak is not None)


def shared(first: Dataset, split: str, second: Dataset, other: str) -> Leak | None:
    """Images of `split` of one data set that stand byte for byte in `other` of another; None where there are none.

    Raises UserError where either has no contents (`is_known`).
    """
    a, b = _groups([content_of(first, split).digests, content_of(second, other).digests])
    return _leak(first, split, second, other, _in_other(a, b))


def alike(first: Dataset, split: str, second: Dataset, other: str) -> Leak | None:
    """As `shared`, of those that look alike and are not the same bytes; None also where nobody asked for looks."""
    one, two = content_of(first, split), content_of(second, other)
    same = _in_other(*_groups([one.digests, two.digests]))
    return _leak(first, split, second, other, _close(one, two, same), kind="near")


def said_of_looks(known: Mapping[str, Content]) -> str:
    """By which rule images were taken to look alike, and how many are too plain for it; "" where nobody asked."""
    each = known.values()
    if any(content.looks is None for content in each):
        return ""
    plain, total = sum(int(content.plain.sum()) for content in each), sum(len(content.plain) for content in each)
    left = f"; {plain:,} of {counted(total, 'image')} too plain to compare" if plain else ""
    return f"near-duplicates between splits: perceptual hashes at most {DISTANCE} of 64 bits apart{left}"


def _looked_at(dataset: Dataset, split: str) -> Content:
    content = content_of(dataset, split)
    if content.looks is not None:
        return content
    looks = looks_of(dataset, split)
    plain = np.array([look is None for look in looks], bool)
    return Content(content.digests, np.array([look or 0 for look in looks], np.uint64), plain)


def _groups(parts: Sequence[NDArray[np.uint64]]) -> list[NDArray[np.int64]]:
    """A number from 0 for each digest, the same for equal ones, over all parts."""
    every = np.concatenate(parts)
    order = np.argsort(every[:, 0])
    ordered = every[order]
    if (
        (ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] != ordered[:-1, 1])
    ).any():  # halves of unlike digests met
        order = np.lexsort((every[:, 1], every[:, 0]))
        ordered = every[order]
    new = np.zeros(len(every), np.int64)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    numbers = np.empty(len(every), np.int64)
    numbers[order] = np.cumsum(new)
    return np.split(numbers, np.cumsum([len(part) for part in parts])[:-1])


def _ends(groups: NDArray[np.int64], rows: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last of `rows` in each of `size` groups, -1 where a group has none."""
    first, last = np.full(size, -1), np.full(size, -1)
    first[groups[rows][::-1]] = rows[::-1]
    last[groups[rows]] = rows
    return first, last


def _in_other(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row of `a` the first of `b` with the same content, -1 where there is none."""
    first, _ = _ends(b, np.arange(len(b)), int(max(a.max(), b.max())) + 1)
    return first[a]


def _among(a: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row of `a` another with the same content, -1 where there is none."""
    rows = np.arange(len(a))
    first, last = _ends(a, rows, int(a.max()) + 1)
    return np.where(first[a] != rows, first[a], np.where(last[a] != rows, last[a], -1))


def _labelled_otherwise(
    a: NDArray[np.int64], labels_a: NDArray[np.int64], b: NDArray[np.int64], labels_b: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each row of `a` one of `b` with the same content and another label, -1 where there is none."""
    size = int(max(a.max(), b.max())) + 1
    rows = np.flatnonzero(np.bincount(a, minlength=size)[b] > 0)
    least, most = _ends(b, rows[np.lexsort((labels_b[rows], b[rows]))], size)
    there = least[a] >= 0
    low, high = there & (labels_b[least[a]] != labels_a), there & (labels_b[most[a]] != labels_a)
    return np.where(low, least[a], np.where(high, most[a], -1))


def _close(a: Content, b: Content, same: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row of `a` one of `b` that looks alike, -1 where there is none, where it is the same, and where nobody asked."""
    found = np.full(len(same), -1)
    if a.looks is not None and b.looks is not None:
        rows, others = np.flatnonzero(~a.plain & (same < 0)), np.flatnonzero(~b.plain)
        places = nearest(a.looks[rows], b.looks[others])
        found[rows[places >= 0]] = others[places[places >= 0]]
    return found


def _leak(
    first: Dataset, split: str, second: Dataset, other: str, partner: NDArray[np.int64], **kind: Any
) -> Leak | None:
    """What `partner`, for each row of `split` one of `other` or -1, says; None where it holds none."""
    rows = np.flatnonzero(partner >= 0)
    if not rows.size:
        return None
    own = first.root == second.root
    told = rows[partner[rows] < rows] if own and split == other else rows
    ids = [each["id"] for each in first.records(split, told[:_NAMED].tolist(), ("id",))]
    partners = [each["id"] for each in second.records(other, partner[told[:_NAMED]].tolist(), ("id",))]
    return Leak(
        split=split if own else f"{first.name}/{split}", other=other if own else f"{second.name}/{other}",
        count=rows.size, of=len(partner), first=tuple(f"{a} = {b}" for a, b in zip(ids, partners, strict=True)), **kind,
    )  # fmt: skip
