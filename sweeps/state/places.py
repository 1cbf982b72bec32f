"""Paths that a user gives: a folder where one is needed, a file where one is. What is wrong with one is found before anything is read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from upath import UPath
from upath.implementations.cloud import CloudPath

from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.models.storage.steady import OBJECTS
from gelo.sweeps.spec.settings import Settings, placed

_READ_ONLY = ("http", "https")
_EXTRAS = ("s3", "gs")  # of pyproject.toml


def refuse(settings: Settings, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
    """Raise UserError for every one of these folders (`storage`, `data`, `cache`) that cannot be used."""
    faults = [*place_faults(settings, reads, write=False), *place_faults(settings, writes, write=True)]
    if faults:
        raise UserError("places", faults)


def place_faults(settings: Settings, names: Iterable[str], *, write: bool) -> list[Fault]:
    """What keeps these folders of the settings from being used; one to write to is made. Of a URI only the kind is looked at."""
    found = [_place_fault(f"--{name}", getattr(settings, name), write) for name in names]
    return [fault for fault in found if fault is not None]


def file_fault(option: str, path: Path, expected: str) -> Fault | None:
    """Why a file cannot be read, None where it can."""
    found = ""
    try:
        if not path.exists():
            found = "no such file"
        elif path.is_dir():
            found = "a folder, not a file"
        elif not os.access(path, os.R_OK):
            found = "cannot be read"
    except OSError as error:
        found = error.strerror or str(error)
    return Fault(f"{option} {path}", found, expected) if found else None


def _place_fault(option: str, given: str, write: bool) -> Fault | None:
    if not given.strip():
        return Fault(option, "empty", "a folder", "a shell variable without a value reads so; ./ is the folder here")
    try:
        place = UPath(given)
        if is_local(place):
            return _folder_fault(option, Path(placed(given).path), write)
        if write and place.protocol in _READ_ONLY:
            return Fault(f"{option} {given}", "an address that can only be read", "a folder, or a URI to write to")
        if write and place.protocol not in OBJECTS | {"memory"}:
            found = f"{place.protocol}://, where files are written in place: a kill could leave half of one"
            remedy = "an object store; or mount it, and give the folder"
            return Fault(f"{option} {given}", found, "a place where a file is whole or absent", remedy)
        if isinstance(place, CloudPath) and not place.path.partition("/")[0]:
            return Fault(f"{option} {given}", "no bucket", f"an address such as {place.protocol}://BUCKET/FOLDER")
        _ = place.fs  # made without a connection
    except ImportError as error:  # a package of fsspec's that is not installed
        kind = given.partition("://")[0]
        remedy = f"pip install 'gelo-sweeps[{kind}]'" if kind in _EXTRAS else "install what fsspec needs for it"
        return Fault(
            f"{option} {given}", str(error), f"the package that opens {kind}://", f"{remedy} (docs/cluster.md)"
        )
    except ValueError as error:  # a kind that fsspec does not know
        return Fault(f"{option} {given}", str(error), "a folder, or a URI that fsspec can open", "docs/cluster.md")
    return None


def _folder_fault(option: str, folder: Path, write: bool) -> Fault | None:
    expected = "a folder that can be written" if write else "a folder"
    try:
        found = _in_the_way(folder)
        if write and not found:
            _write(folder)
    except OSError as error:
        found = error.strerror or str(error)
    return Fault(f"{option} {folder}", found, expected, f"choose another {option}") if found else None


def _in_the_way(folder: Path) -> str:
    if folder.is_dir():
        return "" if os.access(folder, os.R_OK | os.X_OK) else "cannot be read"
    if folder.exists():
        return "a file, not a folder"
    if folder.is_symlink():
        return f"a link to {folder.readlink()}, which is not there"
    above = next(place for place in folder.absolute().parents if place.exists())
    return "" if above.is_dir() else f"Not a directory: {above} is a file"


def _write(folder: Path) -> None:
    """Make the folder and a file in it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".gelo-{os.getpid()}"
    probe.write_bytes(b"gelo")
    probe.unlink()
