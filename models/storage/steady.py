"""Every request to storage elsewhere passes through `Steady`: tried again in an outage, whole or absent, and refused where another driver
has taken over.

Decisions: nothing is kept of listings between requests but by a `scan`, since other machines write too; a file that is opened for writing
is sent when it is closed, in parts where it is large, and not at all where the block raised.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractFileSystem

from gelo.models.secrets import redacted
from gelo.models.storage import fence, scan
from gelo.models.storage.away import steadily

_AT_ONCE = 16  # requests
# Stores of objects: a folder is there with its files.
OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "adl", "az"}


class Steady(AbstractFileSystem):
    """A file system of fsspec's behind retries. Raises StorageAwayError, and what the inner one raises as an answer."""

    cachable = False

    def __init__(self, inner: AbstractFileSystem) -> None:
        super().__init__(use_listings_cache=False)
        self.inner, self.protocol = inner, inner.protocol
        kinds = {inner.protocol} if isinstance(inner.protocol, str) else set(inner.protocol)
        self._flat = bool(OBJECTS & kinds)
        self._whole = {"max_concurrency": 1} if {"s3", "s3a"} & kinds else {}  # s3fs would ask for the size first

    def __reduce__(self) -> tuple[type[Steady], tuple[AbstractFileSystem]]:
        return Steady, (self.inner,)

    def _strip_protocol(self, path: Any) -> Any:
        return self.inner._strip_protocol(path)

    def unstrip_protocol(self, name: str) -> str:
        return str(self.inner.unstrip_protocol(name))

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        known = scan.of(path := self._strip_protocol(path))
        return known.info(path) if known else self._do("info", path, **kwargs)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """fsspec's own takes any error for "no"."""
        try:
            self.info(path, **kwargs)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        return self._is(path, "directory")

    def isfile(self, path: str) -> bool:
        return self._is(path, "file")

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        known = scan.of(path := self._strip_protocol(path))
        found = known.ls(path) if known else self._do("ls", path, detail=True, **kwargs)
        return list(found) if detail else sorted(each["name"] for each in found)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **kwargs: Any
    ) -> Any:
        known = scan.of(path := self._strip_protocol(path))
        if known and not (maxdepth or withdirs or kwargs):
            found = known.find(path)
        else:
            found = self._do("find", path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        return found if detail else sorted(found)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        path = self._strip_protocol(path)
        if start is not None or end is not None:
            return bytes(self._do("cat_file", path, start=start, end=end, **kwargs))
        if (kept := scan.content(path)) is None:
            kept = bytes(self._do("cat_file", path, **self._whole, **kwargs))
            scan.keep(path, kept)
        return kept

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Of many paths with `omit`: those that come at once, several requests beside each other, past what a scan knows. Nothing is asked
        twice, and nothing after something that does not come: whoever needs that asks for it alone, and waits."""
        if isinstance(path, str) or recursive or on_error != "omit":
            return super().cat(path, recursive=recursive, on_error=on_error, **kwargs)
        over = threading.Event()

        def there(each: str) -> bytes | None:
            if over.is_set():
                return None
            try:
                return bytes(self.inner.cat_file(each, **self._whole, **kwargs))
            except FileNotFoundError:
                return None
            except Exception:
                over.set()
                return None

        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            found = dict(zip(path, pool.map(there, path), strict=True))
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return {each: content for each, content in found.items() if content is not None}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """mode "create": raises FileExistsError where there is one, which may be this call's own, its answer having been lost."""
        self._write("pipe_file", path, value, mode=mode, **kwargs)
        scan.keep(self._strip_protocol(path), value)

    def get_file(self, rpath: str, lpath: Any, *args: Any, **kwargs: Any) -> None:
        rpath = self._strip_protocol(rpath)
        if (kept := scan.content(rpath)) is not None and isinstance(lpath, str | Path):
            Path(lpath).write_bytes(kept)
        else:
            self._do("get_file", rpath, lpath, *args, **kwargs)

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        rpath = self._strip_protocol(rpath)
        self._asked(rpath, partial(self.inner.put_file, lpath, rpath, *args, **kwargs))

    def rm_file(self, path: str) -> None:
        path, tries = self._strip_protocol(path), 0

        def remove() -> None:
            nonlocal tries
            tries += 1
            try:
                self.inner.rm_file(path)
            except FileNotFoundError:
                if tries == 1:  # else by a try whose answer was lost
                    raise

        self._asked(path, remove)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        for each in [path] if isinstance(path, str) else path:
            if recursive:
                self._write("rm", each, recursive=True, maxdepth=maxdepth)
            else:
                self.rm_file(each)

    _rm = rm_file

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        self._asked(path2, partial(self.inner.cp_file, path1, path2, **kwargs))

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        if not self._flat:
            self._write("mkdir", path, create_parents=create_parents, **kwargs)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        if not self._flat:
            self._write("makedirs", path, exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        self._write("rmdir", path)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        if truncate or not self.exists(path):
            self.pipe_file(path, b"")

    def created(self, path: str) -> Any:
        return self._do("created", path)

    def modified(self, path: str) -> Any:
        return self._do("modified", path)

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        if "b" in mode:
            return super().open(path, mode, *args, **kwargs)
        text = {name: kwargs[name] for name in ("encoding", "errors", "newline") if name in kwargs}
        return _Text(self._open(path, f"{mode.replace('t', '')}b"), **text)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BytesIO:
        if "r" in mode:
            return io.BytesIO(self.cat_file(path))
        before = self.cat_file(path) if "a" in mode and self.exists(path) else b""
        return _Sent(before, partial(self.pipe_file, path, mode="create" if "x" in mode else "overwrite"))

    def _is(self, path: str, kind: str) -> bool:
        try:
            return bool(self.info(path)["type"] == kind)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _do(self, name: str, path: str, *args: Any, **kwargs: Any) -> Any:
        return steadily(partial(getattr(self.inner, name), path, *args, **kwargs), self._address(path))

    def _write(self, name: str, path: str, *args: Any, **kwargs: Any) -> None:
        path = self._strip_protocol(path)
        self._asked(path, partial(getattr(self.inner, name), path, *args, **kwargs))

    def _asked(self, path: str, act: Callable[[], object]) -> None:
        """Write to the path. Whether this process may is asked before each try: an outage lasts longer than another driver waits."""

        def once() -> None:
            fence.ask(path)
            act()

        scan.forget(path)
        steadily(once, self._address(path))

    def _address(self, path: str) -> str:
        return redacted(self.unstrip_protocol(path))


class _Sent(io.BytesIO):
    """A file that is sent when it is closed."""

    def __init__(self, before: bytes, send: Callable[[bytes], object]) -> None:
        super().__init__()
        self.write(before)
        self._send: Callable[[bytes], object] | None = send

    def close(self) -> None:
        send, self._send = self._send, None
        if send is not None:
            send(self.getvalue())
        super().close()

    def __exit__(self, kind: Any, *others: Any) -> None:
        if kind is not None:
            self._send = None
        self.close()


class _Text(io.TextIOWrapper):
    """The same as text."""

    def __exit__(self, kind: Any, *others: Any) -> None:
        if kind is not None and isinstance(self.buffer, _Sent):
            self.buffer._send = None
        self.close()
