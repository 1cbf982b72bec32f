"""Everything finished passes through here: temporary name, fsync, rename, DONE last. A folder without DONE does not exist.

Decisions: targets are `UPath`, so a local folder and an object store read alike. On a local disk a folder becomes visible by
one rename; on an object store, which has no rename, the marker `DONE` is uploaded last and readers ask for it first.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from upath import UPath

DONE = "DONE"
_TEMPORARY = ".partial-"


def is_done(folder: UPath | Path) -> bool:
    """True when `folder` was published whole."""
    return (folder / DONE).exists()


def publish_bytes(target: UPath | Path, data: bytes) -> None:
    """Write one file so that readers see the old content, or all of the new, never a part. Raises OSError (disk full, ...)."""
    path = UPath(target)
    if not is_local(path):
        path.write_bytes(data)
        return
    local = Path(str(path))
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = local.with_name(f"{_TEMPORARY}{local.name}-{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(local)
        _fsync_folder(local.parent)
    finally:
        temporary.unlink(missing_ok=True)


def publish_array(target: UPath | Path, array: np.ndarray) -> None:
    """`publish_bytes` of one array in NumPy's own format, never pickled."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    publish_bytes(target, buffer.getvalue())


@contextmanager
def publish_folder(target: UPath | Path) -> Iterator[Path]:
    """Yield an empty local folder to fill; on a clean exit it becomes `target` whole, DONE last.

    An exception inside leaves nothing at `target`. A folder that is DONE already is kept and the new one dropped (two writers
    of the same work agree); a half-written one is replaced.
    """
    path = UPath(target)
    if not is_local(path):
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
            upload(Path(scratch), path)
        return
    local = Path(str(path))
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = local.with_name(f"{_TEMPORARY}{local.name}-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        (temporary / DONE).touch()
        for file in temporary.rglob("*"):
            if file.is_file():
                _fsync_file(file)
            else:
                _fsync_folder(file)
        _fsync_folder(temporary)
        if local.exists() and not is_done(local):
            shutil.rmtree(local)
        try:
            temporary.rename(local)
        except OSError:
            if not is_done(local):
                raise
        _fsync_folder(local.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def upload(source: Path, target: UPath) -> None:
    """Copy every file below `source` to `target`, then the marker. For stores without rename."""
    for file in sorted(source.rglob("*")):
        if file.is_file():
            (target / file.relative_to(source).as_posix()).write_bytes(file.read_bytes())
    (target / DONE).write_bytes(b"")


@contextmanager
def fetched(folder: UPath | Path) -> Iterator[Path]:
    """A published folder as a local path: itself where it is local, else a copy for the time of the block."""
    path = UPath(folder)
    if is_local(path):
        yield Path(str(path))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for file in path.rglob("*"):
            if file.is_file():
                local = Path(scratch) / str(file.relative_to(path))
                local.parent.mkdir(parents=True, exist_ok=True)
                local.write_bytes(file.read_bytes())
        yield Path(scratch)


def is_local(path: UPath | Path) -> bool:
    """True for a path on this machine's file system."""
    return (isinstance(path, Path) and not isinstance(path, UPath)) or getattr(path, "protocol", "") in (
        "",
        "file",
        "local",
    )


def stamp(file: Path) -> str:
    """What changes with a file's content: size, times and inode; of a folder, with any of its files'. The time of its last change is not a
    writer's to set. Raises OSError."""
    if file.is_dir():
        return "; ".join(f"{each.name} {stamp(each)}" for each in sorted(file.iterdir()) if each.is_file())
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _fsync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """64 hex digits over a file's bytes. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
