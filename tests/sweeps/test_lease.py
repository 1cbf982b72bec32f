"""One driver a sweep: two at once, one that is killed, one that is stopped and woken, clocks that are off; here and on S3."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.faults import UserError
from gelo.sweeps.state import lease
from gelo.sweeps.state.holder import Files, Holder, holder, node
from gelo.sweeps.state.lease import LeaseLostError, follow, leading
from tests.s3 import Door

SILENCE = 6.0  # seconds, of a lease in these tests


class Driver:
    """Another process that leads, or asks to."""

    def __init__(self, root: UPath, name: str, skew: float = 0.0, last: int | None = None) -> None:
        environment = {**os.environ, lease.SETTING: str(SILENCE)}
        command = [sys.executable, "-m", "tests.sweeps.leading", str(root), str(skew), name]
        command += [] if last is None else [str(last)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2]
        )  # fmt: skip
        self.lines: list[str] = []

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        self.lines.append(self.process.stdout.readline().strip())
        return self.lines[-1]

    def end(self) -> tuple[int, str]:
        """Its exit code and the rest of what it said, once it has been told to end."""
        rest, _ = self.process.communicate(timeout=120)
        return self.process.returncode, rest


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UPath]:
    monkeypatch.setenv(lease.SETTING, str(SILENCE))
    yield (request.getfixturevalue("bucket") if request.param == "s3" else UPath(tmp_path)) / "mine"


both = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


@both
def test_a_second_driver_is_refused_and_told_who_leads(root: UPath) -> None:
    assert holder(root) is None
    with leading(root, "mine"):
        led = holder(root)
        assert led is not None and led.pid == os.getpid() and led.process() == "running"
        told: list[str] = []
        refused = f"process {os.getpid()} on .*, since 20.*one at a time; gelo status mine"
        with pytest.raises(UserError, match=refused), leading(root, "mine", told.append):
            raise AssertionError
        deadline = time.monotonic() + 60
        while (now := holder(root)) is None or now.beat == 0:
            assert time.monotonic() < deadline, "no beat"
            time.sleep(0.1)
    assert holder(root) is None
    with pytest.raises(KeyboardInterrupt), leading(root, "mine"):
        raise KeyboardInterrupt
    assert holder(root) is None, "given up on Ctrl-C too"


@both
def test_a_beat_that_is_on_its_way_does_not_bring_the_lease_back(root: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = lease._Lease(root, "mine", SILENCE)
    mine.acquire(lambda text: None)
    write, begun = mine.files.write, threading.Event()

    def slowly(holder: Holder) -> None:
        begun.set()
        time.sleep(0.5)
        write(holder)

    monkeypatch.setattr(mine.files, "write", slowly)
    beat = threading.Thread(target=mine.beat)
    beat.start()
    begun.wait()
    mine.release()
    beat.join()
    mine.beat()
    assert holder(root) is None


@both
def test_of_many_that_ask_at_once_one_leads(root: UPath) -> None:
    """Eight ask for the lease of one that is gone; the others find that one beats."""
    files = Files(root)
    files.create(Holder(1, "before", "elsewhere", 1, "2020-01-01T00:00:00+00:00"))
    won, refused, all_there = [], [], threading.Barrier(8)

    def ask() -> None:
        mine = lease._Lease(root, "mine", 6.0)
        all_there.wait()
        try:
            mine.acquire(lambda text: None)
            won.append(mine)
            for _ in range(20):
                mine.beat()
                time.sleep(0.2)
        except UserError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lasting = [each for each in won if (led := holder(root)) is not None and led.owner == each.mine.owner]
    assert len(lasting) == 1 and len(won) + len(refused) >= 8
    assert all(isinstance(each, LeaseLostError) or "another gelo" in str(each) for each in refused)


@both
@pytest.mark.parametrize("skew", [300.0, -300.0])
def test_clocks_that_are_off_change_nothing(root: UPath, skew: float) -> None:
    driver = Driver(root, "first", skew)
    assert driver.line() == "leads"
    with pytest.raises(UserError, match="another gelo is running"), leading(root, "mine"):
        raise AssertionError
    assert driver.end()[0] == 0 and holder(root) is None


@both
def test_of_a_killed_driver_the_lease_is_free_at_once_here_and_later_elsewhere(
    root: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(root, "first")
    assert driver.line() == "leads"
    driver.process.kill()
    driver.process.wait()
    told: list[str] = []
    with leading(root, "mine", told.append):
        assert told == [], "nothing is waited for"
    killed = Holder(3, "other", "another-host", 4, "2026-01-01T00:00:00+00:00", "another-host boot pid", "17")
    Files(root).create(killed)
    began = time.monotonic()
    with leading(root, "mine", told.append):
        waited = time.monotonic() - began
        led = holder(root)
        assert led is not None and (led.number, led.pid) == (4, os.getpid())
    assert SILENCE - 2.5 <= waited <= SILENCE + 20, "S3's times are whole seconds"
    assert "led by process 4 on another-host" in told[0] and "taking over" in told[-1]


@both
def test_a_driver_that_was_stopped_and_is_woken_writes_nothing_more(root: UPath) -> None:
    driver = Driver(root, "first", last=3)
    assert driver.line() == "leads"
    _, status = os.waitpid(driver.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    with leading(root, "mine") as token:
        before = (root / "first.txt").read_bytes()
        assert before == b"3"
        os.kill(driver.process.pid, signal.SIGCONT)
        assert driver.process.wait(60) in (1, 3)
        assert (root / "first.txt").read_bytes() == before
        said = driver.end()[1]
        assert f"led by another gelo now (process {os.getpid()} on" in said, said
        led = holder(root)
        assert led is not None and led.owner == token["owner"], "and the lease is not touched"


@both
def test_who_was_stopped_while_it_said_so_sees_that_another_came_and_went(root: UPath) -> None:
    """What it then writes brings its own file back, and does not hide the other's."""
    first = lease._Lease(root, "mine", SILENCE)
    first.acquire(lambda text: None)
    files = Files(root)
    other = lease._Lease(root, "mine", SILENCE)
    files.write(Holder(1, first.mine.owner, "another-host", 4, first.mine.since, "elsewhere", "17"))
    for _ in range(2):
        other.files.silent = lambda number: 2 * SILENCE  # type: ignore[method-assign]
        other.acquire(lambda text: None)
        other.release()
        assert holder(root) is None
    files.write(first.mine)
    with pytest.raises(LeaseLostError, match="led by another gelo since"):
        first.beat()


