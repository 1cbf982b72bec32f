"""The tracker on a real SQLite store and a real `mlflow server`: replayed, killed with -9, given what is refused."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from gelo.models.faults import UserError
from gelo.sweeps.tracking.logged import Metric
from gelo.sweeps.tracking.store import experiment_page, resolve_uri, ui_command
from gelo.sweeps.tracking.tracker import Tracker
from gelo.sweeps.tracking.values import Scalar

pytestmark = pytest.mark.slow

TRIALS = 5
RESULTS = [Metric(f"zero_shot/set_{i}/top1", i / 200) for i in range(120)]
LOSSES = [Metric("train/loss", 1 / (step + 1), step) for step in range(1100)]  # over one batch
PARAMS: dict[str, Scalar] = {
    "backbone": "mini-s",
    "rank": 8,
    "rate": 1e-5,
    "flip": True,
    "note": "",
    "prompts": "a photo of a {}. " * 60,
}


def write_everything(uri: str, experiment: str = "kills") -> None:
    """A whole sweep's log, announced line by line; run as a script, so that it can be killed."""
    tracker = Tracker(uri, experiment)
    parent = tracker.ensure_sweep("kills", '{"name": "kills"}')
    for key in range(TRIALS):
        print(f"trial {key}", flush=True)
        run = tracker.ensure_trial(parent, f"key{key}", PARAMS, {"gelo.scale": "miniature"})
        tracker.log(run, RESULTS + LOSSES)
        tracker.finish(run, "FINISHED")
    tracker.finish(parent, "FINISHED")


if __name__ == "__main__":
    write_everything(sys.argv[1])
    sys.exit()


@dataclass
class Store:
    uri: str
    database: Path
    server: int = 0  # process group

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def steps(self, run: str) -> set[tuple[str, int]]:
        """Every (metric, step) of a run, the replaced rows too."""
        return set(self.rows(f"select key, step from metrics where run_uuid = '{run}'"))


@pytest.fixture(scope="module")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("sqlite")
    store = Store(f"sqlite:///{folder}/out/mlflow.db", folder / "out" / "mlflow.db")
    Tracker(store.uri, "first")
    shutil.copy(store.database, folder / "empty.db")
    return store


@pytest.fixture(scope="module")
def http_store(sqlite_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from benchmarks.served import (
        free_port,
        mlflow_server,
    )  # this file is a script too, which has no root to find it below

    folder, port = tmp_path_factory.mktemp("server"), free_port()
    database = folder / "mlflow.db"
    shutil.copy(sqlite_store.database.parent.parent / "empty.db", database)  # saves the server the making of a schema
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{database}",
        "--workers",
        "1",
    ]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    with mlflow_server(folder, command, port) as server:
        yield Store(f"http://127.0.0.1:{port}", database, server.pid)


@pytest.fixture(params=["sqlite", "http"])
def store(request: pytest.FixtureRequest) -> Store:
    chosen: Store = request.getfixturevalue(f"{request.param}_store")
    return chosen


def of_experiment(name: str) -> str:
    experiment = f"(select experiment_id from experiments where name = '{name}')"
    return f"r.lifecycle_stage = 'active' and r.experiment_id = {experiment}"


def test_replay_changes_nothing(store: Store) -> None:
    def log_all() -> tuple[str, str, int]:
        tracker = Tracker(store.uri, "replay")
        parent = tracker.ensure_sweep("replay", '{"name": "replay"}', {"git": "abc"})
        run = tracker.ensure_trial(parent, "0123456789ab", PARAMS, {"gelo.sweep": "replay"}, name="mini-s faces lora")
        written = tracker.log(run, RESULTS[:60]) + tracker.log(run, RESULTS)
        tracker.finish(run, "FINISHED")
        return parent, run, written

    def everything() -> list[list[tuple[object, ...]]]:
        tables = ("runs", "tags", "params", "metrics", "latest_metrics")
        return [sorted(store.rows(f"select * from {table}"), key=repr) for table in tables]

    parent, run, written = log_all()
    assert written == len(RESULTS)
    before = everything()
    assert log_all() == (parent, run, 0)
    assert everything() == before
    assert store.steps(run) == {(metric.name, 0) for metric in RESULTS}
    ((status, name),) = store.rows(f"select status, name from runs where run_uuid = '{run}'")
    assert (status, name) == ("FINISHED", "mini-s faces lora")
    assert store.rows(f"select value from tags where run_uuid = '{run}' and key = 'mlflow.parentRunId'") == [(parent,)]


