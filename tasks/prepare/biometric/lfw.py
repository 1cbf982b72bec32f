"""Labeled Faces in the Wild as it is downloaded, or a user's own faces in that form: folders of persons beside a list of pairs.

Images are found by the name and number that they carry, `Abel_Pacheco/Abel_Pacheco_0004.jpg`, where scikit-learn counts the files of a
folder. The official set `lfw` is insightface's lfw.bin: other pictures of the same pairs, aligned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from unicodedata import normalize

import pyarrow as pa

from gelo.tasks.prepare.biometric.pairlist import Face, Pair, read_pairs
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.image_paths import on_disk
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import IMAGES, Tree

LISTS = ("pairs.txt", "pairs.csv")
_EMPTY = Layout((), {}, protocols=("verification",))
_WANTED = "pairs.txt beside the folders of persons, or beside the folder that holds them"
_UNALIGNED = (
    "LFW's own images are 250 x 250 and not aligned: without --landmarks accuracies differ from those of lfw.bin and of papers, "
    "whose faces are aligned crops"
)
_TRIED = 50  # names by which the folder of persons is found


def lfw(tree: Tree) -> Layout:
    """Split `test` of the images that are in pairs, their ids the paths below the folder of persons, column `subject`; table `pairs`,
    whose folds are the list's own sets.

    Faults: no list or several, several folders of persons, names without a folder, images that are missing or there twice, and those of
    `read_pairs`; pairs of lost images are left out.
    """
    home = _home(tree)
    if home is None:
        return _EMPTY
    file = next(name for name in LISTS if (home.root / name).is_file())
    pairs = read_pairs(home, file)
    persons = _persons(home, pairs) if pairs else None
    if persons is None:
        return _EMPTY
    faces = list(dict.fromkeys(face for pair in pairs for face in (pair.one, pair.two)))
    items = _items(persons, faces, file)
    kept = [pair for pair in pairs if pair.one in items and pair.two in items]
    shown = {face for pair in kept for face in (pair.one, pair.two)}
    others = set(persons.files("")) - {item.where.removeprefix(f"{persons.root}/") for item in items.values()}
    for path in sorted(others):
        persons.leave(path, f"in no pair of {file}")
    folds = len({pair.fold for pair in kept})
    return Layout(
        (),
        {"test": [items[face] for face in faces if face in shown]},
        columns=("subject",),
        tables={"pairs": _table(kept, items)},
        protocols=("verification",),
        taken={"test": (file,)},
        notes=(f"{len(kept):,} pairs in {folds} folds, the sets of {file}", _UNALIGNED),
    )


def _home(tree: Tree) -> Tree | None:
    """The folder with the list: the tree's root, or the only folder inside that has one."""
    places = [place for place in ("", *tree.folders()) if any((tree.root / place / name).is_file() for name in LISTS)]
    if not places:
        above = tree.root.resolve().parent
        beside = any((above / name).is_file() for name in LISTS)
        tree.fault(tree.root, "no pairs.txt", _WANTED, f"--from {above}" if beside else "")
        return None
    if places[0] and len(places) > 1:
        tree.fault(
            tree.root,
            f"lists of pairs in {told(places, len(places))}",
            "one of them",
            f"--from {tree.root / places[0]}",
        )
        return None
    return tree.below(places[0]) if places[0] else tree


def _persons(tree: Tree, pairs: Sequence[Pair]) -> Tree | None:
    """The folder with folders of persons: the list's own, or the only one inside, or inside those (lfw-deepfunneled/lfw-deepfunneled)."""
    names = list(dict.fromkeys(name for pair in pairs for name, _ in (pair.one, pair.two)))
    tried = names[:: max(1, len(names) // _TRIED)]
    spelt = on_disk(tree)
    level = [""]
    while level and level[0].count("/") < 2:
        found = [
            place
            for place in level
            if any((tree.root / spelt(str(PurePosixPath(place, name)))).is_dir() for name in tried)
        ]
        if len(found) > 1:
            remedy = f"move the list into the folder that is meant, and --from {tree.root / found[0]}"
            tree.fault(tree.root, f"folders of persons in {told(found, len(found))}", "one of them", remedy)
            return None
        if found:
            return tree.below(found[0]) if found[0] else tree
        level = [str(PurePosixPath(place, name)) for place in level for name in tree.folders(place)]
    tree.fault(tree.root, f"no folders of persons, such as {tried[0]}", _WANTED)
    return None


def _items(tree: Tree, faces: Sequence[Face], file: str) -> dict[Face, Item]:
    """The images that are there, by person and number; faults of the others."""
    spelt = on_disk(tree)
    numbered: dict[str, Mapping[int, list[str]]] = {}
    nameless, missing, doubled = dict[str, None](), [], []
    items: dict[Face, Item] = {}
    for name, number in faces:
        if name not in numbered:
            numbered[name] = _numbered(tree, spelt(name), name)
        there = numbered[name].get(number, [])
        if not numbered[name]:
            nameless[name] = None
        elif not there:
            missing.append(f"{name}/{name}_{number:04d}")
        elif len(there) > 1:
            doubled += [f"{name}/{one}" for one in there]
        elif (item := tree.image(f"{spelt(name)}/{there[0]}", 0)) is not None:
            items[name, number] = replace(item, id=normalize("NFC", f"{name}/{there[0]}"), columns={"subject": name})
    for odd, what in ((list(nameless), "names without a folder of images"), (missing, "images missing")):
        if odd:
            tree.fault(tree.root, f"{len(odd):,} {what}: {told(odd, len(odd))}", f"those of {file}")
    if doubled:
        tree.fault(
            tree.root, f"{len(doubled):,} images of one number: {told(doubled, len(doubled))}", "one image a number"
        )
    return items


def _numbered(tree: Tree, folder: str, name: str) -> dict[int, list[str]]:
    """Images of one person's folder, `<name>_<number>`, by their number."""
    found: dict[int, list[str]] = {}
    place = tree.root / folder
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        stem, _, number = path.stem.rpartition("_")
        known = normalize("NFC", stem) == name and number.isascii() and number.isdecimal() and len(number) < 10
        if known and path.suffix.lower() in IMAGES and not is_litter(path.name):
            found.setdefault(int(number), []).append(path.name)
    return found


def _table(pairs: Sequence[Pair], items: Mapping[Face, Item]) -> pa.Table:
    return pa.table(
        {
            "id_1": pa.array([items[pair.one].id for pair in pairs], pa.string()),
            "id_2": pa.array([items[pair.two].id for pair in pairs], pa.string()),
            "same": pa.array([pair.same for pair in pairs], pa.bool_()),
            "fold": pa.array([pair.fold for pair in pairs], pa.int64()),
        }
    )
