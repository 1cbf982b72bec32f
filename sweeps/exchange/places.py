"""Where something new is put: nothing that is there is ever written to."""

from __future__ import annotations

from pathlib import Path

from gelo.models.faults import Fault


def place_fault(to: Path) -> Fault | None:
    """Why a new folder cannot be made there; an empty one may be there."""
    where, expected = f"--to {str(to)[:200]}", "a new folder"
    try:
        if "://" in str(to) or str(to).partition("/")[0].endswith(":"):
            return Fault(where, "an address", "a folder of this machine", "copy it from there")
        if to.is_dir():
            return Fault(where, "a folder with files in it", expected) if any(to.iterdir()) else None
        if to.exists() or to.is_symlink():
            return Fault(where, "something that is no folder", expected)
        above = next(place for place in to.absolute().parents if place.exists())
        return None if above.is_dir() else Fault(where, f"{above} is a file", expected)
    except (OSError, ValueError) as error:
        return Fault(where, getattr(error, "strerror", None) or str(error), expected)
