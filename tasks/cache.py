"""What the cache holds, and how it is kept within a size: whole entries go, those that were used longest ago first.

An entry is what one pass made: the decoded images of a data set under one transform, or the features of a data set by one encoder. All of
it can be made again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = ("decoded", "embeddings")  # <cache>/<kind>/<transform or encoder>/<data set>


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. made_by: fingerprint of a transform or an encoder; dataset: the data set's; used: seconds since 1970."""

    kind: str
    made_by: str
    dataset: str
    path: Path
    bytes: int
    files: int
    used: float


def entries(cache: Path) -> list[Entry]:
    """Everything in the cache, the entries used longest ago first."""
    return sorted(_found(cache), key=lambda entry: (entry.used, str(entry.path)))


def touch(cache: Path, kind: str, made_by: str, dataset: str) -> None:
    """Note that an entry is used now."""
    place = cache / kind / made_by / dataset
    if place.is_dir():
        os.utime(place)


def prune(cache: Path, limit: int) -> list[Entry]:
    """Remove entries until the cache holds at most `limit` bytes; returns what went. Call while no sweep uses the cache."""
    known = entries(cache)
    total = sum(entry.bytes for entry in known)
    gone = []
    for entry in known:
        if total <= limit:
            break
        shutil.rmtree(entry.path)
        total -= entry.bytes
        gone.append(entry)
    for kind in KINDS:
        for place in (cache / kind).glob("*"):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
    return gone


def _found(cache: Path) -> Iterator[Entry]:
    for kind in KINDS:
        for place in (cache / kind).glob("*/*"):
            stats = [file.stat() for file in place.rglob("*") if file.is_file()]
            if stats:
                size, used = sum(s.st_size for s in stats), max(s.st_mtime for s in [place.stat(), *stats])
                yield Entry(kind, place.parent.name, place.name, place, size, len(stats), used)