def test_gaps_are_filled_and_a_changed_value_is_written_at_its_step(store: Store) -> None:
    tracker = Tracker(store.uri, "gaps")
    run = tracker.ensure_trial(tracker.ensure_sweep("gaps", "{}"), "key", {})
    assert tracker.log(run, [LOSSES[1], LOSSES[5]]) == 2
    assert tracker.log(run, [LOSSES[1], LOSSES[5]]) == 0
    assert tracker.log(run, LOSSES[:8] + LOSSES[:2]) == 6
    found = store.rows(f"select step, value, timestamp from metrics where run_uuid = '{run}' order by step")
    start = store.rows(f"select start_time from runs where run_uuid = '{run}'")[0][0]
    assert found == [(step, value, start + step) for _, value, step in LOSSES[:8]]
    changed = Metric("train/loss", 9.0, 5)
    assert [tracker.log(run, [*LOSSES[:5], changed]) for _ in range(2)] == [1, 0]
    query = f"select value, timestamp from metrics where run_uuid = '{run}' and step = 5 order by timestamp"
    assert store.rows(query) == [(LOSSES[5].value, start + 5), (9.0, start + 6)]
    assert tracker.log(run, LOSSES[:8]) == 1, "the old value again"


def test_mlflow_shows_what_the_files_say_now_whatever_was_recomputed(store: Store) -> None:
    """Values that change, go back, are defined no more and come again: each time the client reads what was last said, at step 0."""
    from mlflow import MlflowClient

    client, tracker = MlflowClient(tracking_uri=store.uri), Tracker(store.uri, "current")
    run = tracker.ensure_trial(tracker.ensure_sweep("current", "{}"), "key", {})
    kept = [Metric("train/loss", 0.5, 3), Metric("zero_shot/other/top1", 0.1)]
    for value in (0.75, 0.25, 0.75, None, None, 0.75, 0.0, None):
        said = kept if value is None else [*kept, Metric("zero_shot/mine/top1", value)]
        tracker.log(run, said, whole=("zero_shot/",))
        assert tracker.log(run, said, whole=("zero_shot/",)) == 0, "a replay writes nothing"
        found = client.get_run(run).data.metrics
        assert {name: found[name] for name in ("train/loss", "zero_shot/other/top1")} == {
            "train/loss": 0.5,
            "zero_shot/other/top1": 0.1,
        }
        assert math.isnan(found["zero_shot/mine/top1"]) if value is None else found["zero_shot/mine/top1"] == value
    assert {step for name, step in store.steps(run) if name != "train/loss"} == {0}
    assert store.rows(f"select count(*) from metrics where run_uuid = '{run}' and key = 'zero_shot/mine/top1'") == [
        (7,)
    ]


def test_numbers_of_an_older_gelo_are_mended_where_they_stand(store: Store) -> None:
    """It logged a result at its protocol's version and an average at its number of sets, and let the first value stay."""
    from mlflow import MlflowClient

    client, tracker = MlflowClient(tracking_uri=store.uri), Tracker(store.uri, "older")
    run = tracker.ensure_trial(tracker.ensure_sweep("older", "{}"), "key", {})
    for name, value, step in (
        ("zero_shot/mine/top1", 0.8333, 3),
        ("zero_shot/mean/top1", 0.9027, 11),
        ("gelo/probe", 0.9, 9),
    ):
        client.log_metric(run, name, value, step=step, timestamp=client.get_run(run).info.start_time + step)
    said = [
        Metric("zero_shot/mine/top1", 0.5),
        Metric("zero_shot/mean/top1", 0.8723),
        Metric("zero_shot/new/top1", 0.3),
    ]
    assert tracker.log(run, said, whole=("zero_shot/", "gelo/")) == 4
    assert tracker.log(run, said, whole=("zero_shot/", "gelo/")) == 0
    found = client.get_run(run).data.metrics
    assert {name: found[name] for name, *_ in said} == {name: value for name, value, _ in said}
    assert math.isnan(found["gelo/probe"])


