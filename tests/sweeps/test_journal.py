"""Attempts of a trial and runs of a driver, as they are written, and what is made of them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from upath import UPath

from gelo.models.faults import Fault
from gelo.sweeps.state.beat import beaten
from gelo.sweeps.state.journal import FILE, Attempt, Attempts, journal, read_attempts, repeated
from gelo.sweeps.state.lease import LeaseLostError
from gelo.sweeps.state.logs import read_log
from gelo.sweeps.state.record import read_runs, recorded
from gelo.sweeps.terminal.progress import Display


def attempt(first: int, last: int, seconds: float, **more: object) -> Attempt:
    """Its first step begins 10 s after its start."""
    return Attempt(
        started=1000, began=1010, seen=1000 + seconds, from_step=first, to_step=last, steps=100, batch=8, **more
    )  # type: ignore[arg-type]


def test_an_attempt_is_written_as_it_goes_and_as_it_ended(tmp_path: Path) -> None:
    root = UPath(tmp_path / "trial")
    with journal(root, ranks=2, cpus=4, gpus=2) as own:
        own.step(30, 100, 8)
        own.step(31, 100, 8)
        own.write()
        (now,) = read_attempts(root)
        assert (now.how, now.ended, now.from_step, now.to_step, now.steps) == ("running", None, 30, 31, 100)
        own.now.how = "stopped"
    with pytest.raises(ZeroDivisionError), journal(root, ranks=1, cpus=1, gpus=0) as own:
        own.step(31, 100, 8)
        1 / 0  # noqa: B018
    first, second = read_attempts(root)
    assert (first.how, first.cpus, first.gpus, first.ranks) == ("stopped", 4, 2, 2)
    assert first.ended is not None and first.started <= first.ended
    assert (second.how, second.from_step) == ("failed", 31)


def test_what_is_damaged_or_strange_costs_the_history_alone(tmp_path: Path) -> None:
    root = UPath(tmp_path)
    for text in ("{", "[]", '{"attempts": [{"started": "yesterday"}]}', "[" * 9999):
        (root / FILE).write_text(text)
        assert read_attempts(root) == []
    (root / FILE).write_text(json.dumps({"attempts": [{"started": 1, "seen": 2, "of_a_later_gelo": 3}]}))
    assert read_attempts(root)[0].seconds == 1


def test_a_store_that_is_away_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with journal(UPath(tmp_path / "file" / "below"), ranks=1, cpus=1, gpus=0) as own:
        own.step(1, 2, 3)


def test_a_beat_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gelo.sweeps.state.beat._LAST", 0.2)
    free, began = threading.Event(), time.monotonic()
    with beaten(free.wait, 0.01):
        pass
    assert time.monotonic() - began < 5
    free.set()


def test_only_the_newest_attempts_are_kept(tmp_path: Path) -> None:
    many = Attempts(attempts=[Attempt(started=n, seen=n) for n in range(300)])
    (tmp_path / FILE).write_text(many.model_dump_json())
    with journal(UPath(tmp_path), ranks=1, cpus=1, gpus=0):
        pass
    kept = read_attempts(UPath(tmp_path))
    assert len(kept) == 200
    assert kept[0].started == 101 and kept[-2].started == 299


def test_pace_leaves_out_what_came_before_the_first_step() -> None:
    one = attempt(20, 40, 50)
    assert one.seconds == 50
    assert one.seconds_a_step == pytest.approx(40 / 20)
    assert one.images_per_second == pytest.approx(8 / 2)
    assert attempt(20, 20, 50).seconds_a_step is None


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ([(0, 50), (30, 80), (80, 100)], [20, 0, 0]),  # killed at 50 with a checkpoint at 30, stopped at 80
        ([(0, 50), (0, 100)], [50, 0]),  # killed before its first checkpoint
        ([(0, 50)], [0]),  # who knows yet
        ([(0, 90), (60, 70), (60, 100)], [30, 10, 0]),
        ([(40, 90), (0, 100)], [50, 0]),  # the checkpoint went: all is done again, of this attempt its own part
    ],
)
def test_work_that_is_done_again_is_what_no_checkpoint_held(steps: list[tuple[int, int]], lost: list[int]) -> None:
    """Step by step: one is repeated by an attempt where a later one did it too; counted by sets."""
    attempts = [attempt(first, last, 110) for first, last in steps]
    done = [set(range(first, last)) for first, last in steps]
    by_sets = [len(own & set().union(*done[place + 1 :])) for place, own in enumerate(done)]
    found = repeated(attempts)
    assert [count for count, _ in found] == lost == by_sets
    for each, (count, seconds) in zip(attempts, found, strict=True):
        assert seconds == pytest.approx(100 * count / (each.to_step - each.from_step))


def test_a_driver_records_its_stages_its_lines_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "hunter2-correct-horse")
    root, display = UPath(tmp_path / "sweep"), Display(Console(file=(tmp_path / "out").open("w")))
    with recorded(root, display) as record:
        for _ in range(2):  # two waves
            with display.stage("train", 2, "trials") as stage:
                stage.running = ("a", "b")
                stage.tick()
                record.write()
                (now,) = read_runs(root)
                assert (now.how, now.stage, now.running) == ("running", "train", ["a", "b"])
                stage.failed = 1
                stage.tick()
        display.say("[red]failed[/red] with hunter2-correct-horse")
    with pytest.raises(RuntimeError), recorded(root, display):
        raise RuntimeError("the end")
    first, second = read_runs(root)
    assert (first.how, second.how, first.stage) == ("ended", "failed", "")
    (row,) = first.stages
    assert (row.title, row.total, row.done, row.failed) == ("train", 4, 4, 2)
    said = read_log(root, "driver").decode()
    assert "failed with ***" in said and "RuntimeError: the end" in said and "train: 2 trials" in said
    assert display.lines == display.stages == []


def test_hours_are_told_by_a_clock_that_nobody_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's clock is set three hours forward, and a day back, while it trains."""
    real = time.time
    for shift in (3 * 3600.0, -86400.0):
        root = UPath(tmp_path / str(shift))
        with journal(root, ranks=1, cpus=1, gpus=1) as own:
            own.step(0, 100, 16)
            monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
            time.sleep(0.2)
            own.step(10, 100, 16)
        monkeypatch.setattr(time, "time", real)
        (made,) = read_attempts(root)
        assert 0.2 <= made.seconds < 5 and made.seconds_a_step is not None and 0.02 <= made.seconds_a_step < 0.5


def test_a_beat_that_lost_its_lease_is_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def lost() -> None:
        raise LeaseLostError("sweep", Fault("here", "led by another", "this one"))

    with beaten(lost, 0.01):
        time.sleep(0.1)
    assert capfd.readouterr().err == ""
