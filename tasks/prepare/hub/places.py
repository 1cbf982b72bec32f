"""What lies below a folder that hub programs wrote into: the repositories in it, and of one of them every file that may be data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.info import BESIDE
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.places import LITTER
from gelo.tasks.prepare.tree import IMAGES, Tree

DATA = (".parquet", ".arrow")
_CACHED = "datasets--"  # begins a repository's folder in the cache of huggingface_hub
_REVISION = re.compile(r"^[0-9a-f]{40}$")
_OF_MAP = re.compile(r"^cache-[0-9a-f]+(_\d+_of_\d+)?\.arrow$")
_TEMPORARY = re.compile(r"^tmp[a-z0-9_]{8}(\.(arrow|parquet))?$")
_ABOUT = (
    ".md",
    ".txt",
    ".json",
    ".yaml",
    ".yml",
    ".py",
    ".cff",
    ".bib",
    ".pdf",
    "",
)  # files that say something of the data


@dataclass
class Listed:
    """Paths within a repository. data: Parquet and Arrow files. beside: which of `BESIDE` lie in each folder. images, others: files of
    other kinds, which are no data unless a row names them."""

    data: list[PurePosixPath] = field(default_factory=list)
    beside: dict[PurePosixPath, set[str]] = field(default_factory=lambda: defaultdict(set))
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def repositories(root: Path) -> list[Path]:
    """The repositories below a folder of huggingface_hub's cache, one for each revision; any other folder itself."""
    inside = sorted(entry for entry in root.iterdir() if entry.is_dir())
    cached = [entry for entry in inside if entry.name.startswith(_CACHED)]
    if cached:
        return [found for entry in cached for found in repositories(entry) if found != entry]
    if (root / "snapshots").is_dir() and (
        root.name.startswith(_CACHED) or (root / "blobs").is_dir() or (root / "refs").is_dir()
    ):
        return sorted(entry for entry in (root / "snapshots").iterdir() if entry.is_dir())
    if inside and all(_REVISION.match(entry.name) for entry in inside):
        return inside
    return [root]


def current(revision: Path) -> bool:
    """Whether a revision in the cache is the one that its main branch was at."""
    main = revision.parent.parent / "refs" / "main"
    return main.is_file() and main.read_bytes().strip() == revision.name.encode()


def homes(root: Path) -> list[Path]:
    """The folders that links may lead into: the one that was given, and the cache's own folder of a repository around it."""
    real = root.resolve()
    return [real, *(parent for parent in real.parents if parent.name.startswith(_CACHED))]


def listed(tree: Tree) -> Listed:
    """Every file below a repository. Faults: links that lead out of the tree or to nothing. Litter and what is unfinished is left out."""
    place = tree.root
    found, allowed = Listed(), homes(place)
    broken: list[str] = []
    for folder, folders, names in os.walk(place):
        inside = PurePosixPath(os.path.relpath(folder, place).replace(os.sep, "/"))
        for name in list(folders):
            reason = _passed_over(name) or ("a link to a folder" if (Path(folder) / name).is_symlink() else "")
            if reason:
                tree.leave(str(inside / name), reason)
                folders.remove(name)
                _stays_inside(tree, Path(folder) / name, allowed)
        folders.sort()
        for name in names:
            path, suffix = inside / name, PurePosixPath(name).suffix.lower()
            if reason := _passed_over(name):
                tree.leave(str(path), reason)
            elif name in BESIDE:
                found.beside[inside].add(name)
            elif suffix in DATA and not (place / path).exists():
                broken.append(str(path))
            elif suffix in DATA:
                if _stays_inside(tree, place / path, allowed):
                    found.data.append(path)
            elif suffix not in _ABOUT:
                (found.images if suffix in IMAGES else found.others).append(str(path))
    fault_each(tree, place, broken, "links to files that are not there", "the files themselves", "download them again")
    found.data.sort()
    return found


def is_cache(name: str) -> str:
    """Why a data file of this name is none of a set's own; "" for all others."""
    if _OF_MAP.match(name):
        return "a cache file of datasets.map"
    return "an unfinished file" if _TEMPORARY.match(name) else ""


def _passed_over(name: str) -> str:
    if is_litter(name):
        return LITTER
    return "an unfinished download" if name.endswith(".incomplete") else "a lock" if name.endswith(".lock") else ""


def _stays_inside(tree: Tree, path: Path, allowed: list[Path]) -> bool:
    if not path.is_symlink() or any(path.resolve().is_relative_to(home) for home in allowed):
        return True
    tree.fault(path, f"a link that leads out of the tree, to {path.resolve()}", f"files below {tree.root}")
    return False
