"""What lies where below a folder: images, folders inside, and what is neither; listed once, for readers that look before they decide."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from gelo.models.faults import pass_interrupt
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import IMAGES, Tree

LITTER = "left by an archive, a system or another program"
NO_IMAGE = "no image by its content"
EMPTY = "a folder without images"
_NEVER = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".md", ".yaml", ".yml", ".html", ".py", ".mat", ".npy", ".npz", ".zip", ".tar",
)  # fmt: skip


@dataclass
class Place:
    """One folder: its path within the tree, the images directly in it, and the folders inside that hold images somewhere."""

    path: str
    images: list[str] = field(default_factory=list)
    inside: dict[str, Place] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def deep(self) -> bool:
        """Whether images lie in folders inside."""
        return bool(self.inside)

    @cached_property
    def count(self) -> int:
        """Images in it and below."""
        return len(self.images) + sum(place.count for place in self.inside.values())

    def all(self) -> Iterator[str]:
        """Paths of all images in it and below, within the tree: its own first, then folder by folder, sorted by name."""
        prefix = f"{self.path}/" if self.path else ""
        yield from (f"{prefix}{name}" for name in self.images)
        for place in self.inside.values():
            yield from place.all()


def places(tree: Tree) -> Place:
    """The whole tree as it lies, its images regular files or links to some; what is left out is noted in it. Links to folders are followed
    within the tree."""
    return _place(tree, "", str(tree.root))


def _place(tree: Tree, path: str, absolute: str) -> Place:
    here = Place(path)
    with os.scandir(absolute) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        inner = f"{path}/{entry.name}" if path else entry.name
        if is_litter(entry.name):
            tree.leave(inner, LITTER)
        elif entry.is_dir() and (not entry.is_symlink() or _followed(tree, inner, entry.path)):
            below = _place(tree, inner, entry.path)
            if below.count:
                here.inside[entry.name] = below
            elif not any(left.startswith(f"{inner}/") for left in tree.left.get(EMPTY, ())):
                tree.leave(inner, EMPTY)
        elif entry.is_dir():
            continue
        elif _is_image(entry):
            if (
                entry.is_file(follow_symlinks=False) or tree.image(inner, 0) is not None
            ):  # a link is to be followed within the tree
                here.images.append(entry.name)
        else:
            tree.leave(inner, NO_IMAGE)
    return here


def _followed(tree: Tree, inner: str, absolute: str) -> bool:
    target, root = Path(absolute).resolve(), tree.root.resolve()
    if Path(absolute).parent.resolve().is_relative_to(target):
        tree.leave(inner, "a link to a folder that holds it")
        return False
    if not target.is_relative_to(root):
        tree.fault(absolute, f"a link that leads out of the tree, to {target}", f"folders below {tree.root}")
        return False
    return True


def _is_image(entry: os.DirEntry[str]) -> bool:
    """By its suffix; a file of another one by what Pillow sees in its first bytes."""
    low = entry.name.lower()
    if low.endswith(IMAGES):
        return True
    if low.endswith(_NEVER):
        return False
    if not entry.is_file():  # nobody may ever write into a pipe or a device
        return False
    try:
        with Image.open(entry.path):
            return True
    except Exception as error:  # whatever a plugin makes of a file that is no image
        pass_interrupt(error)
        return False