def test_two_that_write_a_changed_value_at_once_write_one_row() -> None:
    from gelo.sweeps.tracking.logged import Row, new_rows

    last = [Row("zero_shot/mine/top1", 0.75, 1_000, 0)]
    assert new_rows({("zero_shot/mine/top1", None): 0.5}, last, [], 1_000) == [
        Row("zero_shot/mine/top1", 0.5, 1_001, 0)
    ]
    assert new_rows({("zero_shot/mine/top1", None): 0.75}, last, [], 1_000) == []


def test_tags_of_gelo_are_current_and_those_of_others_stay(sqlite_store: Store) -> None:
    from mlflow import MlflowClient

    client, tracker = MlflowClient(tracking_uri=sqlite_store.uri), Tracker(sqlite_store.uri, "tags")
    parent = tracker.ensure_sweep("tags", "{}")
    run = tracker.ensure_trial(parent, "key", {}, {"gelo.vision": "old", "mine": "first"}, name="a name")
    client.set_tag(run, "mlflow.runName", "a user's own name")
    tracker.ensure_trial(parent, "key", {}, {"gelo.vision": "new", "mine": "second"}, name="a name")
    tags = client.get_run(run).data.tags
    assert (tags["gelo.vision"], tags["mine"], tags["mlflow.runName"]) == ("new", "first", "a user's own name")


