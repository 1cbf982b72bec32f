"""A folder of images in a remedy's settings: the data set that it becomes, named by what lies in it before the sweep's keys are made.

A setting is taken for a folder where it begins as paths do (`/`, `./`, `../`, `~/`) and no file has that name; anything else names a
prepared data set and its split. The name follows from the folder's own and from the names and sizes of its images: the same images
mean the same trials wherever they lie, and others mean others.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gelo.models.faults import Fault
from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import IMAGES

_BEGINS = ("/", "./", "../", "~/")
_FORM = "a folder with one folder of images per class, or `NAME/SPLIT` of a prepared data set"


def with_folders(tasks: Any, found: dict[str, str], faults: list[Fault], where: str = "tasks") -> Any:
    """`tasks` of a sweep's file with every folder below a `remedy` key replaced by the split it becomes; `found` takes name -> folder."""
    if isinstance(tasks, list):
        return [with_folders(each, found, faults, where) for each in tasks]
    if not isinstance(tasks, Mapping):
        return tasks
    return {
        key: (_settled if key == "remedy" else with_folders)(value, found, faults, f"{where}.{key}")
        for key, value in tasks.items()
    }


def name_of(folder: Path) -> str:
    """`photos_3f9c0a11b2c4`: 12 hex digits over the paths and sizes of the images below it."""
    digest = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(name for name in names if name.lower().endswith(IMAGES) and not is_litter(name)):
            path = Path(place, name)
            size = path.stat().st_size if path.exists() else -1
            digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\n".encode("utf-8", "surrogateescape"))
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", folder.resolve().name).strip("_")[:40]
    return f"{plain if plain[:1].isalpha() else f'images_{plain}'.rstrip('_')}_{digest.hexdigest()[:12]}"


def _settled(value: Any, found: dict[str, str], faults: list[Fault], where: str) -> Any:
    if isinstance(value, list):
        return [_settled(each, found, faults, where) for each in value]
    if isinstance(value, Mapping):
        return {key: _settled(each, found, faults, f"{where}.{key}") for key, each in value.items()}
    if not isinstance(value, str) or not value.startswith(_BEGINS):
        return value
    folder = Path(value).expanduser()
    if folder.is_file():
        return value
    if not folder.is_dir():
        faults.append(Fault(where, f"{value}: no such folder", _FORM))
        return value
    name = name_of(folder)
    found[name] = str(folder.absolute())
    return f"{name}/train"
