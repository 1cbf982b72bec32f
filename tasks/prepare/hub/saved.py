"""Sets that `datasets` itself wrote: a Dataset or DatasetDict of `save_to_disk`, and the folders of its cache.

Decisions: the files are those that `state.json` lists, as `load_from_disk` has it. A split of a DatasetDict is called as its folder is: the
`_split` of its `state.json` says only what it was taken from, which after `train_test_split` is `train` for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.info import DICT, INFO, STATE, Info, State, read_info, read_json, read_state
from gelo.tasks.prepare.hub.names import NAMELESS, Stem
from gelo.tasks.prepare.hub.parts import Config, Stated
from gelo.tasks.prepare.hub.places import Listed, is_cache
from gelo.tasks.prepare.splits import role_of
from gelo.tasks.prepare.tree import Tree

Path = PurePosixPath
_AGAIN = "save it, or copy it, again"
_CHOSEN = 'if rows were chosen on purpose (filter, select), take "splits" out of that file: it tells of the whole'


def saved_dicts(tree: Tree, there: Listed) -> list[Config]:
    """Each DatasetDict; a split without its folder is a fault."""
    found = []
    for folder in [folder for folder, names in there.beside.items() if DICT in names]:
        mine = replace(tree, faults=[])
        loaded = read_json(mine, tree.root / folder / DICT, "the splits that `save_to_disk` writes")
        names = loaded.get("splits") if isinstance(loaded, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            mine.fault(tree.root / folder / DICT, "no list of splits", "the splits that `save_to_disk` writes", _AGAIN)
            names = []
        splits = {name: folder / name for name in names}
        config = _saved(mine, there, folder, {name: place for name, place in splits.items() if place.parent == folder})
        fault_each(
            mine, tree.root / folder, [name for name in names if not config.splits.get(name)],
            "splits without a file", f"those of {DICT}", _AGAIN,
        )  # fmt: skip
        found.append(config)
    return found


def saved_alone(tree: Tree, there: Listed, taken: Iterable[Config]) -> list[Config]:
    """Each Dataset that is in no DatasetDict; those of one folder are the splits of one set, called as their folders are."""
    in_dicts = {Path(config.folder) / split for config in taken for split in config.splits}
    groups: dict[Path, list[Path]] = defaultdict(list)
    for folder, names in there.beside.items():
        if STATE in names and folder not in in_dicts:
            groups[folder.parent].append(folder)
    found = []
    for parent, folders in groups.items():
        mine = replace(tree, faults=[])
        origins = {folder: _origin(mine, folder) for folder in folders}
        named = {}
        for folder, origin in origins.items():
            own = _own_name(tree, folder)
            tells = (
                own in tree.asked.splits
                or role_of(own)
                or list(origins.values()).count(origin) > 1
                or not role_of(origin)
            )
            named[own if tells and not (own == NAMELESS and origin) else origin] = folder
        found.append(_saved(mine, there, parent, named))
    return found


def cached(tree: Tree, there: Listed, of: Mapping[Path, Stem], taken: set[Path]) -> list[Config]:
    """Each folder of the cache of `datasets`: `<set>-<split>.arrow` beside a `dataset_info.json` that lists the splits."""
    found = []
    for folder in [folder for folder, names in there.beside.items() if INFO in names and STATE not in names]:
        here = [file for file in there.data if file.parent == folder and file not in taken]
        mine = replace(tree, faults=[])
        info = read_info(mine, tree.root / folder / INFO)
        splits: dict[str, list[Path]] = {name: [] for name in info.rows}
        for file in here:
            prefix, _, split = of[file].base.rpartition("-")
            if prefix and split in splits and not is_cache(file.name):
                splits[split].append(file)
        if not any(splits.values()):
            continue
        _leave(tree, [file for file in here if file not in set().union(*splits.values())], f"not listed in {INFO}")
        fault_each(
            mine,
            tree.root / folder,
            [name for name, files in splits.items() if not files],
            "splits without a file",
            f"those of {INFO}",
            _AGAIN,
        )
        stated = [Stated(str(tree.root / folder / INFO), (name,), rows) for name, rows in info.rows.items()]
        found.append(
            Config(info.config or str(folder), str(folder), "cache", splits, info, stated=stated, faults=mine.faults)
        )
    return found


def _saved(mine: Tree, there: Listed, parent: Path, folders: Mapping[str, Path]) -> Config:
    config = Config(str(parent), str(parent), "saved", {}, faults=mine.faults)
    origins: dict[str, list[str]] = defaultdict(list)
    for name, folder in folders.items():
        here = [file for file in there.data if file.parent == folder]
        state = read_state(mine, mine.root / folder / STATE) if STATE in there.beside.get(folder, ()) else None
        config.splits[name] = _listed(mine, folder, here, state, there)
        config.infos[name] = read_info(mine, mine.root / folder / INFO)
        origins[state.split if state is not None and state.split else name].append(name)
    config.info = next((info for info in config.infos.values() if info.features), Info())
    for origin, names in origins.items():
        rows = config.infos[names[0]].rows.get(origin)
        if rows is not None and origin in names:  # else it tells of what this is a part of
            where = str(mine.root / folders[names[0]] / INFO)
            config.stated.append(Stated(where, tuple(names), rows, _CHOSEN))
    return config


def _listed(mine: Tree, folder: Path, here: list[Path], state: State | None, there: Listed) -> list[Path]:
    """The files that a Dataset consists of: those that its state lists, else all that are no cache."""
    if state is None:
        files = [file for file in here if not is_cache(file.name)]
        _leave(mine, [file for file in here if file not in files], "")
        return files
    where = mine.root / folder / STATE
    if state.view:
        mine.fault(
            where,
            "rows that are chosen by indices",
            "the rows themselves",
            "load it and save dataset.flatten_indices()",
        )
    files = [folder / name for name in state.files]
    there_ = set(there.data)
    fault_each(
        mine,
        where,
        [str(file) for file in files if file not in there_],
        "files that it lists are missing",
        "all of them",
        _AGAIN,
    )
    _leave(mine, [file for file in here if file not in files], f"not listed in {STATE}")
    return list(dict.fromkeys(file for file in files if file in there_))


def _leave(tree: Tree, files: Iterable[Path], reason: str) -> None:
    for file in files:
        tree.leave(str(file), is_cache(file.name) or reason)


def _origin(mine: Tree, folder: Path) -> str:
    """What a Dataset was taken from, as its state says; "" where that is damaged, which `_saved` tells of."""
    state = read_state(replace(mine, faults=[]), mine.root / folder / STATE)
    return state.split if state is not None else ""


def _own_name(tree: Tree, folder: Path) -> str:
    """A Dataset's name by its folder; of the folder that was given only where a DatasetDict around it says so."""
    if folder.name:
        return folder.name
    root = tree.root.resolve()
    above = root.parent / DICT
    loaded = read_json(replace(tree, faults=[]), above, "") if above.is_file() else None
    names = loaded.get("splits") if isinstance(loaded, dict) else ()
    return root.name if isinstance(names, list) and root.name in names else NAMELESS
