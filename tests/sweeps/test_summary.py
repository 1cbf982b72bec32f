"""From result files to MLflow and back through its client: one current value a name, and averages that say why they are not given."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import Subject
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.tracking.summary import WHOLE, average, inputs_of, is_complete, metrics_of, not_averaged, results_of
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.data.embed import EncoderRef
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.retention import Average
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.results import Result

PAIRS: list[tuple[str, str]] = [("one", "zero_shot"), ("one", "probe"), ("two", "zero_shot")]


def subject(root: Path, seed: int = 0) -> Subject:
    trial = Trial(backbone="mini-s", task="none", collection="miniature", seed=seed)
    ref = EncoderRef("v" * 16, "mini-s", None, None)
    return Subject(trial, TrialFolder(UPath(root)), ref, ref, "t" * 16, 100.0, trial.label)


def save(of: Subject, suite: Any, dataset: str, value: float | None, reason: str = "cut") -> None:
    name = f"{suite}/{dataset}/top1"
    given = {"values": {} if value is None else {name: value}, "absent": {name: reason} if value is None else {}}
    result = Result(
        suite=suite, dataset=dataset, protocol="p", protocol_version=3, scale="full", counts={"images": 4}, **given,  # type: ignore[arg-type]
    )  # fmt: skip
    of.folder.save_result(result, pa.table({"id": ["a"]}))


@pytest.mark.slow
def test_mlflow_holds_what_the_files_say_after_every_change(tmp_path: Path) -> None:
    """Case 03: new data, then a number that is defined no more, then a set that joins; each read back by the client."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker, client = Tracker(uri, "relabelled"), MlflowClient(tracking_uri=uri)
    base, after = subject(tmp_path / "base"), subject(tmp_path / "after", 1)
    run = tracker.ensure_trial(tracker.ensure_sweep("relabelled", "{}"), "key", {})
    for of, values in ((base, (0.5, 0.9)), (after, (0.75, 0.8333))):
        for name, value in zip(("one", "two"), values, strict=True):
            save(of, "zero_shot", name, value)

    def logged() -> dict[str, float]:
        tracker.log(run, metrics_of(after, base, PAIRS), WHOLE)
        assert tracker.log(run, metrics_of(after, base, PAIRS), WHOLE) == 0, "a replay writes nothing"
        shown = dict(client.get_run(run).data.metrics)
        assert {entry.step for name in shown for entry in client.get_metric_history(run, name)} == {0}
        return shown

    mean, kept = "zero_shot/mean_2/top1", "gelo/zero_shot_2"  # other sets than the collection's
    first = logged()
    assert first == pytest.approx({
        "zero_shot/one/top1": 0.75, "zero_shot/two/top1": 0.8333, mean: 0.79165, kept: 0.79165 / 0.7,
    })  # fmt: skip
    save(after, "zero_shot", "two", 0.5)
    second = logged()
    assert second == pytest.approx({**first, "zero_shot/two/top1": 0.5, mean: 0.625, kept: 0.625 / 0.7})
    save(after, "zero_shot", "two", None)
    third = logged()
    assert [name for name, value in third.items() if math.isnan(value)] == ["zero_shot/two/top1", mean, kept]
    assert third["zero_shot/one/top1"] == 0.75
    save(after, "zero_shot", "two", 0.5)
    save(after, "probe", "one", 1.0)
    assert logged() == pytest.approx({**second, "probe/one/top1": 1.0, "probe/mean_1/top1": 1.0})


def test_a_result_that_is_no_longer_asked_for_stays_while_its_file_does(tmp_path: Path) -> None:
    of = subject(tmp_path)
    save(of, "zero_shot", "one", 0.5)
    save(of, "zero_shot", "former", 0.25)
    names = {metric.name: metric.value for metric in metrics_of(of, of, [("one", "zero_shot")])}
    assert names == {"zero_shot/one/top1": 0.5, "zero_shot/former/top1": 0.25, "zero_shot/mean_1/top1": 0.5}


def test_an_average_says_which_set_it_lacks_and_why(tmp_path: Path) -> None:
    several = [subject(tmp_path / str(seed), seed) for seed in range(4)]
    for of in several:
        save(of, "zero_shot", "one", 0.5)
        save(of, "zero_shot", "two", None, "1 class, at least 2 needed")
        save(of, "probe", "one", 0.5)
    assert average(several[0], "probe", PAIRS) == Average(0.5)
    assert average(several[0], "zero_shot", PAIRS) == Average(None, None, {"two": "1 class, at least 2 needed"})
    assert not_averaged(several, PAIRS) == [
        "not given: zero_shot/mean_2/top1 of mini-s untouched, mini-s untouched and 2 other trials (two: 1 class, at least 2 needed)"
    ]
    assert is_complete(several[0].trial, results_of(several[0], PAIRS), PAIRS), "an absent number is a result"
    other = subject(tmp_path / "other")
    save(other, "zero_shot", "one", 0.5)
    assert not is_complete(other.trial, results_of(other, PAIRS), PAIRS)
    assert average(other, "zero_shot", PAIRS) == Average(None, None, {"two": "no result"})
    assert average(other, "zero_shot", []) == Average(None)


@pytest.mark.slow
def test_a_run_is_of_its_data_sets_and_a_replay_doubles_none(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker, client = Tracker(uri, "inputs"), MlflowClient(tracking_uri=uri)
    run = tracker.ensure_trial(tracker.ensure_sweep("inputs", "{}"), "key", {})
    sets = {
        name: write_dataset(
            tmp_path / name, name=name, version="1", scale="full", classes=("red", "blue"), source="a test", licence="none",
            splits={"test": [Record("a", b"", 0), Record("b", b"", 1)]},
        )
        for name in ("faces", "other", "unread")
    }  # fmt: skip
    tasks = {"faces": {"adaptation": "lora"}}
    spec = SweepSpec.model_validate({"name": "inputs", "backbones": ["mini-s"], "tasks": tasks})
    trained = next(trial for trial in spec.trials() if trial.training and trial.training.data == "faces")
    of = replace(subject(tmp_path / "trial"), trial=trained)
    save(of, "zero_shot", "faces", 0.5)
    save(of, "zero_shot", "other", 0.5)

    def shown() -> list[tuple[str, str, str, str, str]]:
        tracker.log(run, [], inputs=inputs_of(of, sets, of.folder.results()))
        inputs = client.get_run(run).inputs.dataset_inputs
        found = ((one.dataset, tag.value) for one in inputs for tag in one.tags)
        return sorted((each.name, each.digest, tag, each.source, each.profile) for each, tag in found)

    wanted = [
        (name, sets[name].fingerprint, role, json.dumps({"uri": str(sets[name].root)}), '{"images": {"test": 2}}')
        for name, role in (("faces", "training, evaluation"), ("other", "evaluation"))
    ]
    assert shown() == wanted
    assert shown() == wanted
