"""Where the images of a list lie: its paths may be relative, absolute, or of the machine that it was written on."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from tasks.prepare.tree import Tree

_TRIED = 64  # paths, spread over the list, by which it is found out


def locator(tree: Tree, file: str, path: Path, paths: Sequence[str]) -> Callable[[str], str] | None:
    """How a path written in the list `file` (`path` in messages) becomes one within the tree; None without paths, or with a fault.

    Read are, in this order: absolute paths below the tree's root; as written, from the list's folder or the root, whichever has more of the
    images; without the leading folders that all paths share, as few of them as needed, so that another machine's lists can stay as they
    are. Faults: no image found, or two places that fit a shortened path. What one path leads to, within or not, `Tree.image` judges.
    """
    if not paths:
        return None
    roots = {f"{os.path.abspath(tree.root)}/", f"{os.path.realpath(tree.root)}/"}  # noqa: PTH100
    bases = list(dict.fromkeys((posixpath.dirname(file), "")))

    def place(written: str, cut: int, base: str) -> str:
        below = next((written.removeprefix(root) for root in roots if written.startswith(root)), None)
        if below is not None:
            return posixpath.normpath(below)
        return posixpath.normpath(posixpath.join(base, "/".join(written.split("/")[cut:])))

    tried = paths[:: max(1, len(paths) // _TRIED)]
    for cut in range(_shared(paths) + 1):
        hits = [sum(os.path.isfile(tree.root / place(written, cut, base)) for written in tried) for base in bases]  # noqa: PTH113
        if cut and len(hits) == 2 and hits[0] == hits[1] > 0:
            fits = " and ".join(place(paths[0], cut, base) for base in bases)
            tree.fault(path, f"{paths[0]} may be {fits}", "paths from the CSV's folder or from the tree's root")
            return None
        if any(hits):
            base = bases[hits.index(max(hits))]
            return lambda written: place(written, cut, base)
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
