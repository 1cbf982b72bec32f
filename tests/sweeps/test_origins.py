"""A sweep does not go on beside trials that were trained from something else."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console
from upath import UPath

from gelo.models.adapt.lora import Lora
from gelo.models.backbones.zoo import load_backbone
from gelo.models.durable import publish_folder
from gelo.models.faults import UserError
from gelo.models.heads import CosFace
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.stack import Stack
from gelo.models.remedies.wise import Wise
from gelo.models.spec import Member
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.finished import Workbench, finish_all
from gelo.sweeps.stages.outcome import Outcome
from gelo.sweeps.stages.train import version_of
from gelo.sweeps.stages.waves import Sweep
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.origins import refuse_others
from gelo.sweeps.state.status import standing
from gelo.sweeps.terminal.progress import Display
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.spool import Spool
from gelo.tasks.ledger.trial import Trial


def parsed() -> list[Trial]:
    tasks = {
        "faces": {"adaptation": "lora", "remedy": ["none", {"wise": {"alpha": 0.5}}]},
        "morphs": {"adaptation": "full"},
    }
    return list(SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks}).trials())


@pytest.fixture
def trials() -> list[Trial]:
    return parsed()


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


def test_a_part_whose_version_was_raised_is_refused_where_it_acts(
    trials: list[Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, labels = SweepFolder(UPath(tmp_path), "s"), Trial.labels(trials)
    learnt = [trial for trial in trials if trial.training]
    before = {trial.key: version_of(trial) for trial in learnt}
    assert set(before.values()) <= {"1", "2"}, "what older sweeps say"
    for trial in learnt:
        _trained(folder, trial, step=before[trial.key])

    def refused(part: type[Member]) -> dict[str, tuple[str, str]]:
        with monkeypatch.context() as patch:
            patch.setattr(part, "version", 3)
            with pytest.raises(UserError) as caught:
                refuse_others(folder, trials, labels, lambda trial: {"step": version_of(trial)})
        return {fault.where: (fault.found, fault.expected) for fault in caught.value.faults}

    merged, lora = learnt[1], learnt[0]
    assert [trial.remedy.kind for trial in learnt] == ["none", "wise", "none"]
    was, now = (
        f"trained with version of the training step {before[merged.key]}",
        f"{before[merged.key]}, {{}} 3, as it is now",
    )
    assert refused(Wise) == {labels[merged.key]: (was, now.format("remedy wise"))}, "its source was trained without"
    of_lora = (was, now.format("adaptation lora"))
    assert refused(Lora) == {labels[lora.key]: of_lora, labels[merged.key]: of_lora}
    assert set(refused(CosFace)) == {labels[lora.key], labels[merged.key]}
    both = merged.model_copy(update={"remedy": Stack(remedies=(L2SP(), Wise(alpha=0.5)))})
    monkeypatch.setattr(L2SP, "version", 2)
    assert version_of(both) == version_of(both.source) == f"{before[lora.key]}, remedy l2sp 2"
    assert [trial.key for trial in trials] == [trial.key for trial in parsed()], "keys do not know versions"


def test_what_keeps_a_made_trial_from_being_whole_is_told_by_status(tmp_path: Path) -> None:
    tasks = {"faces": {"remedy": ["none", "retrieval"]}}
    spec = SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks, "evaluate": ["zero_shot"]})
    settings = Settings(storage=str(tmp_path), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    folder = SweepFolder(settings.place(), "s")
    folder.save(spec, asdict(settings), [])
    outbox = Outbox(Spool(folder.root / "tracking"), settings.tracking, "s")
    sweep = Sweep(spec, settings, folder, Display(Console()), outbox, spec.trials())
    sweep.outcome = Outcome(folder, outbox)
    sweep.bases, sweep.datasets, sweep.cache = {"mini-s": load_backbone("mini-s")}, {}, tmp_path / "cache"
    (made,) = (trial for trial in sweep.trials if not trial.trains and trial.training)
    told = "reference: not whole, as told before; expected a whole data set"

    heard = list[str]()
    sweep.display.lines.append(heard.append)

    def finish_what_is_ready() -> None:
        bench = Workbench(folder, sweep.bases, sweep.datasets, (), sweep.cache)
        given = (sweep.labels, bench, Resources(), {}, cast(StopFlag, None), sweep._keep, sweep.display)
        finish_all(sweep.trials, *given)

    finish_what_is_ready()
    assert not heard, "what it is made of is not trained"
    with publish_folder(folder.trial(made.source).trained) as trained:
        (trained / "training.json").write_text("{}")
    finish_what_is_ready()
    assert len(heard) == 1 and heard[0].startswith("finish: 1 trials in"), heard

    (row,) = (row for row in standing(folder) if row["key"] == made.key)
    assert (row["state"], row["note"]) == ("failed", told)
    assert told in sweep.outcome.failures[made.key]["error"]

    folder.trial(made).set_failure(None)
    shutil.rmtree(folder.trial(made.source).trained)
    folder.trial(made.source).set_failure({"kind": "fault", "error": "the trial that it is made of"})
    states = {row["label"]: (row["state"], row["note"]) for row in standing(folder)}
    assert states[sweep.labels[made.key]] == ("failed", "the trial that it is made of")