def test_kill_9_then_replay_gives_each_metric_once(store: Store) -> None:
    for moment, trial in [(2, 1)] if store.uri.startswith("http") else [(0, 0), (1, 3)]:
        with subprocess.Popen([sys.executable, __file__, store.uri], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert any(line == f"trial {trial}\n" for line in writer.stdout)
            time.sleep(0.03 * moment)  # before, in and after the first batch of the trial
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
    write_everything(store.uri)
    counts = store.rows(
        f"""select r.run_uuid, m.key, m.step, count(*) from metrics m join runs r on m.run_uuid = r.run_uuid
        where {of_experiment("kills")} group by r.run_uuid, m.key, m.step"""
    )
    assert len(counts) == TRIALS * (len(RESULTS) + len(LOSSES))
    assert {count for *_, count in counts} == {1}
    states = store.rows(f"select status, count(*) from runs r where {of_experiment('kills')} group by status")
    assert states == [("FINISHED", TRIALS + 1)]


def test_two_writers_at_once_agree_on_one_run(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": tmp_path}
    both = [subprocess.Popen([sys.executable, __file__, uri], **pipes) for _ in range(2)]
    for writer in both:
        said, _ = writer.communicate(timeout=120)
        assert (writer.returncode, said) == (0, "".join(f"trial {key}\n" for key in range(TRIALS))), (
            said
        )  # MLflow is quiet
    assert not (tmp_path / "mlruns").exists()
    write_everything(uri)
    store = Store(uri, tmp_path / "new" / "mlflow.db")
    assert store.rows(f"select count(*) from runs r where {of_experiment('kills')}") == [(TRIALS + 1,)]


def test_params_are_written_once_and_long_ones_are_files(store: Store) -> None:
    from mlflow import MlflowClient
    from mlflow.artifacts import load_text

    tracker = Tracker(store.uri, "params")
    parent = tracker.ensure_sweep("params", '{"a": 1}')
    run = tracker.ensure_trial(parent, "key", PARAMS)
    assert tracker.ensure_trial(parent, "key", {**PARAMS, "rank": 16, "seed": 0}, {"late": "yes"}) == run
    client = MlflowClient(tracking_uri=store.uri)
    found = client.get_run(run).data
    prompts = str(PARAMS["prompts"])
    texts = {"backbone": "mini-s", "rank": "8", "rate": "1e-05", "flip": "true", "note": "", "seed": "0"}
    assert found.params == {**texts, "prompts": f"artifact params/prompts.txt, {len(prompts)} characters"}
    assert found.tags["late"] == "yes" and found.tags["gelo.role"] == "trial"
    os.environ["MLFLOW_TRACKING_URI"] = store.uri
    try:
        assert load_text(f"runs:/{run}/params/prompts.txt") == prompts
        tracker.ensure_sweep("params", '{"a": 2}')
        assert load_text(f"runs:/{parent}/sweep.json") == '{"a": 2}'
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_special_values_are_refused_before_anything_is_written(sqlite_store: Store, value: float) -> None:
    tracker = Tracker(sqlite_store.uri, "special")
    run = tracker.ensure_trial(tracker.ensure_sweep("special", "{}"), "key", {})
    with pytest.raises(ValueError, match="train/loss at step 3"):
        tracker.log(run, [RESULTS[0], Metric("train/loss", value, 3)])
    assert sqlite_store.steps(run) == set()


@pytest.mark.parametrize("name", ["a@b", "a=b", "a%", "", "/a", "a//b", "a/../b", ".", "a b", "x" * 251, "é"])
def test_illegal_names_are_refused(sqlite_store: Store, name: str) -> None:
    tracker = Tracker(sqlite_store.uri, "names")
    parent = tracker.ensure_sweep("names", "{}")
    run = tracker.ensure_trial(parent, "key", {})
    with pytest.raises(ValueError, match="is no MLflow name"):
        tracker.log(run, [RESULTS[0], Metric(name, 0.5)])
    with pytest.raises(ValueError, match="is no MLflow name"):
        tracker.ensure_trial(parent, "key", {name: 1})
    assert sqlite_store.steps(run) == set()


def test_contradictions_are_refused(sqlite_store: Store) -> None:
    tracker = Tracker(sqlite_store.uri, "contradictions")
    run = tracker.ensure_trial(tracker.ensure_sweep("contradictions", "{}"), "key", {})
    with pytest.raises(ValueError, match="two values at step 0"):
        tracker.log(run, [Metric("a", 0.1), Metric("a", 0.2)])
    with pytest.raises(ValueError, match="steps are >= 0"):
        tracker.log(run, [Metric("a", 0.1, -1)])


def test_a_failed_run_can_end_well_later(sqlite_store: Store) -> None:
    tracker = Tracker(sqlite_store.uri, "ends")
    run = tracker.ensure_trial(tracker.ensure_sweep("ends", "{}"), "key", {})
    query = f"select status from runs where run_uuid = '{run}'"
    tracker.finish(run, "FAILED")
    assert sqlite_store.rows(query) == [("FAILED",)]
    assert tracker.log(run, RESULTS[:3]) == 3
    tracker.finish(run, "FINISHED")
    assert sqlite_store.rows(query) == [("FINISHED",)]


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("out/mlruns", "file store"),
        ("file:///tmp/mlruns", "file store"),
        ("", "file store"),
        ("sqlite:///", "start a server"),
        ("postgresql://me:secret@db/mlflow", "start a server"),
    ],
)
def test_other_stores_are_refused_without_telling_passwords(uri: str, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        Tracker(uri, "x")
    assert "secret" not in str(caught.value)


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="a folder to write to"):
        Tracker(f"sqlite:///{tmp_path}/file/mlflow.db", "x")
    with pytest.raises(UserError, match="no MLflow database"):
        Tracker(f"sqlite:///{tmp_path}/file", "x")
    with pytest.raises(UserError, match=r"MLflow server at 127\.0\.0\.1"):
        Tracker("http://me:secret@127.0.0.1:9", "x")


def test_a_deleted_experiment_is_named(sqlite_store: Store) -> None:
    from mlflow import MlflowClient

    tracker = Tracker(sqlite_store.uri, "deleted")
    MlflowClient(tracking_uri=sqlite_store.uri).delete_experiment(tracker.experiment_id)
    with pytest.raises(UserError, match=f"restore --experiment-id {tracker.experiment_id}"):
        Tracker(sqlite_store.uri, "deleted")


def test_what_a_killed_migration_left_does_no_harm(tmp_path: Path) -> None:
    for name in (".partial-mlflow.db", ".partial-mlflow.db-journal"):
        (tmp_path / name).write_bytes(b"half")
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", "x")
    assert tracker.ensure_sweep("x", "{}")
    assert {entry.name for entry in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "mlflow-artifacts"}


