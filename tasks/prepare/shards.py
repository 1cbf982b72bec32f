"""Which tars make up which split of a webdataset, by their folders and names, and whether all are there.

Forms: `<split>/<n>.tar` with `nshards.txt` (LAION-AI/CLIP_benchmark: clip_benchmark/datasets/builder.py), and flat names such as
`imagenet1k-train-0012.tar`, with `_info.json` or without (huggingface/pytorch-image-models: timm/data/readers/reader_wds.py).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.general.beside import COUNT, stated_shards
from gelo.tasks.prepare.hub.names import NAMELESS
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.places import LITTER
from gelo.tasks.prepare.splits import is_role, role_of
from gelo.tasks.prepare.tree import Tree

INFO = "_info.json"
_TAR = re.compile(r"^(?P<stem>.*?)\.(tar|tar\.(gz|bz2|xz|zst)|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)
_NUMBERED = re.compile(r"^(?P<prefix>.*?)[-_.]*(?P<number>\d{1,9})(?:[-_]of[-_](?P<of>\d{1,9}))?$")
_AGAIN = "download what is missing"


@dataclass(frozen=True, slots=True)
class Found:
    """base: the folder that holds the splits, within the tree. splits: a split's name in the source -> its tars within the tree."""

    base: str
    splits: dict[str, list[str]]


def find_shards(tree: Tree, beside: tuple[str, ...]) -> Found:
    """Every tar below the root by split; what is neither a tar nor one of the names `beside` is noted as left out."""
    tars, counted = [], []
    for place, folders, names in os.walk(tree.root):
        inside = PurePosixPath(os.path.relpath(place, tree.root).replace(os.sep, "/"))
        for name in [*folders, *names]:
            if is_litter(name):
                tree.leave(str(inside / name), LITTER)
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in (name for name in names if not is_litter(name)):
            if _TAR.match(name):
                tars.append(inside / name)
            elif name == COUNT:
                counted.append(inside)
            elif name not in (*beside, INFO):
                tree.leave(str(inside / name), "no tar")
    base = _base({tar.parent for tar in tars} | set(counted))
    splits: dict[str, list[str]] = {str(place.relative_to(base)): [] for place in counted if place != base}
    for tar in tars:
        splits.setdefault(_split(tree, tar.relative_to(base), tree.root / base), []).append(str(tar))
    return Found(str(base), {name: sorted(paths, key=_natural) for name, paths in splits.items()})


def check_shards(tree: Tree, found: Found, split: str) -> None:
    """Faults where shards of one split are missing or of two versions, as nshards.txt, `-of-` or a gap in their numbers says."""
    home = PurePosixPath(found.base, split)
    home = home if (tree.root / home).is_dir() else PurePosixPath(found.base)
    stated = stated_shards(tree, str(home))
    if stated is not None:
        _check(tree, tree.root / home, found.splits[split], stated, f"{COUNT} says so")
        return
    groups: dict[tuple[PurePosixPath, str], list[str]] = defaultdict(list)
    for tar in found.splits[split]:
        groups[PurePosixPath(tar).parent, _parts(tar)[0]].append(tar)
    for (folder, _), tars in groups.items():
        _check(tree, tree.root / folder, tars, None, "their names say so")


