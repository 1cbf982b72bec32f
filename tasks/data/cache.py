"""What the cache holds, and how it is kept within a size: whole entries go, those that were used longest ago first.

An entry is what one pass made: the decoded images of a data set under one transform, its packs (the images as they are stored, for
training), its features by one encoder, or a file of what a text tower was asked. All of it can be made again. Whoever reads the cache
holds a shared lock on it (`using`), and pruning wants it alone: a training run never loses the images that it has open.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from gelo.models.faults import Fault, UserError

PACKS, STORED, TEXT = "packs", "stored", "text"
# <cache>/<kind>/<transform, encoder, text tower or "stored">/<data set, or a file of prompts>
KINDS = ("decoded", PACKS, "embeddings", TEXT)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. made_by: a fingerprint of a transform, an encoder or a text tower, or `stored`; dataset: the data set's, or the
    file of prompts; used: seconds since 1970."""

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


def whole(path: Path, rows: int | None = None) -> bool:
    """Whether an array lies there as it was published: a file in NumPy's format of the size that its header says, and of `rows` rows.

    What is cut or of another program is removed, so that it is made again.
    """
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
            size = stream.tell() + math.prod(shape) * dtype.itemsize
        if path.stat().st_size == size and not dtype.hasobject and (rows is None or shape[:1] == (rows,)):
            return True
    except FileNotFoundError:
        return False
    except (ValueError, IsADirectoryError):
        pass
    _delete(path)
    return False


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def touch(cache: Path, kind: str, made_by: str, dataset: str) -> None:
    """Note that an entry is used now."""
    place = cache / kind / made_by / dataset
    if place.exists():
        os.utime(place)


@contextmanager
def using(cache: Path, limit: float | None) -> Iterator[Callable[[], list[Entry]]]:
    """Hold the cache for a run; yields a function that prunes it to `limit` gigabytes, and does so itself at the end.

    What this run has used stays, whatever the limit; nothing goes while another run holds the cache, and nothing without a limit.
    """
    began = time.time()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)

        def trim() -> list[Entry]:
            if limit is None or not _alone(lock):
                return []
            try:
                return _remove(cache, limit * 1e9, began)
            finally:
                fcntl.flock(lock, fcntl.LOCK_SH)

        yield trim
        trim()


def prune(cache: Path, limit: float) -> list[Entry]:
    """Remove entries until the cache holds at most `limit` bytes; returns what went. Raises UserError while a run holds the cache."""
    with _own(cache):
        return _remove(cache, limit, math.inf)


def drop(cache: Path, gone: Iterable[Entry]) -> None:
    """Remove these entries. Raises UserError while a run holds the cache."""
    with _own(cache):
        for entry in gone:
            _delete(entry.path)
        _tidy(cache)


@contextmanager
def _own(cache: Path) -> Iterator[None]:
    """The cache for this process alone. Raises UserError while a run holds it."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".in-use").open("w") as lock:
        if not _alone(lock):
            fault = Fault(str(cache), "in use by another gelo", "a cache that no run reads", "wait for its end")
            raise UserError("cache", fault)
        yield


def _alone(lock: IO[str]) -> bool:
    """Whether the cache could be locked for this process alone; else the shared lock is held as before."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        fcntl.flock(lock, fcntl.LOCK_SH)  # a failed change of the lock may have lost the old one
        return False
    return True


def _remove(cache: Path, limit: float, since: float) -> list[Entry]:
    """Entries that went: the longest unused, until `limit` bytes are left or all others were used at `since` or later."""
    known = entries(cache)
    total = sum(entry.bytes for entry in known)
    gone = []
    for entry in known:
        if total <= limit or entry.used >= since:
            break
        _delete(entry.path)
        total -= entry.bytes
        gone.append(entry)
    _tidy(cache)
    return gone


def _tidy(cache: Path) -> None:
    """Folders that nothing is in any more go."""
    for kind in KINDS:
        for place in (cache / kind).glob("*"):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


def _found(cache: Path) -> Iterator[Entry]:
    for kind in KINDS:
        for place in (cache / kind).glob("*/*"):
            stats = [file.stat() for file in (place, *place.rglob("*")) if file.is_file()]
            if stats:
                size, used = sum(s.st_size for s in stats), max(s.st_mtime for s in [place.stat(), *stats])
                yield Entry(kind, place.parent.name, place.name, place, size, len(stats), used)
