"""What a search may be asked for: every fault at once; the same file the same trials; what was suggested is part of the saved sweep."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.search import Scheduler
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.stages.suggest import known
from gelo.sweeps.state.cuts import set_cut
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.searching import searching, told
from gelo.sweeps.state.status import standing
from gelo.tasks.ledger.cuts import Cut

OPEN = {"lr_backbone": {"loguniform": [1e-6, 1e-3]}}
BASE: dict[str, Any] = {"name": "mine", "backbones": ["mini-s"], "tasks": {"morphs": OPEN}, "search": "optuna"}


def spec(**changes: Any) -> SweepSpec:
    return parse_spec({**BASE, **changes}, "mine.yaml")


def refused(**changes: Any) -> dict[str, Fault]:
    with pytest.raises(UserError) as error:
        spec(**changes)
    return {fault.where: fault for fault in error.value.faults}


def test_all_that_is_wrong_with_a_search_is_told_at_once() -> None:
    morphs = {**OPEN, "epochs": [1, 2], "remedy": "budget", "watch": {"points": 0}}
    found = refused(
        tasks={"morphs": morphs}, seeds=[0, 1], objectives=["gain", "kept"], scheduler={"asha": {"reduction": 1}}
    )
    assert "a list is a grid" in found["tasks.morphs"].found
    assert "greater than 1" in found["scheduler.reduction"].expected  # so the rest of the search is not known yet
    found = refused(tasks={"morphs": morphs}, seeds=[0, 1], objectives=["gain", "kept"], scheduler="asha")
    assert "one seed" in found["seeds"].expected
    assert "two objectives" in found["scheduler"].found
    assert found["tasks.morphs.watch.points"].expected == "at least 1"


def morphs(**settings: Any) -> dict[str, Any]:
    return {"tasks": {"morphs": settings}}


_POINTS, _TWO = "tasks.morphs.watch.points", morphs(epochs={"choice": [1, 2]})


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        (morphs(epochs=2), "search", "no distribution in any block"),
        ({"search": "grid", **morphs(), "objectives": ["kept"]}, "objectives", "with search: grid"),
        ({"objectives": ["gain", "gain"]}, "objectives", "gain, gain"),
        ({"objectives": ["gian"]}, "objectives.0", "gian"),
        ({"samples": 3, **_TWO}, "samples (tasks.morphs mini-s)", "2 configurations"),
        (morphs(**OPEN, remedy="budget"), "tasks.morphs.remedy", "budget with search: optuna"),
        ({"scheduler": "ahsa"}, "scheduler.kind", "ahsa"),
        ({"scheduler": {"asha": {"grce": 1}}}, "scheduler.grce", "1"),
        ({"scheduler": {"asha": {"grace": 5}}}, _POINTS, "grace of 5"),
        ({"scheduler": "median", "search": "grid", **morphs(watch={"points": 0})}, _POINTS, "0 with scheduler: median"),
        (morphs(epochs={"choice": [1, {"uniform": [1, 2]}]}), "tasks.morphs.epochs", "within the options"),
        (morphs(lr_backbone={"loguniform": [0, 1]}), "tasks.morphs.lr_backbone", "loguniform"),
        (morphs(**OPEN, epochs={"choice": [1, 0]}), "tasks.morphs.epochs", "0"),
        ({"suggested": {"tasks.faces mini-s": []}}, "suggested.tasks.faces mini-s", "unknown study"),
    ],
)
def test_what_means_nothing_is_refused(changes: dict[str, Any], where: str, said: str) -> None:
    found = refused(**changes)
    assert said in found[where].found, found


def test_a_scheduler_by_its_name_by_a_mapping_and_as_it_is_saved() -> None:
    assert spec(scheduler="asha").scheduler == Scheduler(kind="asha")
    asked = spec(scheduler={"asha": {"grace": 2, "metric": "kept"}})
    assert asked.scheduler == Scheduler(kind="asha", grace=2, metric="kept")
    assert SweepSpec.model_validate_json(asked.model_dump_json()) == asked


def test_the_first_round_follows_from_the_file_and_stays_as_a_study_grows() -> None:
    few, many = spec(samples=3), spec(samples=50)
    first = [trial.key for trial in few.trials()]
    assert len(first) == 4  # the untouched backbone
    assert [trial.key for trial in many.trials()][:4] == first
    assert [trial.key for trial in spec(samples=3, search_seed="other").trials()][1:] != first[1:]
    (study,) = many.studies()
    assert all(1e-6 <= values["lr_backbone"] <= 1e-3 for values in study.first())
    assert study.size == math.inf


def test_a_distribution_may_stand_for_any_value_and_every_configuration_is_one_trial() -> None:
    asked = spec(
        tasks={
            "morphs": {
                **OPEN,
                "adaptation": {"lora": {"rank": {"choice": [2, 4]}}},
                "remedy": {"choice": ["none", {"wise": {"alpha": 0.5}}]},
            }
        },
        samples=12,
        per_round=12,
    )
    (study,) = asked.studies()
    made = [study.trial(values) for values in study.first()]
    assert len({trial.key for trial in made if trial is not None}) == 12
    for values, trial in zip(study.first(), made, strict=True):
        assert trial is not None and trial.training is not None
        assert trial.training.lr_backbone == values["lr_backbone"]
        assert trial.adaptation.model_dump()["rank"] == values["adaptation.lora.rank"]
        assert trial.remedy.kind == ("none" if values["remedy"] == "none" else "wise")
    assert {trial.key for trial in asked.trials()} >= {trial.key for trial in made if trial is not None}


def test_a_finite_space_is_taken_whole_without_a_repeat() -> None:
    asked = spec(
        tasks={"morphs": {"epochs": {"choice": [1, 2, 3]}, "batch": {"choice": [16, 32]}}}, samples=6, per_round=6
    )
    (study,) = asked.studies()
    assert len({json.dumps(values, sort_keys=True) for values in study.first()}) == study.size == 6


def test_blocks_and_backbones_are_studies_of_their_own_and_a_closed_block_a_grid() -> None:
    asked = spec(
        backbones=["mini-s", "mini-l"],
        tasks={"morphs": [OPEN, {**OPEN, "adaptation": "lora", "backbones": ["mini-l"]}], "faces": {"epochs": [1, 2]}},
        samples=2,
    )
    names = [study.name for study in asked.studies()]
    assert names == ["tasks.morphs[0] mini-s", "tasks.morphs[0] mini-l", "tasks.morphs[1] mini-l"]
    assert len(asked.trials()) == 2 + 3 * 2 + 2 * 2


def test_what_was_suggested_is_read_from_the_saved_sweep_and_makes_the_same_trials(tmp_path: Path) -> None:
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(spec(), {"storage": str(tmp_path)}, ["morphs"])
    (study,) = spec().studies()
    grown = spec().model_copy(update={"suggested": {study.name: ({"lr_backbone": 1.2345678901234567e-05},)}})
    folder.save(grown, {"storage": str(tmp_path)}, ["morphs"])
    again = known(spec(), folder)
    assert again.suggested == grown.suggested
    assert [trial.key for trial in again.trials()] == [trial.key for trial in grown.trials()]
    assert (folder.trial(again.trials()[-1]).root / "trial.json").exists()
    with pytest.raises(UserError, match="was run with another spec"):  # other bounds are other trials
        folder.save(spec(tasks={"morphs": {"lr_backbone": {"loguniform": [1e-5, 1e-3]}}}), {}, ["morphs"])


def test_a_suggestion_that_the_block_cannot_have_is_refused() -> None:
    found = refused(suggested={"tasks.morphs mini-s": [{"lr_head": 1e-3}]})
    assert "cannot have" in found["suggested.tasks.morphs mini-s"].found


def test_the_plan_says_how_many_are_planned_and_what_is_not_known() -> None:
    asked = spec(samples=12, per_round=5, scheduler="asha")
    found = searching(asked)
    assert found["studies"] == [{"name": "tasks.morphs mini-s", "samples": 12, "known": 5}]
    assert (found["unknown"], found["scheduler"]) == (7, "asha")
    first, second = told(found)
    assert "1 study of 12 configurations in all, 5 of them known" in first and "asha may cut" in second
    grown = asked.model_copy(update={"suggested": {"tasks.morphs mini-s": ({"lr_backbone": 1e-5},)}})
    assert searching(grown)["studies"][0]["known"] == 6
    assert told(searching(parse_spec({**BASE, "search": "grid", "tasks": {"morphs": {}}}, "mine.yaml"))) == []


def test_status_tells_a_cut_trial_from_one_that_waits(tmp_path: Path) -> None:
    folder, asked = SweepFolder(UPath(tmp_path), "mine"), spec(samples=2)
    folder.save(asked, {"storage": str(tmp_path), "data": str(tmp_path / "data")}, ["morphs"])
    one, other = (trial for trial in asked.trials() if trial.trains)
    cut = Cut(by="asha", metric="gain", look=2, step=120, steps=400)
    set_cut(folder.trial(one), cut)
    rows = {row["key"]: row for row in standing(folder)}
    assert (rows[one.key]["state"], rows[one.key]["note"]) == (
        "cut",
        "cut at step 120 of 400 (asha, by gain at look 2)",
    )
    assert rows[other.key]["state"] == "waiting"
    set_cut(folder.trial(one), cut.model_copy(update={"go_on": True}))
    assert {row["key"]: row["state"] for row in standing(folder)}[one.key] == "waiting"