def test_an_older_schema_is_upgraded_and_kept(tmp_path: Path) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
    from mlflow.store.tracking.dbmodels.initial_models import Base

    database = tmp_path / "mlflow.db"
    engine = create_sqlalchemy_engine(f"sqlite:///{database}")
    config = _get_alembic_config(f"sqlite:///{database}")
    scripts = ScriptDirectory.from_config(config)
    older = scripts.get_revision(scripts.get_heads()[0]).down_revision
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(older))
        connection.exec_driver_sql(
            f"insert into experiments (name, lifecycle_stage, artifact_location) values ('old', 'active', '{tmp_path}')"
        )
    engine.dispose()
    tracker = Tracker(f"sqlite:///{database}", "old")
    assert tracker.ensure_sweep("old", "{}")
    assert Store("", database).rows("select count(*) from experiments where name = 'old'") == [(1,)]
    assert (tmp_path / f"mlflow.db.before-{older}").stat().st_size


def test_a_newer_schema_is_refused(tmp_path: Path, sqlite_store: Store) -> None:
    database = tmp_path / "mlflow.db"
    shutil.copy(sqlite_store.database, database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        connection.commit()
    with pytest.raises(UserError, match="schema ffffffffffff"):
        Tracker(f"sqlite:///{database}", "x")


def test_uri_and_ui(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sqlite_store.database.parent.parent)
    assert resolve_uri("sqlite:///out/mlflow.db") == sqlite_store.uri
    line = ui_command("sqlite:///out/mlflow.db", port=5001)
    assert line[1:4] == ["-m", "mlflow", "server"] and line[line.index("--host") + 1] == "127.0.0.1"
    assert line[line.index("--backend-store-uri") + 1] == sqlite_store.uri
    with pytest.raises(UserError, match=r"open http://tracking.example:5000") as caught:
        ui_command("http://me:secret@tracking.example:5000")
    assert "secret" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        ui_command("sqlite:///nowhere.db")


def test_a_run_lasts_as_long_as_its_training(store: Store) -> None:
    from mlflow import MlflowClient

    client, tracker = MlflowClient(tracking_uri=store.uri), Tracker(store.uri, "lasting")
    parent = tracker.ensure_sweep("lasting", "{}")
    for _ in range(2):  # a replay moves neither end
        run = tracker.ensure_trial(parent, "abc", {"seed": 0}, started=1_700_000_000.0)
        tracker.finish(run, "FINISHED", 1_700_000_090.5)
        info = client.get_run(run).info
        assert (info.start_time, info.end_time) == (1_700_000_000_000, 1_700_000_090_500)


def test_the_pages_open_on_the_runs_of_a_sweep(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = Tracker(uri, "first").experiment_id
    assert (
        experiment_page(uri, None)
        == experiment_page(uri, "first")
        == f"/#/experiments/{first}/runs?workflowType=machine_learning"
    )
    second = Tracker(uri, "second").experiment_id
    assert experiment_page(uri, "second") == f"/#/experiments/{second}/runs?workflowType=machine_learning"
    assert experiment_page(uri, None) == ""
    with pytest.raises(UserError, match="nearest: second"):
        experiment_page(uri, "secnd")
    (tmp_path / "empty?.db").touch()
    with pytest.raises(UserError, match="no such table"):
        experiment_page(f"sqlite:///{tmp_path / 'empty?.db'}", None)


def test_a_server_that_is_gone_is_one_message_and_how_to_go_on(
    http_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test: it kills the server."""
    tracker = Tracker(http_store.uri, "gone")
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) < 7, "MLflow's own number takes four minutes"
    run = tracker.ensure_trial(tracker.ensure_sweep("gone", "{}"), "key", {})
    os.killpg(http_store.server, signal.SIGKILL)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    calls: list[Callable[[], object]] = [
        lambda: tracker.log(run, [Metric("a/b", 0.5)]),
        lambda: tracker.ensure_sweep("gone", "{}"),
        lambda: tracker.ensure_trial(run, "key", {}),
        lambda: tracker.finish(run, "FINISHED"),
        lambda: tracker.keep(run, UPath(http_store.database.parent), "report"),
    ]
    for call in calls:
        with pytest.raises(UserError, match=r"MLflow server at 127\.0\.0\.1.*resume the sweep"):
            call()
