"""What a finished sweep is asked again and again is asked of storage once: one listing of its folder, and one file with the small files in
it.

Decisions: `scanned(folder)` is of the one driver that holds the sweep's lease. What it writes itself is forgotten as it writes; before
it lets other processes write below a folder it says `forget(folder)`, and asks storage itself from then on. The kept file, `.scan`, holds
content beside the tag (size and ETag, or time) that the listing showed: a file that anyone has changed is read anew, and a `.scan` that is
gone or damaged costs requests only.
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fsspec.spec import AbstractFileSystem
from upath import UPath

KEPT = ".scan"
_SMALL, _ALL = 8 << 20, 128 << 20  # bytes of one file that is kept, a report's page included, and of all
_TOLD, _AHEAD = 1 << 18, 1024  # bytes of a file of JSON that is read with others, and files that are read at once
_scans: dict[str, Scan] = {}


class Scan:
    """The folder `root` of `files`, a file system, as it was when it was made."""

    def __init__(self, files: AbstractFileSystem, root: str) -> None:
        self.files, self.root = files, root
        self.live: dict[
            str, int
        ] = {}  # files and folders that may be other than listed, and in which turn that was said
        self.above: set[str] = set()  # and the folders that they lie in, which may hold others
        self.contents: dict[str, tuple[int, bytes]] = {}  # and in which turn they were so
        self._turn = 0
        self._unread: list[str] | None = None  # files that may be read ahead, in order
        self._lock = threading.Lock()
        self._list()
        kept = f"{root}/{KEPT}"
        self._saved = _read(files.cat_file(kept)) if kept in self.listed else {}
        for path, (tag, content) in self._saved.items():
            if self.tags.get(path) == tag:
                self.contents[path] = (0, content)
        self._bytes = sum(len(content) for _, content in self.contents.values())

    def _list(self) -> None:
        self.listed: dict[str, dict[str, Any]] = self.files.find(self.root, detail=True)
        self.tags = {path: _tag(info) for path, info in self.listed.items()}
        self.below: dict[str, dict[str, dict[str, Any]]] = {self.root: {}}
        for path, info in self.listed.items():
            while path != self.root and path not in self.below.get(parent := path.rpartition("/")[0], {}):
                self.below.setdefault(parent, {})[path] = info
                path, info = parent, {"name": parent, "size": 0, "type": "directory"}

    def knows(self, path: str) -> bool:
        """Whether nobody has written there since it was listed. Hidden folders, such as the lease's, are always asked for."""
        if path != self.root and (not path.startswith(f"{self.root}/") or self._hidden(path)):
            return False
        return self._changed(path) == 0

    def _changed(self, path: str) -> int:
        """The last turn in which others, or this process, may have begun to write there."""
        last = 0
        while self.live and path != self.root:
            last = max(last, self.live.get(path, 0))
            path = path.rpartition("/")[0]
        return last

    def info(self, path: str) -> dict[str, Any]:
        if (found := self.listed.get(path)) is not None:
            return found
        if path in self.below:
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str) -> list[dict[str, Any]]:
        if path in self.listed:
            return [self.listed[path]]
        if path not in self.below:
            raise FileNotFoundError(path)
        return [self.below[path][name] for name in sorted(self.below[path])]

    def find(self, path: str) -> dict[str, dict[str, Any]]:
        return {each: info for each, info in self.listed.items() if each == path or each.startswith(f"{path}/")}

    def content(self, path: str, ahead: bool = True) -> bytes | None:
        """What is known to be in a file; None where it is to be read. Raises FileNotFoundError for one that is known not to be there."""
        if self.knows(path):
            if path not in self.listed:
                raise FileNotFoundError(path)
            if ahead and path not in self.contents:
                self._read_ahead(path)
            return self.contents.get(path, (0, None))[1]
        return None

    def _read_ahead(self, path: str) -> None:
        """A small file of JSON with those that follow it in the listing, many at a time: who asks for one asks for them next."""
        with self._lock:
            if self._unread is None:
                small = (each for each, info in self.listed.items() if int(info.get("size") or 0) <= _TOLD)
                self._unread = sorted(each for each in small if each.endswith(".json") and each not in self.contents)
            place, turn = bisect_left(self._unread, path), self._turn
            if self._unread[place : place + 1] != [path]:
                return
            room, end = _ALL - self._bytes, place
            while end < min(place + _AHEAD, len(self._unread)) and room >= 0:
                room -= int(self.listed[self._unread[end]].get("size") or 0)
                end += room >= 0
            asked = [each for each in self._unread[place:end] if self.knows(each)]
            del self._unread[place:end]
        for each, content in self.files.cat(asked, on_error="omit").items():
            self.keep(each, content, turn)

    def keep(self, path: str, content: bytes, turn: int | None = None) -> None:
        """Remember what was read or written just now, or in that turn, where it is small and not hidden."""
        if not self._hidden(path) and len(content) <= _SMALL and self._bytes + len(content) <= _ALL:
            self._bytes += len(content) - len(self.contents.get(path, (0, b""))[1])
            self.contents[path] = (self._turn if turn is None else turn, content)

    def forget(self, path: str) -> None:
        """A file or folder that is about to be written to; a folder with all that lies in it."""
        if self._hidden(path):
            return
        self._turn += 1
        self.live[path] = self._turn
        while path != self.root and (path := path.rpartition("/")[0]) not in self.above:
            self.above.add(path)

    def _hidden(self, path: str) -> bool:
        """Whether it lies in the lease's folder, or in another that begins with a dot: such are never taken for known."""
        return path[len(self.root) + 1 :].startswith(".")

    def save(self) -> None:
        """Write `.scan` anew, where it would be another; what is there now is listed first where anything was written."""
        if self.live:
            before = self.tags
            self._list()
            for path in [
                each for each in self.contents if self.knows(each) and self.tags.get(each) != before.get(each)
            ]:
                del self.contents[path]  # changed by nobody that this run knows of
        rows = {
            path: (self.tags[path], content)
            for path, (turn, content) in self.contents.items()
            if path in self.tags and turn >= self._changed(path)
        }
        if rows != self._saved:
            self.files.pipe_file(f"{self.root}/{KEPT}", _written(rows))


