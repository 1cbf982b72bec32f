"""The sweeps that gelo ships beside `demo` and `paper`: each asks one question, in miniature and on real weights and data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gelo.models.members import kind_of
from gelo.models.remedies.registry import OWN
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import load_spec, presets
from gelo.sweeps.state.preflight import preflight
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training import TASKS

QUESTIONS = ("lora_rank", "mitigation", "rates", "task_complexity")


def tuned(name: str) -> list[Trial]:
    return [trial for trial in load_spec(name).trials() if trial.training is not None]


@pytest.mark.parametrize("name", ["mitigation", "mitigation-paper"])
def test_mitigation_has_every_remedy_of_gelos(name: str) -> None:
    found = {member.kind for trial in tuned(name) for member in trial.remedy.members()}
    assert found == {kind_of(spec) for spec in OWN}
    assert {trial.task for trial in tuned(name)} == {"faces"}


def test_a_curve_over_alpha_and_a_soup_cost_no_training_of_their_own() -> None:
    trials = tuned("mitigation")
    trained = {trial.remedy.kind for trial in trials if trial.trains}
    assert trained == {kind_of(spec) for spec in OWN if spec.trains}
    assert sum(trial.trains for trial in trials) == len(trained) * 2 * 3, "of two backbones and three seeds, each once"
    assert {trial.seed for trial in trials} == {0, 1, 2} and {trial.backbone for trial in trials} == {
        "mini-s",
        "mini-l",
    }


def test_demo_remedies_is_a_part_of_mitigation_without_soups() -> None:
    whole, part = ({trial.key: trial for trial in load_spec(name).trials()} for name in ("mitigation", "demo-remedies"))
    assert part.keys() < whole.keys()
    expected = {
        key
        for key, trial in whole.items()
        if (trial.backbone, trial.seed) == ("mini-s", 0) and not re.search("soup", trial.remedy.kind)
    }
    assert part.keys() == expected


def test_lora_rank_doubles_from_1_to_64_beside_the_whole_tower() -> None:
    for name in ("lora_rank", "lora_rank-paper"):
        for backbone in load_spec(name).backbones:
            of = [t.adaptation for t in tuned(name) if t.backbone == backbone and t.seed == tuned(name)[0].seed]
            ranks = sorted(getattr(adaptation, "rank", 0) for adaptation in of)
            assert ranks == [0, *(2**power for power in range(7))]
            assert len({adaptation.alpha for adaptation in of if adaptation.kind == "lora"}) == 1


def test_task_complexity_changes_classes_and_head_and_nothing_else() -> None:
    for name in ("task_complexity", "task_complexity-paper"):
        trials = tuned(name)
        cells = {(trial.training.classes, trial.head.kind) for trial in trials}
        assert cells == {(2, "binary")} | {(n, head) for n in (2, 10, 50, 250, 1000) for head in ("softmax", "cosface")}
        others = {trial.training.model_copy(update={"classes": None}) for trial in trials}
        assert len(others) == 1 and next(iter(others)).steps_per_epoch, "equal steps, batches and rates"
        assert len(trials) == len(cells) * len({trial.seed for trial in trials})
    assert 5 * 75 * 16 == 5 * 8 * 150, "as many images as the demo shows of faces"


def test_rates_gives_every_task_the_same_five() -> None:
    for name in ("rates", "rates-paper"):
        found: dict[str, dict[str, set[float]]] = {}
        for trial in tuned(name):
            rates = found.setdefault(trial.adaptation.kind, {}).setdefault(trial.task, set())
            rates.add(trial.training.lr_backbone)
        for by_task in found.values():
            assert by_task.keys() == TASKS.keys()
            assert len({frozenset(rates) for rates in by_task.values()}) == 1
            assert all(len(rates) == 5 for rates in by_task.values())
    defaults = {(t.task, t.adaptation.kind): t.training.lr_backbone for t in tuned("demo")}
    swept = {(t.task, t.adaptation.kind, t.training.lr_backbone) for t in tuned("rates")}
    assert {(*cell, rate) for cell, rate in defaults.items()} <= swept, "the demo's own rates are among them"
    assert {1e-4, 1e-5, 1e-6} <= {t.training.lr_backbone for t in tuned("rates-paper")}, "and the paper's"


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_has_a_twin_on_real_weights_and_data(name: str, tmp_path: Path) -> None:
    mini, paper = load_spec(name), load_spec(f"{name}-paper")
    assert (mini.collection, paper.collection) == ("miniature", "paper")
    assert paper.resources.gpus == 1 and not mini.resources.gpus
    assert {trial.task for trial in tuned(name)} == {trial.task for trial in tuned(f"{name}-paper")}
    settings = Settings(storage=str(tmp_path / "out"), data=str(tmp_path / "data"), cache=str(tmp_path / "cache"))
    assert preflight(mini, settings) == []
    wrong = [fault for fault in preflight(paper, settings) if "remedy." in fault.where]
    assert wrong == [], "what it lacks are weights, data and a GPU"


def test_there_is_no_other_preset() -> None:
    assert presets().keys() == {"demo", "demo-remedies", "paper", *QUESTIONS, *(f"{name}-paper" for name in QUESTIONS)}
