"""A folder that a remedy's setting names, prepared by the reader `folder`: checked before anything starts, read when data sets are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.folders import name_of
from gelo.tasks.prepare.layout import Asked
from gelo.tasks.prepare.prepare import Wanted, look, prepare


def folder_faults(name: str, folder: Path) -> list[Fault]:
    """What keeps a folder from becoming the data set of this name, no image decoded; at the end how to prepare it by hand."""
    try:
        _unchanged(name, folder)
        seen = look(Wanted(name, **_how(folder)))
    except UserError as error:
        return [*error.faults, _by_hand(folder)]
    return (
        []
        if "train" in seen.layout.splits
        else [Fault(str(folder), "no images to train on", "one folder per class"), _by_hand(folder)]
    )


def prepare_folder(name: str, folder: Path, data: Path) -> None:
    """Make `<data>/<name>`. Raises UserError, also where the folder has other images than when the sweep's file was read."""
    _unchanged(name, folder)
    how = _how(folder)
    prepare(name, how.pop("source"), data, **how)


def _how(folder: Path) -> dict[str, Any]:
    """Its own `train` where it has splits, else all of it."""
    source = folder / "train" if (folder / "train").is_dir() else folder
    return {"source": source, "reader": "folder", "asked": Asked(splits={source.resolve().name: "train"})}


def _unchanged(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"data set {name}", Fault(str(folder), "no such folder", "the folder that the sweep named"))
    if (now := name_of(folder)) != name:
        expected = f"those that made it {name}"
        raise UserError(
            f"data set {name}", Fault(str(folder), f"other images, {now}", expected, "give the sweep a new name")
        )


def _by_hand(folder: Path) -> Fault:
    line = f"gelo prepare NAME --from {folder} --reader READER"
    return Fault(
        str(folder), "cannot be prepared as it lies", "a folder of images", f"{line}, then `NAME/train` in the sweep"
    )
