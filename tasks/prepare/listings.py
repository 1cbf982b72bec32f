"""Which tables of a tree are read, and what their names say of the split: `labels.csv`, `train.csv`, `test/metadata.jsonl`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.compute as pc

from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.formats.tables import PARQUET, ROWS, TEXTS
from gelo.tasks.prepare.hub.names import missing, stems
from gelo.tasks.prepare.splits import role_of
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.prepare.walked import Files

_ENDS = (*TEXTS, *ROWS, *PARQUET)
_NEARLY = (*(f"{end}.gz" for end in _ENDS), ".zip", ".xlsx", ".xls", ".ods", ".json", ".txt", ".xml", ".db", ".arrow")
_FORM = "a table of images and labels: .csv, .tsv, .jsonl or .parquet"


@dataclass(frozen=True, slots=True)
class Listing:
    """Files that make up one table. split: the split's name, as the file's or the folder's says it; "" where neither does and there is
    no other table. optional: how to leave it out, where there are others."""

    files: tuple[str, ...]
    split: str
    optional: str = ""


def find_listings(tree: Tree, files: Files) -> list[Listing]:
    """The tables of the folder nearest to the root that has any; those below it are left out. Faults: none, or parts of one missing."""
    there = [PurePosixPath(path) for path in files.plain.filter(_ending(files, _ENDS)).to_pylist()]
    if not there:
        near = files.plain.filter(_ending(files, _NEARLY)).to_pylist()
        found = f"no table, though there is {told(near, len(near))}" if near else "no table"
        tree.fault(tree.root, found, _FORM, "save it as CSV, with a first line such as path,label" if near else "")
        return []
    depth = min(len(path.parts) for path in there)
    for path in there:
        if len(path.parts) > depth:
            tree.leave(str(path), "a table below the one that is read")
    level = sorted(path for path in there if len(path.parts) == depth)
    of = stems(level)
    first, lacking, odd = missing(level, of)
    if lacking or odd:
        found = (
            f"{lacking} parts of a table are missing: {told(first, lacking)}"
            if lacking
            else f"parts too many: {told(odd, len(odd))}"
        )
        tree.fault(tree.root / level[0].parent, found, "all parts of one table")
    tables: dict[tuple[PurePosixPath, str], list[str]] = defaultdict(list)
    for path in level:
        name = path.name if of[path].index is None else f"{of[path].base}{path.suffix}"
        tables[path.parent, name].append(str(path))
    named = {key: _split(tree, key[0], of[PurePosixPath(paths[0])].base) for key, paths in tables.items()}
    if len(tables) == 1:
        return [Listing(tuple(paths), named[key]) for key, paths in tables.items()]
    once = [split for split in named.values() if split and list(named.values()).count(split) == 1]
    listings = {named[key] if named[key] in once else str(key[0] / key[1]): paths for key, paths in tables.items()}
    return [Listing(tuple(paths), split, f"--split {split}=none leaves it out") for split, paths in listings.items()]


def _split(tree: Tree, folder: PurePosixPath, stem: str) -> str:
    """What table and folder are called where that says a split; both where they say different ones, so that nothing tells which it is."""
    given = tree.asked.splits
    own = stem if stem in given or role_of(stem) else ""
    place = next((str(name) for name in (folder, folder.name) if str(name) in given), "") or (
        str(folder) if role_of(folder.name) else ""
    )
    if own and place and own not in given and place not in given and role_of(own) != role_of(folder.name):
        return f"{folder}/{own}"
    return own if own in given else place or own


def _ending(files: Files, ends: tuple[str, ...]) -> object:
    pattern = "|".join(end.replace(".", r"\.") for end in ends)
    return pc.match_substring_regex(files.plain, f"(?i)({pattern})$")
