"""Logs of a sweep: its driver's lines, and what each rank of a trial prints. Without secrets, and of a bounded size.

<sweep>/logs/driver.log and <trial>/logs/rank-<n>.log, one file whatever the number of starts; the newest `MOST` bytes are kept. On a local
or shared folder lines are there as they are said; to an object store a log goes at the end of a start, also of one that fails, so that a
process that was killed leaves none there. What C libraries print by themselves (NCCL_DEBUG) is in Ray's own logs of that machine, which
the first line names.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from upath import UPath

from gelo.models.durable import is_local, publish_bytes
from gelo.models.secrets import redacted

FOLDER, DRIVER = "logs", "driver"
MOST = 2**20  # bytes of one log
_LINE = 4096  # letters of one line


class Log:
    """One log, written to line by line. What cannot be written is left out: a log must stop nobody."""

    def __init__(self, root: UPath, name: str) -> None:
        self.path = root / FOLDER / f"{name}.log"
        self._local = Path(str(self.path)) if is_local(self.path) else None
        self._lines: list[bytes] = []  # of this start, where they cannot be appended to a file
        self._size = 0

    def __enter__(self) -> Log:
        with suppress(OSError):
            if self._local is not None:
                self._local.parent.mkdir(parents=True, exist_ok=True)
                self._size = self._local.stat().st_size if self._local.exists() else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            if self._local is None and self._lines:
                publish_bytes(self.path, _newest(_old(self.path) + b"".join(self._lines), MOST))

    def line(self, text: str) -> None:
        """One or several lines, each with the time (UTC)."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        said = "".join(f"{stamp} {line[:_LINE]}\n" for line in redacted(text).splitlines() if line.strip())
        data = said.encode("utf-8", "backslashreplace")
        with suppress(OSError):
            if self._local is None:
                self._keep(data)
            else:
                self._append(data)

    def _append(self, data: bytes) -> None:
        assert self._local is not None
        if self._size + len(data) > MOST:
            kept = _newest(_old(self.path) + data, MOST // 2)
            publish_bytes(self.path, kept)
            self._size = len(kept)
            return
        with self._local.open("ab") as stream:
            stream.write(data)
        self._size += len(data)

    def _keep(self, data: bytes) -> None:
        self._lines.append(data)
        self._size += len(data)
        if self._size > 2 * MOST:
            kept = _newest(b"".join(self._lines), MOST)
            self._lines, self._size = [kept], len(kept)


class _Both:
    """A stream that goes on to where it went, and whose whole lines also go to a log; else it is that stream."""

    def __init__(self, log: Log, before: TextIO) -> None:
        self._log, self._before, self._rest = log, before, ""

    def write(self, text: str) -> int:
        self._before.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest.rpartition("\r")[2][-_LINE:]  # a bar that is drawn again and again
        for line in lines:
            self._log.line(line.rpartition("\r")[2])
        return len(text)

    def isatty(self) -> bool:
        """No bars and colours in a log."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._before, name)


@contextmanager
def logged(root: UPath, rank: int, told: str = "") -> Iterator[None]:
    """What this process prints while the block runs, and the traceback that ends it, as the log of one rank of the trial at `root`.

    told: of the start, for its first line.
    """
    with Log(root, name_of(rank)) as log:
        log.line(f"--- start{f' of {told}' if told else ''}, process {_process()}")
        with redirect_stdout(_Both(log, sys.stdout)), redirect_stderr(_Both(log, sys.stderr)):
            try:
                yield
            except BaseException:
                log.line(traceback.format_exc())
                raise


def name_of(rank: int) -> str:
    """Of a rank's log, without its ending."""
    return f"rank-{rank}"


def ranks_of(root: UPath) -> list[int]:
    """Ranks of the trial at `root` that have a log."""
    place = root / FOLDER
    names = [entry.name for entry in place.iterdir()] if place.exists() else []
    return sorted(int(n[5:-4]) for n in names if n.startswith("rank-") and n.endswith(".log") and n[5:-4].isdigit())


def read_log(root: UPath, name: str) -> bytes:
    """The whole of it; empty where there is none. Raises OSError."""
    return _old(root / FOLDER / f"{name}.log")


def _old(path: UPath) -> bytes:
    try:
        data: bytes = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[-2 * MOST :]


def _newest(data: bytes, most: int) -> bytes:
    """The last whole lines that `most` bytes hold."""
    if len(data) <= most:
        return data
    cut = data[-most:]
    return cut[cut.find(b"\n") + 1 :]


def _process() -> str:
    """Where Ray keeps the rest of what it prints."""
    logs = "/tmp/ray/session_latest/logs"
    return f"{os.getpid()} on {socket.gethostname()} (all of its output: {logs}/worker-*-{os.getpid()}.*)"
