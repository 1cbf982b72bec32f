"""The rows of opened files as items: which of them have an image and a label, and what each is called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.hub.cells import NOTHING, Images, Kept, what_is_held
from gelo.tasks.prepare.hub.files import DAMAGED, Opened
from gelo.tasks.prepare.hub.footer import chunks_of
from gelo.tasks.prepare.hub.places import homes
from gelo.tasks.prepare.layout import Item
from gelo.tasks.prepare.rows import Rows
from gelo.tasks.prepare.tree import Tree

_EMBED = "save the set with its images: push_to_hub and to_parquet do, of a column cast to datasets.Image()"


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a set: its split's name in the source and its place within the tree."""

    split: str
    name: str
    opened: Opened


class Labelled(Rows):
    """Rows that are made on demand, with their labels (N,) at hand."""

    @property
    def labels(self) -> NDArray[np.int64]:
        return self._table["label"].to_numpy().astype(np.int64)


@dataclass
class Cells:
    """The images of one file, and which rows (N,) have one."""

    images: Images
    there: NDArray[np.bool_]


def cells_of(tree: Tree, sources: Sequence[Source], column: str, used: set[str]) -> list[Cells]:
    """The images of each file. Faults, one each: rows without an image, and rows with a path to no file of the tree. used: takes the paths
    of files that rows name."""
    allowed, kept = homes(tree.root), Kept()
    found: list[Cells] = []
    nothing, lost = Counter[str](), list[str]()
    for source in sources:
        chunks = (
            chunks_of(source.opened.path, column, len(source.opened.groups)) if source.opened.kind == "parquet" else []
        )
        try:
            held, named = what_is_held(source.opened, column, chunks)
        except DAMAGED as error:
            tree.fault(source.opened.path, f"unreadable ({error})", "an Arrow stream or a Parquet file")
            held, named = np.full(source.opened.rows, NOTHING, np.uint8), {}
        else:
            nothing[source.split] += int((held == NOTHING).sum())
        paths: dict[int, str] = {}
        for row, name in named.items():
            path = _file(tree.root, source.opened.path.parent, name, allowed)
            if path is None:
                lost.append(name)
            else:
                paths[row] = path
                used.add(os.path.relpath(path, tree.root))
        there = held != NOTHING
        there[[row for row in named if row not in paths]] = False
        found.append(Cells(Images(source.opened, column, chunks, kept, paths), there))
    for split, count in nothing.items():
        if count:
            tree.fault(tree.root, f"no image in {count:,} rows of {split}: null", "an image in every row")
    if lost:
        expected = f"images in the rows, or files at these paths below {tree.root}"
        tree.fault(tree.root, f"{len(lost):,} rows hold a path and no bytes: {told(lost, len(lost))}", expected, _EMBED)
    return found


def items_of(
    role: str, sources: Sequence[Source], cells: Sequence[Cells], labels: Sequence[NDArray[np.int64]]
) -> Labelled:
    """The items of one split: rows with an image and a label, with ids `<split>/<file>/<row>`."""
    stems = Counter(source.opened.path.stem for source in sources)
    parts, prefixes = [], []
    for number, (source, cell, label) in enumerate(zip(sources, cells, labels, strict=True)):
        rows = np.flatnonzero(cell.there & (label >= 0))
        stem = source.opened.path.stem
        prefixes.append(f"{role}/{stem if stems[stem] == 1 else source.name.rpartition('.')[0]}")
        parts.append(
            pa.table({"file": np.full(len(rows), number, np.int32), "row": rows, "label": label[rows].astype(np.int32)})
        )

    def item(file: int, row: int, label: int) -> Item:
        return cells[file].images.item(f"{prefixes[file]}/{row:06d}", label, row)

    return Labelled(pa.concat_tables(parts), item)


def _file(root: Path, folder: Path, name: str, allowed: Sequence[Path]) -> str | None:
    """The file that a row names, beside its own file or below the root; None where there is none within the tree."""
    try:
        for base in (folder, root):
            path = base / name.replace("\\", "/")
            if path.is_file() and any(path.resolve().is_relative_to(home) for home in allowed):
                return str(path)
    except (OSError, ValueError):  # no name that a file can have
        return None
    return None
