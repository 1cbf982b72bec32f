"""What the page warns of and what its methods say: of sweeps half done, damaged, mixed, with one seed, and with tracking away."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gelo.analysis.compare import compare
from gelo.analysis.page.methods import methods
from gelo.analysis.page.warned import warnings
from gelo.analysis.report import write_report
from gelo.analysis.runs import read_runs
from tests.analysis.sweeps import demo, write_result, write_sweep, write_trial


def warned(storage: Path, tracking: str | None = None) -> dict[str, Any]:
    return {each.name: each for each in warnings(compare(read_runs(storage, "demo", tracking)))}


def test_warnings_count_and_name_their_places(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"], datasets=["shapes", "digits"], evaluate=["zero_shot"])
    for key, task, print_ in (("b", "none", "1" * 16), ("t", "faces", "2" * 16)):
        trial = write_trial(root, key, "mini-s", task, "none" if task == "none" else "full", training={"data": "x"})
        write_result(trial, "zero_shot", "shapes", {"shapes/top1": 0.5})
        path = trial / "results" / "zero_shot" / "shapes.json"
        version = 1 if task == "none" else 2
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"protocol_version": version, "data": print_, "partial": True})
        )
    write_result(trial, "fr", "pairs", {}, absent={"pairs/accuracy": "no pair"}, notes={"rule_of_30": "fewer than 30"})
    (trial / "results" / "zero_shot" / "digits.json").write_text('{"values": {"a": NaN}}')
    told = warned(tmp_path)
    assert told["problems"].count == "2 trials" and "no zero_shot result for digits" in told["problems"].lines[0].more
    (mixed,) = told["mixed"].lines
    assert mixed.where == "zero_shot/shapes" and mixed.text.startswith(
        "version 1: 1 trial; version 2: 1 trial; data 1111"
    )
    assert (told["undefined"].lines[0].where, told["undefined"].lines[0].text) == (
        "fr/pairs/accuracy",
        "1 trial: no pair",
    )
    assert told["few"].lines[0].where == "fr/pairs" and told["partial"].count == "1 data set"
    assert "digits.json" in told["faults"].lines[0].text and told["mlflow"].count == "" and told["seeds"].count
    page = (write_report(tmp_path, "demo").path / "index.html").read_text()
    for each in told.values():
        assert f'id="warn-{each.name}"' in page and (not each.count or f'href="#warn-{each.name}"' in page)


@pytest.mark.slow
def test_a_tracking_server_that_is_away_is_a_warning_at_once(tmp_path: Path) -> None:
    import mlflow  # noqa: F401  # seconds that are not the server's

    demo(tmp_path)
    began = time.monotonic()
    (line,) = warned(tmp_path, "http://127.0.0.1:1")["mlflow"].lines
    assert "cannot be read: MlflowException" in line.text and time.monotonic() - began < 45


def test_methods_say_what_the_trials_say_and_no_more(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"], resources={"cpus": 2, "gpus": 2})
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    for seed in (0, 1):
        training = {"train_seconds": 1800.0, "data": "d" * 16, "ranks": [2], "sources": {"reference": "r" * 16}}
        write_trial(root, f"t{seed}", "mini-s", "faces", "full", seed=seed, training=training, remedy={"kind": "l2sp", "strength": 0.1},
                    settings={"epochs": 5, "lr_backbone": 1e-5 * (1 + seed), "data": "faces"})  # fmt: skip
    told = methods(compare(read_runs(tmp_path, "demo")))
    summary = dict(told["summary"])
    assert summary["GPU hours of training"] == "2.00", "two trainings of half an hour on two GPUs each"
    assert summary["Hardware granted"] == "2 CPUs a process, 2 GPUs a trial, 2 processes a training"
    (training,) = told["trainings"]
    assert {("epochs", "5"), ("lr backbone", "1e-05, 2e-05"), ("data", "faces")} <= set(training["fields"])
    (remedy,) = told["remedies"]
    assert "1802.01483" in remedy["source"] and remedy["fields"] == [("strength", "0.1")]
    assert told["learnt"][0] == {"name": "faces", "data": "d" * 16, "trainings": "2"}
    assert {row["name"] for row in told["learnt"]} == {"faces", "reference"}
    demo(tmp_path / "other")
    assert "GPU hours of training" not in dict(methods(compare(read_runs(tmp_path / "other", "demo")))["summary"])
