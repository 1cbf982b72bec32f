"""An interrupted sweep loses nothing and repeats nothing: one Ctrl-C and three kills against one run left alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.sweeping import LIMIT, SMALL, Place, wait_for


@pytest.fixture(scope="module")
def left_alone(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = _place(tmp_path_factory.mktemp("alone"), small_world)
    assert place.gelo("run", "small.yaml") == 0, place.log()
    return place


def test_ctrl_c_and_three_kills_change_no_digit_and_no_metric(
    left_alone: Place, small_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = _place(tmp_path_factory.mktemp("interrupted"), small_world)

    def done(pattern: str) -> int:
        return len(list(place.sweep.glob(pattern)))

    def embedded() -> int:
        return len(list(place.cache.glob("embeddings/*/*/*/*.npy")))

    process = place.start("run", "small.yaml")
    wait_for(lambda: done("trials/*/checkpoints/epoch-*/DONE") > 0, process, "checkpoint")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    assert process.wait(LIMIT) == 130, place.log()
    assert "gelo resume small" in place.log()
    assert "Traceback" not in place.log()

    moments: list[tuple[str, Callable[[], bool]]] = [
        ("trained trial", lambda: done("trials/*/trained/DONE") > 0),
        ("embedding", lambda: embedded() > 20),
        ("result", lambda: done("trials/*/results/*/*.json") > 5),
    ]
    for what, happened in moments:
        process = place.start("resume", "small")
        wait_for(happened, process, what)
        process.kill()
        process.wait(LIMIT)
    assert place.gelo("resume", "small") == 0, place.log()

    assert place.tables() == left_alone.tables()
    same, other = place.metrics(), left_alone.metrics()
    assert same.keys() == other.keys()
    timed = {key for key in same if key[1] == "train/images_per_second"}
    assert {k: v for k, v in same.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    assert place.runs() == left_alone.runs()
    assert all(status == "FINISHED" for _, status in place.runs())


def test_a_finished_sweep_run_again_does_nothing(left_alone: Place) -> None:
    before, tables = left_alone.metrics(), left_alone.tables()
    files = {
        path: path.stat().st_mtime_ns
        for path in left_alone.sweep.rglob("*")
        if "report" not in path.parts and path.is_file()
    }
    marker = len(left_alone.log())
    assert left_alone.gelo("run", "small.yaml") == 0
    said = left_alone.log()[marker:]
    assert "train:" not in said and "embed:" not in said and "score:" not in said
    assert left_alone.metrics() == before
    assert left_alone.tables() == tables
    kept = ("sweep.json", ".lock")
    assert all(path.stat().st_mtime_ns == at for path, at in files.items() if path.name not in kept)


def test_a_merged_curve_costs_one_training(left_alone: Place) -> None:
    rows = {row["remedy"]: row for row in left_alone.tables()["gelo.csv"] if row["task"] == "faces"}
    assert len(rows) == 2
    trained = [key for key, name, _ in left_alone.metrics() if name == "train/loss"]
    assert len(set(trained)) == 2  # faces and morphs; the interpolation has no training curve


def test_evaluate_agrees_with_the_sweep(left_alone: Place) -> None:
    marker = len(left_alone.log())
    assert left_alone.gelo("evaluate", "mini-s", "--suite", "zero_shot") == 0, left_alone.log()
    said = left_alone.log()[marker:]
    baseline = next(row for row in left_alone.tables()["zero_shot.csv"] if row["task"] == "none")
    assert "MINIATURE" in said
    for name in ("shapes", "digits"):
        line = next(line for line in said.splitlines() if f"zero_shot/{name}/top1" in line)
        assert f" {baseline[name]} " in line


def _place(folder: Path, world: Path) -> Place:
    (folder / "small.yaml").write_text(SMALL)
    return Place(folder, world / "data", folder / "out" / "cache")
