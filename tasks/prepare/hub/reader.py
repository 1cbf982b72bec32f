"""A Hugging Face set as people have it on disk: saved by `datasets`, in its cache, or a repository of Parquet files. Through pyarrow alone.

What is read is what the set says of itself: the files that its records list, its features for columns and class names, its names for
splits and configurations. What none of that tells is asked for and never guessed: no row of train is ever scored as test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gelo.models.faults import unknown
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.agree import agree
from gelo.tasks.prepare.hub.choice import chosen_config, chosen_place
from gelo.tasks.prepare.hub.columns import columns_of
from gelo.tasks.prepare.hub.configs import configs_of
from gelo.tasks.prepare.hub.files import DAMAGED, NotDataError, open_data
from gelo.tasks.prepare.hub.labels import read_labels
from gelo.tasks.prepare.hub.names import stems
from gelo.tasks.prepare.hub.parts import Config, check_parts
from gelo.tasks.prepare.hub.places import listed
from gelo.tasks.prepare.hub.rows import Source, cells_of, items_of
from gelo.tasks.prepare.hub.split import of_one_split
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.splits import ROLES, settle
from gelo.tasks.prepare.tree import Tree

_DATA = "an Arrow stream or a Parquet file"
_PARTIAL = "partial-"  # begins a split of which the hub converted the first part alone
_NOTHING = Layout((), {})


def hub(tree: Tree) -> Layout:
    """Splits, columns and classes as `--split`, `--image`, `--label`, `--config` and `--classes` say, else as the set itself says.

    Ids: `<split>/<file>/<row>`. Images are read one at a time when they are asked for. Faults: several sets, revisions or configurations
    that nobody chose between, splits whose role nothing tells, missing parts and rows, columns or class names that do not agree, rows
    without an image or a label, Git LFS pointers.
    """
    here = chosen_place(tree)
    if here is None:
        return _NOTHING
    there = listed(here)
    of = stems(there.data)
    configs = configs_of(here, there, of)
    config = chosen_config(here, configs)
    if config is None:
        return _NOTHING
    check_parts(here, config, of)
    sources = _opened(here, config)
    roles = _roles(here, config)
    _check_rows(here, config, sources, roles)
    taken = {role: tuple(name for name in config.splits if roles.get(name) == role) for role in ROLES}
    ordered = [source for role in ROLES for source in sources if source.split in taken[role]]
    used: set[str] = set()
    layout = _layout(here, config, ordered, taken, used) if ordered and len(roles) == len(config.splits) else _NOTHING
    if here.root != tree.root and layout.splits:
        layout = replace(
            layout, notes=(f"read from {here.root}, the only data set and revision below {tree.root}", *layout.notes)
        )
    for path in (*there.others, *there.images):
        if path not in used:
            here.leave(path, "no Arrow or Parquet file")
    return layout


def _layout(
    tree: Tree, config: Config, sources: Sequence[Source], taken: Mapping[str, tuple[str, ...]], used: set[str]
) -> Layout:
    columns = columns_of(tree, [source.opened for source in sources], config.info)
    if columns is None:
        return _NOTHING
    image, label = columns
    if not of_one_split(tree, sources, {name: role for role, names in taken.items() for name in names}, columns):
        return _NOTHING
    read = []
    for source in sources:
        try:
            read.append(read_labels(source.opened, label, source.name, source.split, config.said_of(source.split)))
        except DAMAGED as error:
            tree.fault(source.opened.path, f"unreadable ({error})", _DATA)
    agreed = agree(tree, read, label) if len(read) == len(sources) else None
    cells = cells_of(tree, sources, image, used)
    if agreed is None:
        return _NOTHING
    splits = {}
    for role, names in taken.items():
        mine = [n for n, source in enumerate(sources) if source.split in names]
        if mine:
            parts = ([sources[n] for n in mine], [cells[n] for n in mine], [agreed.labels[n] for n in mine])
            splits[role] = items_of(role, *parts)
    return Layout(
        agreed.named.classes,
        {role: items for role, items in splits.items() if items},
        numbered=True,
        evidence=agreed.named.evidence,
        unnamed=agreed.named.unnamed,
        used={"image": image, "label": label},
        taken={role: names for role, names in taken.items() if names},
        notes=(*config.notes, *agreed.notes),
    )


def _opened(tree: Tree, config: Config) -> list[Source]:
    """The files of a configuration that can be read; faults for the others, for Arrow streams that were cut, and for row numbers."""
    found, pointers, cut, views = [], [], [], []
    for split, files in config.splits.items():
        for file in files:
            path = Path(tree.root / file)
            try:
                opened = open_data(path)
            except NotDataError as error:
                pointers.append(str(file)) if "Git LFS" in str(error) else tree.fault(path, str(error), _DATA)
                continue
            except DAMAGED as error:
                tree.fault(path, f"unreadable ({error})", _DATA)
                continue
            if not opened.whole:
                cut.append(str(file))
            if opened.schema.names == ["indices"]:
                views.append(str(file))
            else:
                found.append(Source(split, str(file), opened))
    fault_each(
        tree,
        tree.root,
        pointers,
        "pointers of Git LFS, not the data itself",
        "the data",
        "git lfs pull there, or hf download",
    )
    fault_each(tree, tree.root, cut, "Arrow streams that do not end: cut off", "whole files", "save or copy them again")
    fault_each(tree, tree.root, views, "files of row numbers", "the rows themselves", "save dataset.flatten_indices()")
    return found


def _roles(tree: Tree, config: Config) -> dict[str, str]:
    """What each split is for, by `--split` or its name; fewer than there are splits where faults leave that open."""
    given, names = tree.asked.splits, list(config.splits)
    before = len(tree.faults)
    roles = settle(names, given, str(tree.root / config.folder), tree.faults)
    tree.faults.extend(unknown("--split", name, names, "split") for name in given if name not in names)
    shared = Counter(file for name, files in config.splits.items() if roles.get(name) for file in set(files))
    twice = [str(file) for file, count in shared.items() if count > 1]
    fault_each(
        tree, tree.root, twice, "files are of several splits", "a file of one split", "leave one out: --split NAME=none"
    )
    settled = len(tree.faults) == before
    for name, role in roles.items():
        if not role:
            for file in config.splits[name]:
                tree.leave(str(file), "left out by --split")
        elif name.startswith(_PARTIAL):
            tree.fault(
                tree.root / config.folder,
                f"{name}: the hub converted the first part of this split alone",
                "the whole split",
                "take the files of the repository's main branch",
            )
    return roles if settled else {}


def _check_rows(tree: Tree, config: Config, sources: Sequence[Source], roles: Mapping[str, str]) -> None:
    """Faults for splits with other numbers of rows than the set itself says, where all of their files are there."""
    expected = sum(len(files) for files in config.splits.values())
    if len(sources) < expected:
        return
    for stated in config.stated:
        rows = sum(source.opened.rows for source in sources if source.split in stated.splits)
        if rows != stated.rows and any(roles.get(name, name) for name in stated.splits):
            found = f"{rows:,} rows of {' and '.join(stated.splits)}"
            tree.fault(
                stated.where, found, f"{stated.rows:,}, as it says itself", stated.why or "download what is missing"
            )
