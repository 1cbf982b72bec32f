"""Faces to train on: a .rec with its .idx (MS1MV2, CASIA-WebFace, ...), or one folder of images per identity."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import overload

from gelo.tasks.prepare.formats.recordio import records
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import Tree

_PROTOCOLS = ("training",)
_INSIDE = ("train", "imgs")  # folders that may hold those of the identities
_WANTED = "train.rec with train.idx, or one folder of images per identity"


def identities(tree: Tree) -> Layout:
    """Split `train`, label = identity: `train.rec` or the only .rec, here or in the only folder; without one, the folders.

    Of a .rec the classes are "0", "1", ... where a header record counts the identities, else labels are free. Of folders the label is the
    rank of the folder in the sorted listing, also of those inside `train` or `imgs` where that is the only folder.
    """
    inside = tree.folders()
    for place in (tree, *([tree.below(inside[0])] if len(inside) == 1 else [])):
        listed = (entry.name for entry in place.root.iterdir() if entry.suffix in (".rec", ".idx", ".mdb"))
        names = sorted(name for name in listed if not is_litter(name))
        recs = [name for name in names if name.endswith(".rec")]
        stems = {name.rpartition(".")[0] for name in names if not name.endswith(".mdb")}
        if recs or stems:
            return _recorded(place, sorted(stems))
        if names:
            tree.fault(place.root / names[0], "an LMDB file, which is not read", _WANTED)
            return Layout((), {}, protocols=_PROTOCOLS)
    if inside and inside[0] in _INSIDE and len(inside) == 1:
        tree = tree.below(inside[0])
        inside = tree.folders()
    if not inside:
        tree.fault(tree.root, "no .rec and no folders", _WANTED)
        return Layout((), {}, protocols=_PROTOCOLS)
    return Layout(
        tuple(inside),
        {"train": Folders(tree, inside)},
        protocols=_PROTOCOLS,
        numbered=True,
        evidence="the names of folders, sorted, an identity each",
    )


def _recorded(tree: Tree, stems: list[str]) -> Layout:
    stem = "train" if "train" in stems else stems[0]
    if len(stems) > 1 and stem != "train":
        tree.fault(tree.root, f"several records: {', '.join(stems[:10])}", "one, or one that is called train.rec")
        return Layout((), {}, protocols=_PROTOCOLS)
    found = records(tree, f"{stem}.rec", f"{stem}.idx")
    if found is None:
        return Layout((), {}, protocols=_PROTOCOLS)
    images, count = found
    return Layout(
        tuple(map(str, range(count))),
        {"train": images},
        protocols=_PROTOCOLS,
        numbered=True,
        evidence=f"the labels of {stem}.rec, numbers of identities",
        taken={"train": (f"{stem}.rec",)},
        held=tree.root / f"{stem}.rec",
    )


class Folders(Sequence[Item]):
    """Images of one folder per identity, listed a folder at a time; ids are their paths, unique by nature.

    A folder without images is a fault of `tree`; an image that is gone or leads out of the tree raises OSError when loaded.
    """

    def __init__(self, tree: Tree, names: list[str]) -> None:
        self._root, self._names = tree.root, names
        self._known: dict[str, bool] = {}
        self._ends: list[int] = []
        counts = []
        for name in names:
            counts.append(len(tree.files(name)))
            if not counts[-1]:
                tree.fault(tree.root / name, "no images", "at least one image of each identity")
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Item]:
        for label in range(len(self._names)):
            yield from self._folder(label)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        if isinstance(place, slice):
            return [self[row] for row in range(len(self))[place]]
        row = range(len(self))[place]
        label = bisect_right(self._ends, row)
        return list(self._folder(label))[row - (self._ends[label - 1] if label else 0)]

    def _folder(self, label: int) -> Iterator[Item]:
        for path in Tree(self._root).files(self._names[label]):
            yield Item(path, label, str(self._root / path), partial(self._load, path))

    def _load(self, path: str) -> bytes:
        tree = Tree(self._root, _known=self._known)
        found: Path | None = tree.path(path, "an image")
        if found is None:
            raise OSError(tree.faults[0].found)
        return found.read_bytes()
