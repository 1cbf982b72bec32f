"""A search by Optuna whose trials ASHA may cut: killed and resumed it tries and cuts what an unharmed one does; a cut trial is finished
later."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sweeping import LIMIT, Place, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.long]

SEARCH = """
name: small
backbones: [mini-s]
tasks:
  morphs: {epochs: 1, lr_backbone: {loguniform: [1e-7, 3e-3]}, lr_head: {loguniform: [1e-6, 1e-2]}, watch: {points: 4, images: 64}}
search: optuna
samples: 6
per_round: 3
scheduler: {asha: {reduction: 2}}
datasets: [shapes, digits]  # two sets, so that there is a mean
evaluate: [zero_shot]
"""
ONE_AT_A_TIME = ("--cpus", "1")


def test_a_killed_search_ends_as_an_unharmed_one_and_a_cut_trial_can_be_finished(
    small_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone, harmed = (_place(tmp_path_factory.mktemp(name), small_world) for name in ("alone", "harmed"))
    assert alone.gelo("run", "small.yaml", *ONE_AT_A_TIME) == 0, alone.log()
    assert "the best by gain" in alone.log() and "Traceback" not in alone.log()

    process = harmed.start("run", "small.yaml", *ONE_AT_A_TIME)
    wait_for(lambda: len(_ended(harmed)) >= 2, process, "two trials that ended")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT)
    process = harmed.start("resume", "small")
    wait_for(lambda: bool(_saved(harmed)["suggested"]), process, "a second round")
    process.send_signal(signal.SIGTERM)
    process.wait(LIMIT)
    assert harmed.gelo("resume", "small") == 0, harmed.log()

    assert _saved(harmed) == _saved(alone)
    keys = sorted(path.name for path in (harmed.sweep / "trials").iterdir())
    assert len(keys) == 1 + 6, "planned and started counts differ"
    assert keys == sorted(path.name for path in (alone.sweep / "trials").iterdir())
    cut = {path.parent.name for path in alone.sweep.glob("trials/*/cut.json")}
    assert cut and len(cut) < 6
    for key in keys:
        for file in ("cut.json", "trained/curve.json"):
            ours, theirs = (place.sweep / "trials" / key / file for place in (harmed, alone))
            assert ours.exists() == theirs.exists(), (key, file)
            assert not ours.exists() or ours.read_bytes() == theirs.read_bytes(), (key, file)

    states = _status(harmed)
    assert {key for key, row in states.items() if row["state"] == "cut"} == cut
    chosen = sorted(cut)[0]
    assert states[chosen]["note"].startswith("cut at step") and not states[chosen]["results"]
    assert _tag(harmed, chosen) == states[chosen]["note"]
    assert dict(harmed.runs())["small"] == "FINISHED"
    assert harmed.parent()[1]["trials/cut"] == len(cut)
    assert not any(key == chosen for key, _, _ in harmed.metrics()), "a number of a trial that was cut"
    assert list(harmed.sweep.glob(f"trials/{chosen}/checkpoints/epoch-*/DONE")), "its checkpoint is gone"

    before = len(harmed.log())
    assert harmed.gelo("resume", "small") == 0  # without being asked it stays cut
    assert "train: " not in harmed.log()[before:]
    assert harmed.gelo("resume", "small", "--finish", "zzz") == 2
    assert harmed.gelo("resume", "small", "--finish", chosen[:8]) == 0, harmed.log()
    after = _status(harmed)
    assert after[chosen]["state"] == "complete" and _tag(harmed, chosen) == "complete"
    assert {key: row["state"] for key, row in after.items() if key != chosen} == {
        key: row["state"] for key, row in states.items() if key != chosen
    }
    assert harmed.parent()[1]["trials/complete"] == alone.parent()[1]["trials/complete"] + 1


def _place(folder: Path, small_world: Path) -> Place:
    (folder / "small.yaml").write_text(SEARCH)
    return Place(folder, small_world / "data", small_world / "cache")


def _saved(place: Place) -> dict[str, Any]:
    return json.loads((place.sweep / "sweep.json").read_bytes())["spec"] if place.sweep.exists() else {"suggested": {}}


def _ended(place: Place) -> list[Path]:
    return [*place.sweep.glob("trials/*/trained/DONE"), *place.sweep.glob("trials/*/cut.json")]


def _status(place: Place) -> dict[str, dict[str, Any]]:
    marker = len(place.log())
    assert place.gelo("status", "small", "--json") == 0
    return {row["key"]: row for row in json.loads(place.log()[marker:])["trials"]}


def _tag(place: Place, trial: str) -> str:
    """`gelo.state` of the trial's run in MLflow."""
    with sqlite3.connect(place.folder / "out" / "mlflow.db") as database:
        ((value,),) = database.execute(
            "select s.value from tags t join tags s on s.run_uuid = t.run_uuid "
            "where t.key = 'gelo.trial' and t.value = ? and s.key = 'gelo.state'",
            (trial,),
        ).fetchall()
    return str(value)
