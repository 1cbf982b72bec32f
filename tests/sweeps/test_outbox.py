"""From the spool to a real SQLite store: killed at any write, emptied, put back, exchanged, and asked when nothing is to be done."""

from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from gelo.sweeps.tracking.logged import Metric
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.spool import Spool
from tests.sweeps.killed import ROWS, RUNS, WRITES, asked, by_experiment, metrics

pytestmark = pytest.mark.slow


def select(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a run: its schema takes seconds to make."""
    folder = tmp_path_factory.mktemp("empty")
    Outbox(Spool(UPath(folder / "spool")), f"sqlite:///{folder}/mlflow.db", "other").open()
    return folder / "mlflow.db"


class World:
    """One sweep's spool, and databases by name."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.folder, self.empty = folder, empty

    def box(self, database: str = "mlflow", spool: str = "spool") -> Outbox:
        if not self.path(database).exists():
            shutil.copy(self.empty, self.path(database))
        return Outbox(Spool(UPath(self.folder / spool)), f"sqlite:///{self.path(database)}", "sweep")

    def path(self, database: str) -> Path:
        return self.folder / f"{database}.db"

    def rows(self, database: str = "mlflow") -> list[tuple[Any, ...]]:
        return by_experiment(select(self.path(database), ROWS)).get("sweep", [])

    def runs(self, database: str = "mlflow") -> list[tuple[Any, ...]]:
        return by_experiment(select(self.path(database), RUNS)).get("sweep", [])


@pytest.fixture
def world(tmp_path: Path, empty: Path) -> World:
    return World(tmp_path, empty)


def logged(box: Outbox, *runs: Asked) -> int:
    sent = box.open()
    for run in runs:
        box.put(run)
    sent += box.send()
    assert box.away is None and box.waits() == ""
    return sent


@pytest.mark.parametrize("stride", [pytest.param(13), pytest.param(1, marks=pytest.mark.long)])
def test_kill_9_at_any_write_then_a_replay_gives_what_an_unharmed_run_gives(
    tmp_path: Path, empty: Path, stride: int
) -> None:
    database = tmp_path / "mlflow.db"
    shutil.copy(empty, database)
    command = [sys.executable, "-m", "tests.sweeps.killed", f"sqlite:///{database}", str(tmp_path), str(stride)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    killed = done.stdout.split()
    assert len(killed) > 40 / stride
    rows, runs = by_experiment(select(database, ROWS)), by_experiment(select(database, RUNS))
    assert len({tuple(row[:-1]) for row in rows["unharmed"]}) == len(rows["unharmed"]) > 2 * len(metrics(6))
    assert len({row[0] for row in runs["unharmed"]}) == 3
    for name in killed:
        assert rows[name] == rows["unharmed"], name
        assert runs[name] == runs["unharmed"], name


def test_a_store_that_lost_all_or_some_is_filled_again_from_the_spool(world: World) -> None:
    from mlflow import MlflowClient

    assert logged(world.box(), asked("one", metrics(3))) == 18
    shutil.copy(world.path("mlflow"), world.path("restored"))  # as it was put back from a copy of this moment
    runs = (asked("one", [*metrics(3), Metric("zero_shot/new/top1", 0.5)]), asked("two", metrics(2)))
    assert logged(world.box(), *runs) == 1 + 12
    whole = world.rows()
    assert logged(world.box(), *runs) == 0
    for database, lacks in (("emptied", 31), ("restored", 13)):
        assert world.box(database).open() == lacks, "before anything is asked: the spool knows"
        assert logged(world.box(database), *runs) == 0
        assert world.rows(database) == whole and world.runs(database) == world.runs()
    client = MlflowClient(tracking_uri=f"sqlite:///{world.path('restored')}")
    (experiment,) = client.search_experiments(filter_string="name = 'sweep'")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`gelo.trial` = 'two'")
    client.delete_run(run.info.run_id)
    assert logged(world.box("restored"), *runs) == 12
    assert world.rows("restored") == whole and logged(world.box(), *runs) == 0


def test_a_lost_or_damaged_spool_doubles_nothing(world: World) -> None:
    runs = [asked("one", metrics(3)), asked("two", metrics(2))]
    logged(world.box(), *runs)
    whole = world.rows()
    assert logged(world.box(spool="lost"), *runs) == 0
    assert logged(world.box(spool="lost"), asked("one", [*metrics(3), Metric("zero_shot/new/top1", 0.5)])) == 1
    index = world.folder / "spool" / "index.json"
    for content in (b"", b"\xff", b'{"runs": {"../../etc/passwd": {}}}', index.read_bytes()[:-9]):
        index.write_bytes(content)
        (world.folder / "spool" / "one.jsonl").write_bytes(content)
        logged(world.box(), *runs)
        now = world.rows()
        assert {row[:3] for row in now} == {row[:3] for row in whole} | {("one", "zero_shot/new/top1", 0)}
        assert logged(world.box(), *runs) == 0 and world.rows() == now


def test_runs_of_an_older_gelo_are_mended_where_they_stand(world: World) -> None:
    """They have no seal, and results at other steps than now."""
    from mlflow import MlflowClient

    box = world.box()
    logged(box)
    client = MlflowClient(tracking_uri=f"sqlite:///{world.path('mlflow')}")
    (experiment,) = client.search_experiments(filter_string="name = 'sweep'")
    run = client.create_run(
        experiment.experiment_id, start_time=5000, tags={"gelo.trial": "one", "gelo.role": "trial"}
    ).info.run_id
    for name, value, step in (
        ("zero_shot/set_1/top1", 0.9, 3), ("zero_shot/old/top1", 0.1, 3), ("train/loss", 1.0, 0), ("train/loss", 0.7, 9),
    ):  # fmt: skip
        client.log_metric(run, name, value, step=step, timestamp=5000 + step)
    assert logged(world.box(), asked("one", metrics(2))) == 2 + 1 + 9
    assert logged(world.box(), asked("one", metrics(2))) == 0
    found = client.get_run(run).data
    assert {name: found.metrics[name] for name in ("zero_shot/set_0/top1", "zero_shot/set_1/top1")} == {
        "zero_shot/set_0/top1": 0.0,
        "zero_shot/set_1/top1": 1 / 7,
    }
    assert math.isnan(found.metrics["zero_shot/old/top1"]) and found.params["rank"] == "8"
    assert [entry.value for entry in client.get_metric_history(run, "train/loss") if entry.step == 0] == [1.0]


def test_a_resume_with_nothing_to_do_asks_as_much_for_many_trials_as_for_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    calls: Counter[str] = Counter()

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return real(*args, **options)

        return call

    for name in (*WRITES, "get_run", "search_runs", "get_experiment_by_name", "get_metric_history", "delete_run"):
        monkeypatch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))

    def resumed(trials: int) -> Counter[str]:
        runs = [asked(f"key{number}", metrics(1)) for number in range(trials)]
        logged(world.box(), *runs)
        files = {path: path.stat().st_mtime_ns for path in (world.folder / "spool").iterdir()}
        calls.clear()
        assert logged(world.box(), *runs) == 0
        assert {path: path.stat().st_mtime_ns for path in (world.folder / "spool").iterdir()} == files
        return Counter(calls)

    few, many = resumed(2), resumed(12)
    assert few == many and sum(many.values()) <= 4, many
    assert not any(many[name] for name in (*WRITES, "get_metric_history"))