def stated_images(tree: Tree, found: Found, split: str) -> int | None:
    """How many images _info.json gives a split; a fault names tars that it lists and that are not there."""
    path = tree.root / found.base / INFO
    info = tree.json(str(PurePosixPath(found.base, INFO)), "what the set says of its splits") if path.is_file() else {}
    splits = info.get("splits") if isinstance(info, dict) else None
    entry = splits.get(split, splits.get(role_of(split) or "")) if isinstance(splits, dict) else None
    if not isinstance(entry, dict):
        return None
    names = entry.get("filenames")
    listed = [PurePosixPath(name).name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    there = {PurePosixPath(tar).name for tar in found.splits[split]}
    if missing := [name for name in listed if name not in there]:
        tree.fault(path, _missing(len(missing), len(listed), missing), "every tar that it lists", _AGAIN)
        return None
    images = entry.get("num_samples")
    return images if isinstance(images, int) else None


def _check(tree: Tree, where: Path, tars: list[str], n: int | None, why: str) -> None:
    """Tars of one numbering, from 0 or from 1. n: how many there are, where anything but their names says it."""
    parts = [_parts(tar) for tar in tars]
    numbers = {number for _, number, _ in parts if number is not None}
    ends = {of for _, _, of in parts if of is not None}
    if len(ends) > 1 or len(numbers) < sum(number is not None for _, number, _ in parts):
        found = f"numbered to {' and to '.join(map(str, sorted(ends)))}" if len(ends) > 1 else "two of one number"
        tree.fault(where, f"{_shards(len(tars))}, {found}", "shards of one version of the set", "remove the others")
        return
    n = next(iter(ends), n)
    if len(numbers) < len(tars) or (
        n is None and len(tars) < 2
    ):  # names without numbers, or one that may end in a year
        if n is not None and len(tars) != n:
            tree.fault(where, _shards(len(tars)), f"{n:,}: {why}", _AGAIN)
        return
    first = int(0 not in numbers and (n is None or n in numbers))
    stop = first + n if n is not None else max(numbers) + 1
    lacking = stop - first - sum(first <= number < stop for number in numbers)
    if lacking:
        missing = list(islice((number for number in range(first, stop) if number not in numbers), 8))
        tree.fault(where, _missing(lacking, stop - first, missing), f"shards {first} to {stop - 1}: {why}", _AGAIN)
    beyond = sorted(number for number in numbers if number >= stop)
    fault_each(tree, where, beyond, "shards too many", f"{n}: {why}", "remove those of another version")


def _base(places: set[PurePosixPath]) -> PurePosixPath:
    """The folder that holds the splits: the deepest that all of `places` share, or the one above it where that is itself a split's."""
    if not places:
        return PurePosixPath()
    shared = PurePosixPath(os.path.commonpath([str(place) for place in places]))
    if not any(role_of(part) for place in places for part in place.relative_to(shared).parts):
        for folder in (shared, *shared.parents):
            if role_of(folder.name):
                return folder.parent
    return shared


def _split(tree: Tree, tar: PurePosixPath, base: Path) -> str:
    """The name of a tar's split: its folder's up to the one that says a split, else what its own name says, else the folder's.

    Names that contradict each other are put together, so that nothing tells which split that is.
    """
    prefix, given = _parts(tar.name)[0], tree.asked.splits
    folders = [tar.parent, *tar.parent.parents][:-1]
    if chosen := next((str(folder) for folder in folders if str(folder) in given), ""):
        return chosen
    says = [folder for folder in folders if role_of(folder.name)]
    own = prefix if prefix in given or role_of(prefix) else ""
    if says:
        roles = {role_of(folder.name) for folder in says} | ({role_of(own)} if own else set())
        return str(says[-1]) if len(roles) == 1 else "/".join(filter(None, (str(folders[0]), own)))
    if own or not folders:
        name = base.resolve().name
        return own or (name if name in given or is_role(name) else prefix or NAMELESS)
    return str(folders[0])


def _parts(tar: str) -> tuple[str, int | None, int | None]:
    """`a/set-train-003-of-010.tar` -> (set-train, 3, 10)."""
    match = _TAR.match(PurePosixPath(tar).name)
    stem = match["stem"] if match else ""
    found = _NUMBERED.match(stem)
    if found is None:
        return stem, None, None
    return found["prefix"], int(found["number"]), int(found["of"]) if found["of"] else None


def _natural(path: str) -> list[tuple[int, str]]:
    """10.tar after 9.tar."""
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in re.split(r"(\d+)", path)]


def _missing(n: int, of: int, first: list[str] | list[int]) -> str:
    return f"{_shards(n)} of {of:,} missing: {told(first, n)}"


def _shards(n: int) -> str:
    return "1 shard" if n == 1 else f"{n:,} shards"
