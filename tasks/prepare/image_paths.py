"""Where the images of a list lie: its paths may be relative, absolute, of another machine, or in another Unicode form."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from gelo.tasks.prepare.tree import Tree

_TRIED = 64  # paths, spread over the list, by which it is found out


def on_disk(tree: Tree) -> Callable[[str], str]:
    """How a path within the tree is spelt on the disk: a Mac keeps `é` as two characters, a list mostly as one.

    Paths of plain letters, and those of files that are there, stay as they are; each folder is listed once.
    """
    listed: dict[str, dict[str, str]] = {}

    def spelt(folder: str, name: str) -> str:
        if folder not in listed:
            place = tree.root / folder
            names = os.listdir(place) if place.is_dir() else []  # noqa: PTH208
            listed[folder] = {unicodedata.normalize("NFC", there): there for there in names}
        return listed[folder].get(unicodedata.normalize("NFC", name), name)

    def found(path: str) -> str:
        if path.isascii() or os.path.lexists(tree.root / path):
            return path
        whole = ""
        for name in path.split("/"):
            whole = posixpath.join(whole, name if name in ("", ".", "..") else spelt(whole, name))
        return whole

    return found


def locator(tree: Tree, file: str, path: Path, paths: Sequence[str]) -> Callable[[str], str] | None:
    """How a path written in the list `file` (`path` in messages) becomes one within the tree; None without paths, or with a fault.

    Read are, in this order: absolute paths below the tree's root; as written, from the list's folder or the root, whichever has more of the
    images; without the leading folders that all paths share, as few of them as needed, so that another machine's lists can stay as they
    are. Paths that have no slash but backslashes are Windows'. Faults: no image found, or two places that fit a shortened path. What one
    path leads to, within or not, `Tree.image` judges.
    """
    if not paths:
        return None
    windows = any("\\" in written for written in paths) and not any("/" in written for written in paths)
    if windows:
        paths = [written.replace("\\", "/") for written in paths]
    tops = {os.path.abspath(tree.root), os.path.realpath(tree.root)}  # noqa: PTH100
    roots = tops | {unicodedata.normalize("NFC", top) for top in tops}
    bases = list(dict.fromkeys((posixpath.dirname(file), "")))
    spelt = on_disk(tree)

    def place(written: str, cut: int, base: str) -> str:
        below = next((written[len(root) + 1 :] for root in roots if written.startswith(f"{root}/")), None)
        if below is not None:
            return posixpath.normpath(below)
        return posixpath.normpath(posixpath.join(base, "/".join(written.split("/")[cut:])))

    tried = paths[:: max(1, len(paths) // _TRIED)]
    for cut in range(_shared(paths) + 1):
        hits = [sum((tree.root / spelt(place(written, cut, base))).is_file() for written in tried) for base in bases]
        if cut and len(hits) == 2 and hits[0] == hits[1] > 0:
            fits = " and ".join(place(paths[0], cut, base) for base in bases)
            tree.fault(path, f"{paths[0]} may be {fits}", "paths from the CSV's folder or from the tree's root")
            return None
        if any(hits):
            base = bases[hits.index(max(hits))]
            return lambda written: place(written.replace("\\", "/") if windows else written, cut, base)
    tree.fault(
        path,
        f"none of its images is there, such as {paths[0]}",
        f"paths from the CSV's folder, from {tree.root}, or absolute ones below it",
        "give --from the folder that holds the images, or rewrite the column",
    )
    return None


def _shared(paths: Sequence[str]) -> int:
    """How many leading folders all paths have in common; the empty one before an absolute path's first slash counts."""
    folders = [folder.split("/") if folder else [] for folder in {path.rpartition("/")[0] for path in paths}]
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False)))
