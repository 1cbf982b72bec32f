"""One driver a sweep, wherever its storage is: who leads it says so there again and again; who has fallen silent is followed by another.

<sweep>/.lease/00000003.json     who leads; a driver that takes over makes the next number, which only one can (If-None-Match, or a link)

Decisions: no clock of a machine is compared with another's. Whoever asks for a held lease watches for its next beat by its own monotonic
clock, for as long as two of them take at the least; how long it was silent before is the difference of two times that the store gave, that
of the lease and that of a file written just now. A leader counts on its lease for half the time after which another may take it, then asks
before it writes: one that was stopped and woken writes nothing more. Its workers ask too (`follow`). What stays possible: a request that
was on its way when the leader was stopped.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from upath import UPath

from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.models.storage import away, fence
from gelo.sweeps.state.holder import Files, Holder, began_at, node

TAKEOVER = 300.0  # seconds of silence after which another driver may take over
SETTING = "GELO_LEASE_TAKEOVER"  # the same in the environment
_FOREVER = 30 * 86400.0  # seconds, of which no thread could wait a part
_BEATS = 15  # in that time
_FOLLOWS = 10  # times in it that a worker asks, where it writes all the while


class LeaseLostError(UserError):
    """Another driver leads the sweep: this one, or its worker, has written nothing since."""


def takeover() -> float:
    """Seconds: `TAKEOVER`, or what the environment says. Raises UserError for no number above 0."""
    given = os.environ.get(SETTING, "")
    try:
        if 0 < (seconds := float(given) if given else TAKEOVER) < _FOREVER:
            return seconds
    except ValueError:
        pass
    raise UserError("environment", Fault(SETTING, repr(given), "seconds above 0, such as 300"))


@contextmanager
def leading(root: UPath, name: str, say: Callable[[str], None] = lambda text: None) -> Iterator[dict[str, Any]]:
    """Lead the sweep `name` in the folder `root`; yields what its workers `follow`. Given up at the end, however it comes.

    Waits for a driver that has fallen silent, and says so. Raises UserError where another leads. Should another take over meanwhile, this
    process says it and ends at once, with exit code 1.
    """
    lease = _Lease(root, name, takeover())
    lease.acquire(say)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(lease.takeover / _BEATS):
            try:
                lease.beat()
            except LeaseLostError as error:
                if not over.is_set():
                    say(f"{error.faults[0]}")
                    os._exit(1)
            except (OSError, UserError):  # away: it is asked again before anything is written
                continue

    thread = threading.Thread(target=beat, daemon=True, name="lease")
    fence.guard(_key(root), lease.check)
    thread.start()
    try:
        yield {"number": lease.mine.number, "owner": lease.mine.owner, "takeover": lease.takeover, "name": name}
    finally:
        over.set()
        fence.guard(_key(root), None)
        lease.release()


def follow(root: UPath, token: Mapping[str, Any] | None) -> None:
    """From now on this process, a worker of the driver that `leading` gave the token, writes below `root` only while that one leads, and
    waits for storage as long as the token says."""
    if token is not None and "waits" in token:
        away.patient(token["waits"])
    if token is None:
        fence.guard(_key(root), None)
        return
    lease = _Lease(root, token["name"], token["takeover"], Holder(token["number"], token["owner"], "", 0, ""))
    lease.trusts = lease.takeover / _FOLLOWS
    fence.guard(_key(root), lease.check)


class _Lease:
    """One driver's, or as its worker knows it. first: whether it took it over from nobody. over: whether it was given up."""

    def __init__(self, root: UPath, name: str, seconds: float, mine: Holder | None = None) -> None:
        self.files, self.name, self.takeover, self.trusts = Files(root), name, seconds, seconds / 2
        now, pid = datetime.now(UTC).isoformat(timespec="seconds"), os.getpid()
        self.mine = mine or Holder(0, uuid.uuid4().hex, socket.gethostname(), pid, now, node(), began_at(pid))
        self.leads = self.first = mine is None
        self.over = False
        self.confirmed = float("-inf")
        self._turn = threading.Lock()

    def acquire(self, say: Callable[[str], None]) -> None:
        while True:
            numbers = self.files.numbers()
            if numbers:
                self._outlast(numbers[-1], say)
            before = _clock()
            self.mine = replace(self.mine, number=numbers[-1] + 1 if numbers else 1)
            if self.files.create(self.mine):
                self.confirmed, self.first, self.over = before, not numbers, False
                for number in numbers:
                    self.files.remove(number)
                return

    def _outlast(self, number: int, say: Callable[[str], None]) -> None:
        """Return once the lease is free: given up, of a dead process, or silent for long enough. Raises UserError where it is not."""
        seen = self.files.read(number)
        if seen is None or seen.process() == "gone":
            return
        began, told = _clock(), False
        silent = self.files.silent(number)
        if seen.process() == "running" and silent is not None and silent < 2 * self.takeover / _BEATS:
            raise self._refused(seen)
        least = 2 * self.takeover / _BEATS  # a store's clock that was set forward makes all leases look old
        while (quiet := (silent or 0.0) + (watched := _clock() - began)) < self.takeover or watched < least:
            if not told:
                left = (
                    f"up to {max(self.takeover - quiet, least):.0f} s for it to be heard of, to end or to stay silent"
                )
                say(f"sweep {self.name} is led by {seen}: waiting {left}")
                told = True
            time.sleep(min(self.takeover / _BEATS / 4, 5.0))
            now = self.files.read(number)
            if now is None or now.process() == "gone":
                return
            if now != seen:
                raise self._refused(now)
        say(f"{seen} has been silent for {quiet:.0f} s: taking over")

    def _refused(self, by: Holder) -> UserError:
        remedy = f"gelo status {self.name}; or end it there, and run this again"
        found = f"another gelo is running this sweep: {by}"
        return UserError(f"sweep {self.name}", Fault(str(self.files.root), found, "one at a time", remedy))

    def check(self) -> None:
        """Raise LeaseLostError where another leads; asked for only where the last answer is old."""
        if _clock() - self.confirmed > self.trusts:
            if self.leads:
                self.beat()
            else:
                self.confirmed = self._confirm()

    def beat(self) -> None:
        """Say that this driver is there. Raises LeaseLostError."""
        with self._turn:
            if self.over:
                return
            before = self._confirm()
            self.mine = replace(self.mine, beat=self.mine.beat + 1)
            self.files.write(self.mine)
            if _clock() - before > self.trusts:  # stopped in between: another may have come, and even have gone again
                before = self._confirm()
            self.confirmed = before

    def _confirm(self) -> float:
        """A time at which this lease was the last. Raises LeaseLostError where it is not."""
        before = _clock()
        last = self.files.last() or self.files.last()  # one may go while it is looked for
        if last is None or (last.number, last.owner) != (self.mine.number, self.mine.owner):
            raise self._lost(last)
        return before

    def _lost(self, by: Holder | None) -> LeaseLostError:
        found = f"led by another gelo {'since' if by.ended else 'now'} ({by})" if by else "its lease is gone"
        expected = f"a driver that is heard of at least every {self.takeover:.0f} s"
        remedy = f"nothing more is written from here; gelo status {self.name}"
        return LeaseLostError(f"sweep {self.name}", Fault(str(self.files.root), found, expected, remedy))

    def release(self) -> None:
        """Give the lease up, where it is still this driver's and storage answers. A beat that is on its way comes first."""
        if not self._turn.acquire(timeout=away.BRIEF):
            return  # that beat waits for storage
        self.over = True
        try:
            with suppress(OSError, UserError), away.waits(min(away.BRIEF, away.longest())):
                if _clock() - self.confirmed > self.trusts:
                    self._confirm()
                if self.first:
                    self.files.remove(self.mine.number)
                else:
                    self.files.write(replace(self.mine, ended=True))
        finally:
            self._turn.release()


def _key(root: UPath) -> str:
    return str(root) if is_local(root) else str(root.path)


def _clock() -> float:
    """Seconds that go on while this process is stopped or its machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
