"""The files of a tree in one walk, millions of them in a few bytes each, and which of the images no list names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.places import LITTER
from gelo.tasks.prepare.tree import IMAGES, Tree

_AT_ONCE = 1 << 16
IS_IMAGE = rf"(?i)({'|'.join(suffix.replace('.', chr(92) + '.') for suffix in IMAGES)})$"


@dataclass
class Files:
    """Paths within the tree of the files in it, as the disk spells them and in composed Unicode, both (N,); an image is known by its place.

    beside: images that the walk passed over and a row lists, such as those behind a link to a folder; their places follow.
    """

    spelt: pa.ChunkedArray
    plain: pa.ChunkedArray
    beside: list[str] = field(default_factory=list)

    def paths(self, places: pa.ChunkedArray) -> pa.ChunkedArray:
        """The paths of some of them."""
        return pa.chunked_array([*self.spelt.chunks, pa.array(self.beside, pa.string())]).take(places)

    def path(self, place: int) -> str:
        """The path of one."""
        return str(self.spelt[place].as_py()) if place < len(self.spelt) else self.beside[place - len(self.spelt)]

    def add(self, path: str) -> int:
        """The place of an image that the walk passed over."""
        self.beside.append(path)
        return len(self.spelt) + len(self.beside) - 1


def files_of(tree: Tree) -> Files:
    """All files below the root that are no litter; links to folders are not followed, and links to files outside are passed over."""
    walk = _walk(tree)
    spelt: list[pa.Array] = []
    plain: list[pa.Array] = []
    while batch := list(islice(walk, _AT_ONCE)):
        spelt.append(pa.array(batch, pa.string()))
        composed = [unicodedata.normalize("NFC", path) for path in batch]
        plain.append(spelt[-1] if composed == batch else pa.array(composed, pa.string()))
    return Files(pa.chunked_array(spelt, pa.string()), pa.chunked_array(plain, pa.string()))


def leave_unlisted(tree: Tree, files: Files, listed: pa.ChunkedArray) -> None:
    """Note the images that no row lists."""
    free = np.ones(len(files.spelt) + len(files.beside), dtype=bool)
    free[listed.to_numpy()] = False
    left = files.spelt.filter(pa.array(free[: len(files.spelt)]))
    for path in left.filter(pc.match_substring_regex(left, IS_IMAGE)).to_pylist():
        tree.leave(path, "an image that no row lists")


def _walk(tree: Tree) -> Iterator[str]:
    root = os.path.realpath(tree.root)
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(tree.root / folder) as entries:
            for entry in entries:
                path = f"{folder}{entry.name}"
                if is_litter(entry.name):
                    tree.leave(path, LITTER)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")
                elif not path.isprintable():
                    tree.leave(ascii(path), "a name that is no text")
                elif entry.is_file() and (
                    not entry.is_symlink() or Path(os.path.realpath(entry.path)).is_relative_to(root)
                ):
                    yield path