@contextmanager
def scanned(files: AbstractFileSystem, root: str, *, kept: bool = True) -> Iterator[Scan]:
    """Answer for `root` from a scan, for the time of the block; kept for the next one where the block does not raise."""
    made = Scan(files, root)
    _scans[root] = made
    try:
        yield made
    finally:
        _scans.pop(root, None)
    if kept:
        with suppress(OSError):  # without it the next run asks more, that is all
            made.save()


@contextmanager
def listed_once(folder: UPath) -> Iterator[None]:
    """The same for commands that only look at a sweep: nothing is kept. A folder of this machine is asked as it is."""
    if folder.protocol in ("", "file", "local"):
        yield
    else:
        with scanned(folder.fs, folder.path, kept=False):
            yield


def of(path: str) -> Scan | None:
    """The scan that knows what is at `path`, and below."""
    return next((each for each in _scans.values() if path not in each.above and each.knows(path)), None)


def content(path: str, ahead: bool = True) -> bytes | None:
    """See `Scan.content`. ahead: read it with those that follow where it is not known."""
    known = next((each for each in _scans.values() if each.knows(path)), None)
    return known.content(path, ahead) if known else None


def keep(path: str, content: bytes) -> None:
    for each in _above(path):
        each.keep(path, content)


def forget(path: str) -> None:
    """Say that others may write to a file or below a folder from now on."""
    for each in _above(path):
        each.forget(path)


def _above(path: str) -> Iterator[Scan]:
    yield from (each for each in list(_scans.values()) if path.startswith(f"{each.root}/"))


def _tag(info: dict[str, Any]) -> str:
    changed = (
        info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or info.get("created")
    )
    return f"{info.get('size')} {changed}"


def _written(rows: dict[str, tuple[str, bytes]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted(rows)
    columns = {
        "path": pa.array(paths, pa.string()),
        "tag": pa.array([rows[path][0] for path in paths], pa.string()),
        "content": pa.array([rows[path][1] for path in paths], pa.large_binary()),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _read(data: bytes) -> dict[str, tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        sizes = (file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if sum(sizes) > 2 * _ALL:
            return {}
        table = file.read(["path", "tag", "content"])
        return {
            path: (tag, content)
            for path, tag, content in zip(*(table.column(name).to_pylist() for name in range(3)), strict=True)
        }
    except (pa.ArrowException, ValueError, KeyError, OSError):
        return {}
