"""The sweeps of docs/miniature.md: the papers' recipe times one factor, the rule that chooses it, the chain that runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import gelo
from docs import faithful
from gelo.models.backbones import registry
from gelo.models.faults import UserError
from gelo.models.training.schedule import rate
from gelo.sweeps.spec.sweep import load_spec, parse_spec
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training.augment import augment

FACTORS = {"lora": 30.0, "full": 3.0}
SIZES = {"mini-s-people": "ViT-B/16", "mini-l-people": "ViT-L/14"}  # which backbone of the papers each stands for


def _tuned(spec: dict[str, Any]) -> list[Trial]:
    return [trial for trial in parse_spec(spec, spec["name"]).trials() if trial.training is not None]


def test_the_recipe_is_the_papers_times_the_factor() -> None:
    """Against the preset `paper`, whose values are the papers'."""
    papers = {
        (trial.backbone, trial.task): trial for trial in load_spec("paper").trials() if trial.training is not None
    }
    trials = _tuned(faithful.faithful(FACTORS))
    assert len(trials) == 3 * 2 * 2 * 3
    for trial in trials:
        paper = papers[SIZES[trial.backbone], trial.task]
        assert trial.training is not None and paper.training is not None
        factor = FACTORS[trial.adaptation.kind]
        assert trial.training.lr_backbone == pytest.approx(factor * paper.training.lr_backbone)
        assert trial.training.lr_head == pytest.approx(factor * paper.training.lr_head)
        for same in ("schedule", "augment", "sampler", "weight_decay", "clip"):
            assert getattr(trial.training, same) == getattr(paper.training, same), (trial.label, same)
        assert trial.training.epochs == faithful.EPOCHS
        assert trial.head == paper.head
        assert trial.adaptation.kind == "full" or trial.adaptation == paper.adaptation


def test_the_epochs_end_where_a_fall_of_the_papers_schedule_ends() -> None:
    """The rate of FRoundation's schedule rises nowhere in the last ten epochs, and would start again in the next."""
    (trial, *_) = [each for each in _tuned(faithful.faithful(FACTORS)) if each.task == "faces"]
    assert trial.training is not None
    rates = [rate(trial.training, 1.0, epoch, 1) for epoch in range(faithful.EPOCHS + 1)]
    assert rates[:5] == [1.0] * 5 and rates[10] == rates[20] == 1.0
    assert rates[10:20] == sorted(rates[10:20], reverse=True) and rates[19] < 0.03


def test_the_present_recipe_is_the_demos_on_the_same_backbones() -> None:
    overrides = tuple(f"{key}={yaml.safe_dump(value, default_flow_style=True).strip()}" for key, value in faithful.present().items()
                      if key != "name")  # fmt: skip
    changed = [
        trial for trial in load_spec("demo", (*overrides, "name=present")).trials() if trial.training is not None
    ]
    demo = {(trial.task, trial.adaptation): trial for trial in load_spec("demo").trials() if trial.training is not None}
    assert len(changed) == 36 and {trial.seed for trial in changed} == {0, 1, 2}
    assert {trial.backbone for trial in changed} == set(faithful.BACKBONES)
    for trial in changed:
        assert trial.training == demo[trial.task, trial.adaptation].training


def _histories(loss: Callable[[str, float], float], epochs: int = faithful.EPOCHS) -> dict[str, list[dict[str, float]]]:
    made = {}
    for trial in _tuned(faithful.rates()):
        assert trial.training is not None
        last = loss(trial.adaptation.kind, trial.training.lr_backbone / 1e-4)
        made[trial.key] = [{"loss": 99.0}] * (epochs - 1) + [{"loss": last}]
    return made


def test_the_factor_is_that_of_the_lowest_last_loss() -> None:
    assert len(_tuned(faithful.rates())) == 10
    best = {"lora": 30.0, "full": 3.0}
    found = faithful.losses(_histories(lambda kind, factor: abs(factor - best[kind])))
    assert sorted(found["lora"]) == list(faithful.FACTORS) == sorted(found["full"])
    assert faithful.chosen(found) == best
    level = faithful.losses(_histories(lambda kind, factor: 1.0))
    assert faithful.chosen(level) == {"lora": 1.0, "full": 1.0}, "of equal ones the smaller"


def test_what_diverged_or_has_not_ended_chooses_nothing() -> None:
    found = faithful.losses(_histories(lambda kind, factor: float("nan") if factor > 20 else 100 - factor))
    assert faithful.chosen(found)["lora"] == pytest.approx(10.0)
    with pytest.raises(UserError, match="no trial with a loss"):
        faithful.chosen(faithful.losses(_histories(lambda kind, factor: 1.0, epochs=3)))


def test_the_chain_writes_the_sweep_before_it_runs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    page, ran = tmp_path / "faithful.yaml", []

    def run(sweep: Any, *, overrides: Any = None, storage: str) -> SimpleNamespace:
        ran.append((sweep["name"] if isinstance(sweep, dict) else str(sweep), page.exists(), overrides))
        return SimpleNamespace(complete=sweep != "demo" or whole)

    whole = True
    histories = _histories(lambda kind, factor: abs(factor - {"lora": 10, "full": 1}[kind]))
    monkeypatch.setattr(gelo, "run", run)
    monkeypatch.setattr("gelo.analysis.runs.read_runs", lambda *_: SimpleNamespace(histories=histories))
    monkeypatch.setattr(faithful, "PAGE", page)
    assert faithful.main(["--storage", str(tmp_path), "--rates"]) == 0
    assert ran == [("faithful-rates", False, None)]
    assert "lora factor 1 loss 9.000" in capsys.readouterr().out
    assert faithful.main(["--storage", str(tmp_path)]) == 0
    assert [name for name, _, _ in ran[1:]] == ["faithful-rates", str(page), "demo"] and ran[2][1]
    written = load_spec(str(page))
    assert written == parse_spec(faithful.faithful({"lora": 10.0, "full": 1.0}), "faithful")
    whole = False
    assert faithful.main(["--storage", str(tmp_path)]) == 1, "a trial failed"


@pytest.mark.parametrize("task", sorted(faithful.SETTINGS))
def test_the_papers_augmentations_take_images_of_64_pixels(task: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3), dtype=np.uint8)
    changed = augment(faithful.SETTINGS[task]["augment"], images, 64, np.random.default_rng(1))
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert (changed != images).any(axis=(1, 2, 3)).sum() >= 8, "half of them are mirrored at the least"


def test_a_mistake_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """As before the weights are there: both names are unknown to the registry."""
    monkeypatch.setattr(registry, "BACKBONES", {})
    monkeypatch.setattr(registry, "_config_files", dict)
    monkeypatch.setattr(gelo, "run", lambda sweep, **_: parse_spec(sweep, "faithful-rates"))
    assert faithful.main([]) == 2
    assert "mini-s-people" in capsys.readouterr().err
