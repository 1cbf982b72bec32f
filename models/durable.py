"""Everything finished passes through here: temporary name, fsync, rename, DONE last. A folder without DONE does not exist.

Decisions: targets are `UPath`, so a local folder and an object store read alike. On a local disk a folder becomes visible by
one rename; on an object store, which has no rename, the marker `DONE` is uploaded last and readers ask for it first. Where it is asked for,
`DONE` holds the SHA-256 of every file, and what is read is compared with it; an older gelo's marker is empty, and nothing is compared.
Requests to storage elsewhere are tried again in an outage (`gelo.models.storage`): they raise StorageAwayError at last.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from upath import UPath

import gelo.models.storage.paths  # noqa: F401  paths elsewhere are steady from here on
from gelo.models.faults import Fault, UserError, system_errors
from gelo.models.storage import fence, scan
from gelo.models.untrusted import inside

DONE = "DONE"
_TEMPORARY = ".partial-"


def is_done(folder: UPath | Path) -> bool:
    """True when `folder` was published whole."""
    return (folder / DONE).exists()


def publish_bytes(target: UPath | Path, data: bytes) -> None:
    """Write one file so that readers see the old content, or all of the new, never a part. Raises OSError (disk full, ...)."""
    path = UPath(target)
    if not is_local(path):
        if not _is_there(path, data):
            path.fs.pipe_file(path.path, data)
        return
    local = Path(str(path))
    fence.ask(str(local))
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = local.with_name(f"{_TEMPORARY}{local.name}-{uuid.uuid4().hex[:8]}")
    try:
        with system_errors(local):
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


class DamagedError(UserError):
    """A published folder is not what was written: a file is gone or has other bytes."""


@contextmanager
def publish_folder(target: UPath | Path, *, summed: bool = False) -> Iterator[Path]:
    """Yield an empty local folder to fill; on a clean exit it becomes `target` whole, DONE last.

    An exception inside leaves nothing at `target`. A folder that is DONE already is kept and the new one dropped (two writers
    of the same work agree); a half-written one is replaced. summed: DONE holds the SHA-256 of every file, for `fetched` to compare.
    """
    path = UPath(target)
    if not is_local(path):
        with tempfile.TemporaryDirectory() as scratch:
            with system_errors(scratch):
                yield Path(scratch)
            if not is_done(path):
                for left in path.fs.find(path.path):  # by a writer that was cut short
                    path.fs.rm_file(left)
                upload(Path(scratch), path, _sums(Path(scratch)) if summed else b"")
        return
    local = Path(str(path))
    fence.ask(str(local))
    local.parent.mkdir(parents=True, exist_ok=True)
    temporary = local.with_name(f"{_TEMPORARY}{local.name}-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        with system_errors(local):
            yield temporary
            (temporary / DONE).write_bytes(_sums(temporary) if summed else b"")
            for file in temporary.rglob("*"):
                if file.is_file():
                    _fsync_file(file)
                else:
                    _fsync_folder(file)
            _fsync_folder(temporary)
        fence.ask(str(local))  # filling it may have taken hours
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


def upload(source: Path, target: UPath, marker: bytes = b"") -> None:
    """Copy every file below `source` to `target`, then DONE, holding `marker`. For stores without rename."""
    for file in sorted(source.rglob("*")):
        if file.is_file():
            place = target / file.relative_to(source).as_posix()
            place.fs.put_file(str(file), place.path)
    (target / DONE).fs.pipe_file((target / DONE).path, marker)


@contextmanager
def fetched(folder: UPath | Path, only: Sequence[str] = ()) -> Iterator[Path]:
    """A published folder as a local path: itself where it is local, else a copy for the time of the block. only: of these files alone.

    Raises DamagedError where DONE has sums and a file is not what it was.
    """
    path = UPath(folder)
    if is_local(path):
        refuse_damaged(path, Path(str(path)), only)
        yield Path(str(path))
        return
    with tempfile.TemporaryDirectory() as scratch:
        base = path.path
        for name in [f"{base}/{each}" for each in only] or path.fs.find(base):
            local = inside(Path(scratch), name.removeprefix(base).lstrip("/"), str(path))
            local.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # of `only`: whoever reads it says so
                path.fs.get_file(name, str(local))
        refuse_damaged(path, Path(scratch), only)
        yield Path(scratch)


def refuse_damaged(folder: UPath | Path, local: Path, only: Sequence[str] = ()) -> None:
    """Raise DamagedError naming each file of `local`, which is `folder` or a copy, that is not what its DONE says. only: these alone."""
    try:
        held = (local / DONE).read_bytes() if (local / DONE).is_file() else (folder / DONE).read_bytes()
        sums: dict[str, str] = dict(json.loads(held)["sha256"]) if held else {}
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder, {DONE: "not as it was written"}) from None
    wrong = {}
    for name, sum_of in sums.items():
        file = local / name
        if (only and name not in only) or not file.resolve().is_relative_to(local.resolve()):
            continue
        found = sha256_of(file) if file.is_file() else None
        if found != sum_of:
            wrong[name] = (
                "missing" if found is None else f"damaged: SHA-256 {found[:12]}, written as {str(sum_of)[:12]}"
            )
    if wrong:
        raise _damaged(folder, wrong)


def _damaged(folder: UPath | Path, wrong: dict[str, str]) -> DamagedError:
    remedy = f"bring a copy back; or remove {folder}, and `gelo resume` makes it again"
    return DamagedError(
        "storage",
        [Fault(str(folder / name), found, "the file as it was written", remedy) for name, found in wrong.items()],
    )


def remove(target: UPath | Path) -> None:
    """Remove a file, or a folder with all in it; its DONE first, so that nothing cut short looks whole. What is not there is no error."""
    path = UPath(target)
    if is_local(path):
        local = Path(str(path))
        fence.ask(str(local))
        if local.is_dir():
            (local / DONE).unlink(missing_ok=True)
            shutil.rmtree(local)
        else:
            local.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        if path.is_dir():
            with suppress(FileNotFoundError):
                path.fs.rm_file((path / DONE).path)
            path.fs.rm(path.path, recursive=True)
        else:
            path.fs.rm_file(path.path)


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


def _sums(folder: Path) -> bytes:
    """What DONE holds: the SHA-256 of every file below, by its path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != DONE)
    return json.dumps({"sha256": {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}}).encode()


def _is_there(path: UPath, data: bytes) -> bool:
    """Whether a file is known to hold just this, without asking for it."""
    try:
        return scan.content(path.path, ahead=False) == data
    except FileNotFoundError:
        return False


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
