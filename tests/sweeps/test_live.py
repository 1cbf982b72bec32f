"""Numbers that come while a trial trains are those that its files say later: none twice, none lost, whoever is killed in between."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from upath import UPath

from gelo.sweeps.stages.live import Live
from gelo.sweeps.tracking.logged import Metric, checked
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.spool import Spool
from tests.sweeps.tuned import trial

TRIAL = trial()
POINTS = [
    {"step": step, "images": 16 * step, "validation": 0.9 - step / 100, "test": 0.8, "sets": {"shapes": 0.7}}
    for step in (0, 4)
]


def row(epoch: int, points: int = 0) -> dict[str, Any]:
    told = {"epoch": epoch, "step": 4 * epoch, "loss": 1 / epoch, "loss_l2sp": 0.5, "images_per_second": 100.0 * epoch}
    return {"state": "running", **told, "seconds": 1.0, "points": POINTS[:points]}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a run: its schema takes seconds to make."""
    folder = tmp_path_factory.mktemp("empty")
    Outbox(Spool(UPath(folder / "spool")), f"sqlite:///{folder}/mlflow.db", "other").open()
    return folder / "mlflow.db"


@pytest.fixture
def box(tmp_path: Path, empty: Path) -> Outbox:
    shutil.copy(empty, tmp_path / "mlflow.db")
    made = Outbox(Spool(UPath(tmp_path / "spool")), f"sqlite:///{tmp_path}/mlflow.db", "live")
    made.open()
    return made


def live(box: Outbox, **more: Any) -> Live:
    return Live(box, {TRIAL.key: TRIAL}, {TRIAL.key: "a trial"}, {"gelo.sweep": "live"}, **more)


def rows(tmp_path: Path) -> tuple[str, str, list[tuple[str, int, float]]]:
    """Status and state of the trial's one run, and all that stands in its histories."""
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("live").experiment_id], "tags.`gelo.trial` != ''")
    (run,) = found
    names = run.data.metrics
    all_rows = [(m.key, m.step, m.value) for name in names for m in client.get_metric_history(run.info.run_id, name)]
    return run.info.status, run.data.tags["gelo.state"], sorted(all_rows)


def test_rows_come_once_while_a_trial_trains(box: Outbox, tmp_path: Path) -> None:
    one = live(box)
    one.hear(TRIAL.key, row(1, points=1))
    one.send()
    status, state, first = rows(tmp_path)
    assert (status, state) == ("RUNNING", "training")
    assert ("train/loss", 4, 1.0) in first and not any(name == "train/images_per_second" for name, _, _ in first)
    one.hear(TRIAL.key, row(2, points=2))
    one.hear(TRIAL.key, row(2, points=2))
    one.send()
    one.send()
    second = rows(tmp_path)[2]
    assert len(second) == len(set(second)) and set(first) < set(second)
    assert {step for name, step, _ in second if name == "forgetting/general_validation"} == {0, 4}


def test_a_killed_driver_and_what_trains_again_add_nothing(box: Outbox, tmp_path: Path) -> None:
    one = live(box)
    for epoch in (1, 2, 3):
        one.hear(TRIAL.key, row(epoch, points=2))
    one.send()
    before = rows(tmp_path)[2]

    again = Outbox(Spool(UPath(tmp_path / "spool")), f"sqlite:///{tmp_path}/mlflow.db", "live")
    again.open()
    other = live(again)
    for epoch in (2, 3, 4):  # from the checkpoint of epoch 1
        other.hear(TRIAL.key, row(epoch, points=2))
    other.send()
    after = rows(tmp_path)[2]
    assert set(before) < set(after) and len(after) == len(set(after)) == len(before) + 2

    files = [
        Metric(f"train/{name}", row(e)[name], 4 * e)
        for e in range(1, 5)
        for name in ("loss", "loss_l2sp", "images_per_second")
    ]
    again.put(Asked(TRIAL.key, "a trial", TRIAL.flat(), "FINISHED", {"gelo.state": "complete"}, wanted=checked(files)))
    again.send()
    status, state, last = rows(tmp_path)
    assert (status, state) == ("FINISHED", "complete")
    assert sorted(set(last) - set(after)) == [("train/images_per_second", 4 * e, 100.0 * e) for e in range(1, 5)]
    assert len(last) == len(set(last))


def test_a_stopped_trial_is_said_to_be_stopped_until_it_trains_again(box: Outbox, tmp_path: Path) -> None:
    one = live(box)
    one.hear(TRIAL.key, row(1))
    one.send()
    one.stopped()
    assert rows(tmp_path)[:2] == ("KILLED", "stopped")
    one.hear(TRIAL.key, row(2))
    one.send()
    assert rows(tmp_path)[:2] == ("RUNNING", "training")


def test_what_other_trials_are_made_of_has_no_run(box: Outbox) -> None:
    one = live(box)
    one.hear("0" * 12, row(1))
    one.send()
    assert "0" * 12 not in box.spool.index.runs


def test_the_thread_sends_by_itself_and_survives_a_store_that_is_away(box: Outbox, tmp_path: Path) -> None:
    one = live(box, every=0.05)
    with one.sending():
        one.hear(TRIAL.key, row(1))
        limit = time.monotonic() + 60
        while TRIAL.key not in box.spool.index.runs or box.spool.index.runs[TRIAL.key].waits:
            assert time.monotonic() < limit
            time.sleep(0.05)
    assert ("train/loss", 4, 1.0) in rows(tmp_path)[2]
    gone = Outbox(Spool(UPath(tmp_path / "other")), "http://127.0.0.1:9", "live")
    two = live(gone, every=0.05)
    with two.sending():
        two.hear(TRIAL.key, row(1))
        time.sleep(0.3)
    two.hear(TRIAL.key, row(2))
    two.send()
    assert "4 metrics of 1 trial wait" in gone.waits(), gone.waits()
