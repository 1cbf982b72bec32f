"""The configurations of a hub's set and the splits of each: as its programs wrote them, else as README.md says, else by names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from fsspec.utils import glob_translate

from gelo.tasks.prepare.hub.info import CARD, INFO, Info, read_info
from gelo.tasks.prepare.hub.names import Stem, said, told_apart
from gelo.tasks.prepare.hub.parts import Config, Stated
from gelo.tasks.prepare.hub.places import Listed, is_cache
from gelo.tasks.prepare.hub.readme import Configured, read_configs, read_infos
from gelo.tasks.prepare.hub.saved import cached, saved_alone, saved_dicts
from gelo.tasks.prepare.tree import Tree


def configs_of(tree: Tree, there: Listed, of: Mapping[PurePosixPath, Stem]) -> list[Config]:
    """Every configuration below the tree's root, with names that tell them apart."""
    found = saved_dicts(tree, there)
    found += saved_alone(tree, there, found)
    taken = {file for config in found for file in config.files()} | _in_saved(there, found)
    found += cached(tree, there, of, taken)
    folders = {PurePosixPath(config.folder) for config in found if config.kind == "cache"}
    rest = [file for file in there.data if file not in taken and file.parent not in folders]
    for file in rest:
        if reason := is_cache(file.name):
            tree.leave(str(file), reason)
    found += _loose(tree, there, of, [file for file in rest if not is_cache(file.name)])
    return _told_apart(found)


def _in_saved(there: Listed, found: Sequence[Config]) -> set[PurePosixPath]:
    """Files in the folders of saved Datasets, whether their states list them or not."""
    folders = {file.parent for config in found for file in config.files()}
    return {file for file in there.data if file.parent in folders}


def _loose(tree: Tree, there: Listed, of: Mapping[PurePosixPath, Stem], files: list[PurePosixPath]) -> list[Config]:
    """Files that no program's own record tells of."""
    if not files:
        return []
    mine = replace(tree, faults=[])
    infos = read_infos(mine, tree.root)
    found = [config for one in read_configs(mine, tree.root) if (config := _configured(mine, one, of, files)).splits]
    if found:
        chosen = {file for config in found for file in config.files()}
        for file in files:
            if file not in chosen:
                tree.leave(str(file), f"in no configuration of {CARD}")
    else:
        found = _by_names(tree, of, files)
    for config in found:
        config.faults = [*mine.faults, *config.faults]
        config.info = _info_of(mine, there, config, infos, alone=len(found) == 1)
        for split, (first, *_) in config.splits.items():
            if INFO in there.beside.get(first.parent, ()):
                config.infos[split] = read_info(mine, tree.root / first.parent / INFO)
        for name, rows in config.info.rows.items():
            if name in config.splits:
                config.stated.append(Stated(str(tree.root / config.info.where), (name,), rows))
            else:
                config.notes.append(
                    f"{config.info.where} tells of a split {name} of {rows:,} rows, of which no file is here"
                )
    return found


def _configured(tree: Tree, one: Configured, of: Mapping[PurePosixPath, Stem], files: list[PurePosixPath]) -> Config:
    """A configuration of README.md: the files that its patterns or its folder name."""
    own = [file for file in files if not one.folder or file.is_relative_to(one.folder)]
    splits: dict[str, list[PurePosixPath]] = {}
    for split, patterns in (one.patterns or {"": ("**",)}).items():
        matched = [file for file in own if any(_matches(tree, file, pattern, one.folder) for pattern in patterns)]
        for part in [] if split else _by_names(tree, of, matched):
            splits |= {f"{part.folder}/{name}" if name in splits else name: same for name, same in part.splits.items()}
        if split and matched:
            splits[split] = matched
    return Config(one.name, one.folder or ".", "README.md", splits, default=one.default)


def _matches(tree: Tree, file: PurePosixPath, pattern: str, folder: str) -> bool:
    path = str(file.relative_to(folder)) if folder else str(file)
    try:
        return re.match(glob_translate(pattern), path) is not None or path.startswith(f"{pattern.rstrip('/')}/")
    except (ValueError, re.error) as error:
        if not any(fault.found.startswith(f"pattern {pattern!r}") for fault in tree.faults):
            tree.fault(
                tree.root / CARD,
                f"pattern {pattern!r} that cannot be read ({error})",
                "a pattern of paths such as data/train-*",
            )
        return False


def _by_names(tree: Tree, of: Mapping[PurePosixPath, Stem], files: Sequence[PurePosixPath]) -> list[Config]:
    """By the names of files and folders: `tasks.prepare.hub.names`."""
    groups: dict[str, dict[str, list[PurePosixPath]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        told = said(file, of[file].base, tree.asked.splits)
        groups[told.config][told.split].append(file)
    found = []
    for folder, splits in groups.items():
        apart = {name: part for split, same in splits.items() for name, part in told_apart(same, of, split).items()}
        found.append(Config(folder, folder, "files", apart))
    return found


def _info_of(tree: Tree, there: Listed, config: Config, infos: Sequence[Info], *, alone: bool) -> Info:
    """What is said of a configuration: by the nearest dataset_info.json, else by README.md under its name, or alone there."""
    folder = PurePosixPath(config.folder)
    for above in (folder, *folder.parents):
        if INFO in there.beside.get(above, ()):
            return read_info(tree, tree.root / above / INFO)
    named = [info for info in infos if info.config and info.config in (config.name, folder.name)]
    return named[0] if named else infos[0] if alone and len(infos) == 1 else Info()


def _told_apart(configs: list[Config]) -> list[Config]:
    """Names that are one name become those of the folders, and of what wrote them where that is one too."""
    for way in (lambda config: config.folder, lambda config: f"{config.folder}:{config.kind}"):
        counts = Counter(config.name for config in configs)
        for config in configs:
            if counts[config.name] > 1:
                config.name = way(config)
    return configs
