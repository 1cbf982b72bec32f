"""Optuna's rounds: the same again after any interruption, nothing twice, and the Pareto front that brute force finds."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from gelo.models.durable import publish_folder
from gelo.sweeps.spec.study import Study, Values
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.stages.found import told_of
from gelo.sweeps.stages.suggest import Point, front, next_round, suggest, tried
from gelo.sweeps.state.cuts import set_cut
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.cuts import Cut
from gelo.tasks.ledger.looks import Look, looks_of
from gelo.tasks.ledger.trial import Trial

BLOCK = {"lr_backbone": {"loguniform": [1e-6, 1e-3]}, "adaptation": {"choice": ["full", "lora"]}}


def spec(*objectives: str, **changes: Any) -> SweepSpec:
    asked = {"name": "mine", "backbones": ["mini-s"], "tasks": {"morphs": BLOCK}, "search": "optuna", "samples": 14}
    return parse_spec({**asked, "per_round": 4, "objectives": list(objectives or ("gain",)), **changes}, "mine.yaml")


def measured(values: Values) -> tuple[float, float]:
    """A rate of 1e-4 gains most, a lower one keeps more; LoRA keeps more and gains less."""
    lora = values["adaptation"] == "lora"
    distance = abs(math.log10(values["lr_backbone"]) + 4)
    return 0.4 - 0.1 * distance - 0.03 * lora, 1 - 100 * values["lr_backbone"] * (0.5 if lora else 1)


def train(folder: SweepFolder, trial: Trial, gain: float, kept: float) -> None:
    """What a trained trial leaves, as far as a search reads it."""
    points = [
        {"step": 0, "images": 0, "task": 0.5, "validation": 0.6, "sets": {}},
        {"step": 5, "images": 40, "task": 0.5 + gain / 2, "validation": 0.6 * (1 + kept) / 2, "sets": {}},
        {"step": 10, "images": 80, "task": 0.5 + gain, "validation": 0.6 * kept, "sets": {}},
    ]
    with publish_folder(folder.trial(trial).trained) as place:
        (place / "curve.json").write_text(json.dumps({"points": points}))
        (place / "training.json").write_text("{}")


def run(folder: SweepFolder, asked: SweepSpec, rounds: int = 99) -> SweepSpec:
    """Round by round to the end of the search, or so many of them; what is in the folder is not trained again."""
    folder.save(asked, {"storage": str(folder.storage)}, [])
    for _ in range(rounds):
        for study in asked.studies():
            for point in tried(study, asked, folder):
                if not point.looks:
                    train(folder, point.trial, *measured(point.values))
        more = next_round(asked, folder)
        if more is None:
            return asked
        asked = more
        folder.save(asked, {"storage": str(folder.storage)}, [])
    return asked


@pytest.mark.parametrize("objectives", [("gain",), ("gain", "kept")])
def test_an_interrupted_search_tries_what_an_unharmed_one_tries(tmp_path: Path, objectives: tuple[str, ...]) -> None:
    whole = run(SweepFolder(UPath(tmp_path / "whole"), "mine"), spec(*objectives))
    folder = SweepFolder(UPath(tmp_path / "harmed"), "mine")
    for _ in range(9):  # each time a new process, which knows what the folder says
        run(folder, folder.spec() if folder.exists() else spec(*objectives), rounds=1)
    assert folder.spec().suggested == whole.suggested
    keys = [trial.key for trial in folder.spec().trials()]
    assert len(set(keys)) == len(keys) == 15  # 14 samples and the untouched backbone
    assert keys == [trial.key for trial in whole.trials()]
    assert len(list((folder.root / "trials").iterdir())) == 15, "a trial that is not in the ledger"
    assert next_round(folder.spec(), folder) is None


def test_the_front_of_two_objectives_is_that_of_brute_force(tmp_path: Path) -> None:
    folder = SweepFolder(UPath(tmp_path), "mine")
    ended = run(folder, spec("gain", "kept", samples=40, per_round=10))
    (study,) = ended.studies()
    points = tried(study, ended, folder)
    values = {point.trial.key: (point.looks[-1].gain or 0, point.looks[-1].kept or 0) for point in points}
    dominated = {
        one
        for one, other in itertools.permutations(values, 2)
        if values[other][0] >= values[one][0] and values[other][1] >= values[one][1] and values[other] != values[one]
    }
    found = {point.trial.key for point in front(study, points, ended.objectives)}
    assert found == set(values) - dominated
    assert 1 < len(found) < 40
    (best,) = front(study, points, ("gain",))
    assert best.trial.key == max(values, key=lambda key: values[key][0])


def test_a_search_finds_more_than_chance(tmp_path: Path) -> None:
    """What it suggests is nearer the known optimum than random draws, on average over three seeds."""
    suggested, drawn = list[float](), list[float]()
    for seed in range(3):
        asked = spec(per_round=6, search_seed=f"s{seed}", tasks={"morphs": {**BLOCK, "adaptation": "full"}})
        (study,) = asked.studies()
        points = [_point(study, values) for values in study.first()]
        drawn += [_gain(point.values) for point in points]
        for _ in range(2):
            points += [_point(study, values) for values in suggest(study, points, ("gain",), 6)]
        suggested += [_gain(point.values) for point in points[6:]]
    assert np.mean(suggested) > np.mean(drawn) + 0.02  # a fifth of a decade


def _gain(values: Values) -> float:
    return 0.4 - 0.1 * abs(math.log10(values["lr_backbone"]) + 4)


def _point(study: Study, values: Values) -> Point:
    trial = study.trial(values)
    assert trial is not None
    return Point(values, trial, (Look(number=1, step=1, gain=_gain(values), kept=1.0),))


def test_a_finite_space_is_searched_to_its_end_and_nothing_comes_twice(tmp_path: Path) -> None:
    block = {"epochs": {"choice": [1, 2, 3]}, "adaptation": {"choice": ["full", "lora"]}}
    asked = spec(tasks={"morphs": block}, samples=6, per_round=2)
    (study,) = asked.studies()
    points = [_flat(study, values) for values in study.first()]
    while len(points) < 6:
        new = suggest(study, points, ("gain",), 2)
        assert len(new) == 2
        points += [_flat(study, values) for values in new]
    assert len({point.trial.key for point in points}) == 6
    assert suggest(study, points, ("gain",), 2) == []


def _flat(study: Study, values: Values) -> Point:
    trial = study.trial(values)
    assert trial is not None
    return Point(values, trial, (Look(number=1, step=1, gain=0.1, kept=1.0),))


def test_cut_and_failed_configurations_count_as_tried_and_are_on_no_front(tmp_path: Path) -> None:
    folder, asked = SweepFolder(UPath(tmp_path), "mine"), spec()
    folder.save(asked, {"storage": str(tmp_path)}, [])
    (study,) = asked.studies()
    first, second, *others = tried(study, asked, folder)
    train(folder, first.trial, 0.1, 0.9)
    looks = (Look(number=1, step=5, gain=0.9, kept=1.0),)
    set_cut(folder.trial(second.trial), Cut(by="asha", metric="gain", look=1, step=5, steps=10, looks=looks))
    for other in others:
        folder.trial(other.trial).set_failure({"kind": "diverged", "error": "loss nan"})
    points = tried(study, asked, folder)
    assert [point.cut for point in points] == [False, True, False, False]
    assert [point.trial.key for point in front(study, points, ("gain",))] == [first.trial.key]
    more = next_round(asked, folder)
    assert more is not None and len(more.suggested[study.name]) == 4
    assert len({trial.key for trial in more.trials()}) == 1 + 8
    told = list(told_of(asked, folder, Trial.labels(asked.trials())))
    assert told[0].startswith(f"search {study.name}: 4 configurations, 1 measured, 1 cut; the best by gain")
    assert first.trial.key in told[1] and "gain 0.1000" in told[1]
    assert told[-1] == f"finish one with: gelo resume mine --finish {second.trial.key}"


def test_looks_are_measured_against_the_untouched_tower() -> None:
    points: list[dict[str, Any]] = [
        {"step": 0, "task": 0.5, "validation": 0.8},
        {"step": 4, "task": 0.75, "validation": 0.4},
        {"step": 8, "validation": 0.2},
    ]
    first, second = looks_of(points)
    assert (first.number, first.step, first.gain, first.kept) == (1, 4, 0.25, 0.5)
    assert (second.number, second.gain, second.kept) == (2, None, 0.25)
    assert looks_of(points[1:]) == []  # without the start there is nothing to measure against
