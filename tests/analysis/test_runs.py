"""Reading a sweep: what is missing or broken is named, and MLflow must agree with the files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gelo.analysis.labels import labelled
from gelo.analysis.runs import read_runs
from gelo.analysis.select import expected, select
from gelo.models.faults import UserError
from tests.analysis.sweeps import SETS, demo, write_result, write_sweep, write_trial


def test_report_before_anything_ran(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing has run yet"):
        read_runs(tmp_path, "demo")
    write_sweep(tmp_path, "demo")
    with pytest.raises(UserError, match="gelo run demo"):
        read_runs(tmp_path, "demo")
    with pytest.raises(UserError, match="nearest: demo"):
        read_runs(tmp_path, "demmo")


def test_trials_without_results_have_not_run(tmp_path: Path) -> None:
    write_trial(write_sweep(tmp_path), "a", "mini-s", "faces", "full")
    with pytest.raises(UserError, match="1 trials, no result"):
        read_runs(tmp_path, "demo")


def test_rows_stand_in_one_order_and_every_metric_is_read(tmp_path: Path) -> None:
    demo(tmp_path, wise=True)
    runs = read_runs(tmp_path, "demo")
    labels = [f"{row['trial']}" for _, row in runs.trials.iterrows()]
    assert labels[:6] == ["b0", "b1", "ff0", "w00", "w10", "w20"]
    assert labels.index("fl0") < labels.index("mf0") < labels.index("sl0") < labels.index("ff1")
    assert list(runs.trials["remedy"][:6]) == ["none"] * 3 + [f"wise(alpha={a})" for a in ("0.25", "0.5", "0.75")]
    assert expected(runs, "zero_shot") == list(SETS), "the catalogue's order, the shifted set last"
    assert runs.miniature == "toy models and generated toy data"
    absent = runs.metrics[runs.metrics["metric"] == "fr/templates/tar_at_far_1e-4"]
    assert absent["value"].isna().all() and absent["reason"].str.contains("cannot resolve").all()
    assert {status.state for status in select(runs).values()} == {"complete"}


def test_several_remedies_of_one_trial_are_named_each() -> None:
    def both(alpha: float) -> dict[str, object]:
        return {"kind": "stack", "remedies": [{"kind": "distill", "strength": 1.0}, {"kind": "wise", "alpha": alpha}]}

    labels, kinds, parameters = labelled([both(0.5), both(0.8), {"kind": "none"}], ["faces"] * 3)
    assert labels == ["distill + wise(wise.alpha=0.5)", "distill + wise(wise.alpha=0.8)", "none"]
    assert kinds == ["distill + wise", "distill + wise", "none"]
    assert parameters[0] == {"distill.strength": 1.0, "wise.alpha": 0.5}


def test_labels_show_only_what_differs() -> None:
    specs = [{"kind": "lora", "rank": 4, "alpha": 8.0}, {"kind": "lora", "rank": 16, "alpha": 8.0}, {"kind": "full"}]
    assert labelled(specs, ["faces"] * 3)[0] == ["lora(rank=4)", "lora(rank=16)", "full"]
    assert labelled(specs, ["faces", "morphs", "faces"])[0] == ["lora", "lora", "full"], (
        "a task's own default is no variant"
    )


def test_failed_and_incomplete_trials_are_named(tmp_path: Path) -> None:
    root = demo(tmp_path)
    (root / "trials" / "ff0" / "failure.json").write_text(
        json.dumps({"error": "loss is not finite", "kind": "Diverged"})
    )
    shutil.rmtree(root / "trials" / "ff0" / "results")
    (root / "trials" / "sl1" / "results" / "pad" / "spoofs.json").unlink()
    (root / "trials" / "sl0" / "results" / "probe" / "digits.json").write_text('{"suite":')
    runs = read_runs(tmp_path, "demo")
    status = select(runs)
    assert status["ff0"].state == "failed" and status["ff0"].reasons[0] == "Diverged: loss is not finite"
    assert status["sl1"].state == "incomplete" and status["sl1"].missing == (("pad", "spoofs"),)
    assert status["sl0"].reasons == ("no probe result for digits",)
    assert status["fl0"].state == "complete", "a trial on faces needs no spoof head"
    assert len(runs.faults) == 1 and "digits.json" in runs.faults[0].where


def test_a_sweep_on_another_file_system(tmp_path: Path) -> None:
    from upath import UPath

    demo(tmp_path)
    memory = UPath("memory://runs")
    for file in (tmp_path / "demo").rglob("*.json"):
        target = memory / file.relative_to(tmp_path).as_posix()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    there, here = read_runs(memory, "demo"), read_runs(tmp_path, "demo")
    assert there.metrics.equals(here.metrics) and there.trials.equals(here.trials)


@pytest.mark.slow
def test_mlflow_must_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    root = write_sweep(tmp_path)
    for key, task in (("a", "none"), ("b", "faces"), ("c", "morphs")):
        folder = write_trial(root, key, "mini-s", task, "none" if key == "a" else "full")
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": 0.1 + 0.2, "shapes/mean_per_class": 1 / 3})
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert "no such database" in str(read_runs(tmp_path, "demo", uri).faults[0])
    assert not (tmp_path / "mlflow.db").exists(), "reading creates nothing"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("demo", artifact_location=str(tmp_path / "artifacts"))
    logged = {}
    for key in "ab":
        logged[key] = client.create_run(experiment, tags={"gelo.trial": key}).info.run_id
        client.log_metric(logged[key], "zero_shot/shapes/top1", 0.1 + 0.2)
        client.log_metric(logged[key], "zero_shot/shapes/mean_per_class", 1 / 3)
        client.log_metric(logged[key], "zero_shot/mean/top1", 0.3)
        client.log_metric(logged[key], "train/loss", 2.0)
    client.create_run(experiment, tags={"gelo.sweep": "demo"})  # the parent, which no trial is
    runs = read_runs(tmp_path, "demo", uri)
    assert runs.tracked
    assert [fault.where for fault in runs.faults] == ["MLflow experiment demo, trial c"]
    client.create_run(experiment, tags={"gelo.trial": "c"})
    client.log_metric(logged["b"], "zero_shot/shapes/top1", 0.31, step=1)
    client.log_metric(logged["a"], "zero_shot/gone/top1", 0.5)
    client.log_metric(logged["a"], "zero_shot/undefined/top1", float("nan"))  # what is defined no more
    faults = " | ".join(str(fault) for fault in read_runs(tmp_path, "demo", uri).faults)
    assert "2 of 2 metrics missing" in faults and "0.31" in faults and "zero_shot/gone/top1" in faults
    assert "zero_shot/undefined/top1" not in faults


def test_the_saved_spec_says_what_is_expected(tmp_path: Path) -> None:
    inner = {"backbones": ["mini-s", "mini-l"], "evaluate": ["zero_shot"]}
    root = write_sweep(tmp_path, spec=inner, datasets=["flags", "shapes", "pairs", "morphs"])
    for backbone in ("mini-l", "mini-s"):
        folder = write_trial(root, backbone, backbone, "none")
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": 0.5})
    runs = read_runs(tmp_path, "demo")
    assert list(runs.trials["trial"]) == ["mini-s", "mini-l"], "in the spec's order"
    status = select(runs)["mini-s"]
    assert status.missing == (("zero_shot", "flags"),), "no trial has it, and still it is missing"


def test_a_merged_trial_has_no_seconds_and_a_traceback_is_told_in_a_line(tmp_path: Path) -> None:
    root = demo(tmp_path)
    training = {"train_seconds": 9.0, "trainable_parameters": 5, "history": [{"loss": 1.0}], "source": "ff0"}
    folder = write_trial(root, "w", "mini-s", "faces", "full", remedy={"kind": "wise", "alpha": 0.5}, training=training)
    error = "Traceback (most recent call last):\n  File x\nValueError: bad"
    (folder / "failure.json").write_text(json.dumps({"error": error, "kind": "fault"}))
    runs = read_runs(tmp_path, "demo")
    row = runs.trials.set_index("trial").loc["w"]
    assert str(row["train_seconds"]) in ("None", "nan") and not runs.histories["w"]
    assert row["error"] == "ValueError: bad"