@both
def test_workers_stop_with_their_driver(root: UPath) -> None:
    key = lease._key(root)
    with leading(root, "mine") as token:
        follow(root, token)
        publish_bytes(root / "mine.txt", b"1")
        assert lease.fence._guards[key] is not None
        follow(root, {**token, "owner": "another's"})
        with pytest.raises(LeaseLostError, match=f"process {os.getpid()}"):
            publish_bytes(root / "mine.txt", b"2")
        follow(root, None)
    assert (root / "mine.txt").read_bytes() == b"1"
    follow(root, token)
    try:
        with pytest.raises(LeaseLostError, match="its lease is gone"):
            publish_bytes(root / "mine.txt", b"3")
    finally:
        follow(root, None)


def test_a_driver_goes_on_after_an_outage_longer_than_its_lease(
    door: Door, bucket: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody else could take over, nobody has."""
    monkeypatch.setenv(lease.SETTING, "4")
    with leading(bucket, "mine"):
        publish_bytes(bucket / "a.txt", b"1")
        with door.away(6.0):
            time.sleep(3.0)
            publish_bytes(bucket / "a.txt", b"2")
        assert (bucket / "a.txt").read_bytes() == b"2"
    assert holder(bucket) is None


@pytest.mark.parametrize("given", ["soon", "0", "-3", "nan", "inf", "1e9"])
def test_a_time_that_is_none_is_told(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lease.SETTING, given)
    with pytest.raises(UserError, match="seconds above 0"), leading(UPath(tmp_path), "mine"):
        raise AssertionError


def test_a_lease_that_is_no_lease_is_followed(tmp_path: Path) -> None:
    for number, content in enumerate(("", "[]", json.dumps({"number": 1}), "\x00"), 1):
        publish_bytes(tmp_path / ".lease" / f"{number:08d}.json", content.encode())
    with leading(UPath(tmp_path), "mine"):
        led = holder(UPath(tmp_path))
        assert led is not None and led.number == 5


def test_a_clock_that_was_set_forward_takes_no_lease_from_who_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All leases look old then; the next beat says otherwise, and is waited for."""
    monkeypatch.setenv(lease.SETTING, str(SILENCE))
    root = UPath(tmp_path) / "mine"
    monkeypatch.setattr(Files, "silent", lambda self, number: 10 * SILENCE)
    with leading(root, "mine"):
        told: list[str] = []
        began = time.monotonic()
        with pytest.raises(UserError, match="one at a time"), leading(root, "mine", told.append):
            raise AssertionError
        assert time.monotonic() - began < SILENCE and not any("taking over" in line for line in told)


def test_a_process_that_the_system_hides_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc is mounted with hidepid=2: another user's process has no entry, and is there."""
    seen = Holder(1, "owner", "host", 4711, "now", node(), "12345")
    monkeypatch.setattr("gelo.sweeps.state.holder._state", lambda pid: ("", ""))

    def kill(error: type[OSError]) -> None:
        def killed(pid: int, number: int) -> None:
            raise error

        monkeypatch.setattr(os, "kill", killed)

    kill(PermissionError)
    assert seen.process() == "elsewhere"
    kill(ProcessLookupError)
    assert seen.process() == "gone"


def test_a_file_system_without_hard_links_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UserError, match="has no hard links"), leading(UPath(tmp_path) / "mine", "mine"):
        raise AssertionError
