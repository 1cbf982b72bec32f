"""The files that say who leads a sweep, on any storage, and what a process of the same machine can tell of who wrote one."""

from __future__ import annotations

import errno
import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from upath import UPath

from gelo.models.durable import is_local, publish_bytes, remove
from gelo.models.faults import Fault, UserError
from gelo.models.storage import fence

_NO_LINKS = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """Who leads a sweep. number: of the lease; owner: this run alone; since: ISO 8601, UTC, by its own clock; beat: how often it said so.

    ended: given up; the file stays where it was taken over from another, who then sees that somebody came.
    node, began: what tells whether its process lives, to processes of the same machine.
    """

    number: int
    owner: str
    host: str
    pid: int
    since: str
    node: str = ""
    began: str = ""
    beat: int = 0
    ended: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def process(self) -> str:
        """How its process fares: running, stopped or gone; elsewhere, where this process cannot tell."""
        if self.ended:
            return "gone"
        if self.node != node() or not self.began:
            return "elsewhere"
        state, began = _state(self.pid)
        if not began and _lives(self.pid):  # of another user, whose processes this system hides
            return "elsewhere"
        if began != self.began or state in "ZX":
            return "gone"
        return "stopped" if state in "Tt" else "running"


def holder(root: UPath) -> Holder | None:
    """Who leads the sweep in the folder `root`, or led it and did not say that it ended; None where nobody does."""
    found = Files(root).last()
    return None if found is None or found.ended else found


class Files:
    """The files of a sweep's leases."""

    def __init__(self, root: UPath) -> None:
        self.root, self.folder = root, root / fence.LEASE

    def _at(self, number: int) -> UPath:
        return self.folder / f"{number:08d}.json"

    def numbers(self) -> list[int]:
        try:
            if is_local(self.folder):
                names = [entry.name for entry in self.folder.iterdir()]
            else:
                names = [str(each["name"]).rpartition("/")[2] for each in self.folder.fs.ls(self.folder.path)]
        except FileNotFoundError:
            return []
        return sorted(int(name[:8]) for name in names if name.endswith(".json") and name[:8].isdigit())

    def read(self, number: int) -> Holder | None:
        """None where it is gone, or cannot be what a gelo wrote."""
        try:
            return TypeAdapter(Holder).validate_json(self._at(number).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def last(self) -> Holder | None:
        """Who made the highest number."""
        numbers = self.numbers()
        return self.read(numbers[-1]) if numbers else None

    def create(self, holder: Holder) -> bool:
        """Whether the file is this holder's now: of several that make it at once, one's."""
        path, data = self._at(holder.number), json.dumps(asdict(holder)).encode()
        try:
            if is_local(path):
                beside = self.folder / f"{holder.owner}.asks"
                publish_bytes(beside, data)
                try:
                    os.link(str(beside), str(path))
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    fault = Fault(
                        str(self.root), "its file system has no hard links", "one that has, or an object store"
                    )
                    raise UserError("storage", fault) from None
                finally:
                    remove(beside)
            else:
                path.fs.pipe_file(path.path, data, mode="create")
        except FileExistsError:
            pass  # it may be its own, the answer to which was lost
        found = self.read(
            holder.number
        )  # asked for in any case: some stores do not know If-None-Match, and the last one wins
        return found is not None and found.owner == holder.owner

    def write(self, holder: Holder) -> None:
        publish_bytes(self._at(holder.number), json.dumps(asdict(holder)).encode())

    def remove(self, number: int) -> None:
        with suppress(FileNotFoundError):
            if is_local(self.folder):
                Path(str(self._at(number))).unlink()
            else:
                self.folder.fs.rm_file(self._at(number).path)

    def silent(self, number: int) -> float | None:
        """Seconds since the lease was written, by the store's own clock; None where it has none."""
        probe = self.folder / f"{uuid.uuid4().hex}.asks"
        try:
            publish_bytes(probe, b"")
            now, then = (_changed(each) for each in (probe, self._at(number)))
        except FileNotFoundError:
            return None
        finally:
            remove(probe)
        return None if now is None or then is None else max(0.0, now - then)


def _changed(path: UPath) -> float | None:
    if is_local(path):
        return Path(str(path)).stat().st_mtime
    info = path.fs.info(path.path)
    for name in ("LastModified", "mtime", "updated", "last_modified"):
        found = info.get(name)
        if isinstance(found, str):
            found = datetime.fromisoformat(found)
        if found:
            return found.timestamp() if isinstance(found, datetime) else float(found)
    return None


def node() -> str:
    """What processes share that can see each other by number: machine, its last start, and the container."""
    told = [socket.gethostname()]
    with suppress(OSError):
        told += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return " ".join(told)


def _state(pid: int) -> tuple[str, str]:
    """(state, when it began) of a process of this machine; empty where there is none, or where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]


def _lives(pid: int) -> bool:
    """Whether there is a process of that number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def began_at(pid: int) -> str:
    """When a process of this machine began, by its system's count; "" where the system does not tell."""
    return _state(pid)[1]
