"""A sweep does not go on beside trials that were trained from something else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from upath import UPath

from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.outcome import Outcome
from gelo.sweeps.stages.waves import Sweep
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.state.status import standing
from gelo.sweeps.terminal.progress import Display
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.ledger.trial import Trial


@pytest.fixture
def trials() -> list[Trial]:
    tasks = {"faces": {"adaptation": "lora", "remedy": ["none", {"wise": {"alpha": 0.5}}]}, "morphs": {}}
    return list(SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks}).trials())


def _trained(folder: SweepFolder, trial: Trial, **made: str) -> None:
    place = Path(str(folder.trial(trial).trained))
    place.mkdir(parents=True)
    (place / "training.json").write_text(json.dumps(made))
    (place / "DONE").touch()


def test_every_other_origin_is_named_with_both_values(trials: list[Trial], tmp_path: Path) -> None:
    folder, labels = SweepFolder(UPath(tmp_path), "s"), Trial.labels(trials)
    learnt = [trial for trial in trials if trial.trains]
    for trial in learnt:
        _trained(folder, trial, data=f"old-{trial.task}")
    now = {learnt[0].task: f"old-{learnt[0].task}"}
    refuse_others(folder, trials, labels, lambda trial: {"data": now[trial.task]} if trial.task in now else {})
    refuse_others(folder, trials, labels, lambda trial: {"step": "2"})  # of an older gelo: not known
    with pytest.raises(UserError) as caught:
        refuse_others(folder, trials, labels, lambda trial: {"data": "new", "step": "2"})
    assert [(fault.where, fault.found, fault.expected) for fault in caught.value.faults] == [
        (labels[trial.key], f"trained with data old-{trial.task}", "new, as it is now") for trial in learnt
    ]


def test_a_source_outside_the_sweep_counts(trials: list[Trial], tmp_path: Path) -> None:
    folder = SweepFolder(UPath(tmp_path), "s")
    merged = [trial for trial in trials if trial.source is not trial]
    assert merged
    _trained(folder, merged[0].source, base="old")
    with pytest.raises(UserError, match="trained with weights old"):
        refuse_others(folder, merged, Trial.labels(merged), lambda trial: {"base": "new"})


def test_what_keeps_a_made_trial_from_being_whole_is_told_by_status(tmp_path: Path) -> None:
    tasks = {"faces": {"remedy": ["none", {"memory": {"reference": "shapes/train"}}]}}
    spec = SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks, "evaluate": ["zero_shot"]})
    settings = Settings(storage=str(tmp_path), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    folder = SweepFolder(settings.place(), "s")
    folder.save(spec, asdict(settings), [])
    sweep = Sweep(spec, settings, folder, Display(Console()), Tracker.__new__(Tracker), "", spec.trials())
    sweep.outcome = Outcome(folder, sweep.tracker, "")
    sweep.bases, sweep.datasets, sweep.cache = {"mini-s": load_backbone("mini-s")}, {}, tmp_path / "cache"
    (made,) = (trial for trial in sweep.trials if not trial.trains and trial.training)
    told = "data set shapes: not whole, as told before"

    sweep._finish(made)

    (row,) = (row for row in standing(folder) if row["key"] == made.key)
    assert (row["state"], row["note"]) == ("failed", told)
    assert sweep.outcome.failures[made.key]["error"] == told

    folder.trial(made).set_failure(None)
    folder.trial(made.source).set_failure({"kind": "fault", "error": "the trial that it is made of"})
    states = {row["label"]: (row["state"], row["note"]) for row in standing(folder)}
    assert states[sweep.labels[made.key]] == ("failed", "the trial that it is made of")
