"""What ends a command from outside: each signal has its exit code, says so in one line, and leaves nothing half made."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.sweeping import LIMIT, Place, wait_for
from tests.tasks.prepare.plain import tree

pytestmark = pytest.mark.slow

ONE = "name: small\nbackbones: [mini-s]\ntasks: {morphs: {adaptation: full, epochs: 40}}\nevaluate: [zero_shot]\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("signals")
    tree(folder / "photos", {"train": 120, "test": 120})
    return Place(folder, folder / "data", folder / "cache")


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_set_is_made_whole_or_not_at_all(place: Place, asked: signal.Signals) -> None:
    name = f"set_{asked.value}"
    process, marker = place.start("prepare", name, "--from", "photos", "--reader", "folder"), len(place.log())
    wait_for(lambda: (place.data / f".{name}.lock").exists(), process, "beginning")
    process.send_signal(asked)
    assert process.wait(LIMIT) == 128 + asked
    said = place.log()[marker:]
    assert "interrupted" in said and "Traceback" not in said
    assert not (place.data / name).exists()
    assert place.gelo("prepare", name, "--from", "photos", "--reader", "folder") == 0, place.log()


def test_an_evaluation_goes_on_from_the_cache(place: Place) -> None:
    assert place.gelo("prepare", "mine", "--from", "photos", "--reader", "folder") == 0
    words = ("evaluate", "mini-s", "--dataset", "mine", "--suite", "general")
    process, marker = place.start(*words), len(place.log())
    wait_for(lambda: any(place.cache.glob("decoded/*/*/*/*.npy")), process, "decoded images")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 128 + signal.SIGTERM
    said = place.log()[marker:]
    assert "interrupted; everything finished is saved" in said and "Traceback" not in said
    assert place.gelo(*words) == 0, place.log()


def test_a_second_signal_ends_at_once(small_world: Path, tmp_path: Path) -> None:
    """The first lets a trial save; whoever cannot wait says it again, and a resume still knows the last checkpoint."""
    (tmp_path / "small.yaml").write_text(ONE)
    place = Place(tmp_path, small_world / "data", small_world / "cache")
    process = place.start("run", "small.yaml")
    wait_for(lambda: any(place.sweep.glob("trials/*/checkpoints/epoch-*/DONE")), process, "checkpoint")
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: "once more to stop at once" in place.log(), process, "word of it")
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 128 + signal.SIGTERM, place.log()
    assert time.monotonic() - started < 60
    assert "gelo resume small" in place.log() and "Traceback" not in place.log()
    assert any(place.sweep.glob("trials/*/checkpoints/epoch-*/DONE"))
    assert not _alive(process.pid), "something of it lives on"


def _alive(session: int) -> list[str]:
    """Processes of a session that are no zombies."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = each.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(of) == session and state != "Z" and int(each.parent.name) != os.getpid():
            found.append((each.parent / "comm").read_text().strip())
    return found
