"""What `gelo prepare` was told, before anything is read: a name that means nothing else, a reader, and options that it heeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from gelo.models.faults import Fault, UserError, unknown
from gelo.tasks.data.catalogue import taken
from gelo.tasks.prepare.general.official import Official
from gelo.tasks.prepare.layout import Asked, Layout
from gelo.tasks.prepare.readers import KNOWN, READERS
from gelo.tasks.prepare.tree import Tree

_LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OPTIONS = {"splits": "--split", "image": "--image", "label": "--label", "config": "--config", "classes": "--classes"}


def reader_of(
    name: str, source: Path, reader: str | None, partition: int | None, asked: Asked
) -> tuple[Official | None, Callable[[Tree], Layout]]:
    """The official set of this name, or None, and how its files are read. Raises UserError with every fault."""
    faults = []
    official = KNOWN.get(name) if reader is None else None
    if reader is not None and reader not in READERS:
        faults.append(unknown("--reader", reader, READERS, "reader"))
    if reader is None and official is None:
        faults.append(_which(name))
    if reader is not None and (why := _unfit(name)):
        free = f"a name of letters, digits and _ that no official set has, nor anything else of gelo's: {why}"
        faults.append(Fault("NAME", name[:100] or "nothing", free, f"such as my_{_plain(name)}"))
    if not source.is_dir():
        found, remedy = ("a file", f"--from {source.parent}") if source.exists() else ("no such folder", "")
        faults.append(
            Fault(f"--from {source}", found, "the folder of the unpacked download, or of your own files", remedy)
        )
    highest = official.partitions if official is not None else 0
    if partition is not None and not 1 <= partition <= highest:
        faults.append(
            Fault("--partition", str(partition), f"1 to {highest}" if highest else "nothing: this set has one split")
        )
    takes = READERS[reader].takes if reader in READERS else ()
    given = [field.name for field in fields(asked) if getattr(asked, field.name)]
    for option in (each for each in given if each not in takes):
        heeded = ", ".join(_OPTIONS[each] for each in takes) or "none of these options"
        whose = f"the reader {reader}" if reader else f"the official set {name}"
        faults.append(Fault(_OPTIONS[option], "given", f"{heeded}, which is what {whose} heeds"))
    if faults:
        raise UserError(f"prepare {name}", faults)
    if official is None:
        return None, READERS[str(reader)].read
    if not highest:
        return official, official.read
    return official, lambda tree: official.read(tree, partition or 1)


def _which(name: str) -> Fault:
    fault = unknown("NAME", name, KNOWN, "official data set")
    first, *rest = READERS
    how = f"for images of your own add --reader {first} (or {', '.join(rest)})"
    return Fault(fault.where, fault.found, fault.expected, f"{fault.remedy + '; ' if fault.remedy else ''}{how}")


def _unfit(name: str) -> str:
    """Why a user's own set cannot have this name, "" where it can."""
    if _LEGAL.fullmatch(name):
        return taken(name)
    return "this one has other signs, or no letter first" if name else "this one is empty"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:40] or "set"
