"""What is made after training: what a remedy that trains once more is handed, trials that a soup brings, and what results say of it."""

# ruff: noqa: F811

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file
from upath import UPath

from gelo.models.adapt import Full
from gelo.models.faults import UserError
from gelo.models.heads import AdaFace
from gelo.models.remedies import (
    HMA,
    Bench,
    Counterfactual,
    GroupCalibration,
    RemedySpec,
    Retrieval,
    Soup,
    Stack,
    Wise,
    counterfactual,
)
from gelo.models.tower import Tower
from gelo.models.training.run import Run
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import Subject, jobs_of
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.score import score_of
from gelo.sweeps.state.costs import Assumed, planned
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.terminal.results import remarks
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.results import WRAPPED, Result
from gelo.tasks.training.preprocess import transforms
from gelo.tasks.training.source import SplitSource
from tests.sweeps.test_leaks import made as images
from tests.sweeps.test_leaks import trained, untouched  # noqa: F401
from tests.sweeps.test_train import World, folders, trial, whole, world  # noqa: F401


class Asks(RemedySpec):
    """Tells what it was handed."""

    trains: ClassVar[bool] = False
    retrains: ClassVar[bool] = True
    kind: str = "asks"
    told: list[Any] = Field(default_factory=list)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        self.told.append(bench)
        return tower


@pytest.mark.parametrize(("preprocess", "kind"), [("backbone", "cosface"), ("spoof", "adaface")])
def test_a_remedy_that_trains_is_handed_head_images_and_seed(
    world: World,
    whole: Callable[[Trial], Path],
    preprocess: str,
    kind: str,
    tmp_path: Path,
) -> None:
    """The head as it was kept, and the images as its tests show them, not augmented: its loss on them is that of the detector's encoder."""
    asks, made = Asks(), TrialFolder(UPath(tmp_path))
    wanted = trial(Full(), preprocess=preprocess, remedy=asks)
    if kind == "adaface":
        wanted = wanted.model_copy(update={"head": AdaFace(sample=0.5)})
    finish(wanted, world.base, folders(whole, made), dataset=world.dataset, cache=world.cache)
    (bench,) = asks.told
    head, source, shown = bench.trainer()
    kept = load_file(whole(wanted.source) / "trained" / "head.safetensors")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in head.whole().items())
    assert not any(parameter.requires_grad for parameter in head.parameters())
    assert bench.seed == wanted.seed and source.name == "faces/train"
    tower = Tower({"encoder": load_file(whole(wanted.source) / "trained" / "encoder.safetensors")})
    detector = tower.encoder(world.base).with_transform(shown.transform)
    assert detector.vision_fingerprint == made.training()["detector"]
    rows = np.arange(8)
    one, two = (source.take(rows, None, slice(None)) for _ in range(2))
    assert np.array_equal(one, two) and one.shape == (8, 64, 64, 3)
    assert (tmp_path / "trained" / "head.safetensors").read_bytes() == (
        whole(wanted.source) / "trained" / "head.safetensors"
    ).read_bytes()


def test_images_that_are_not_there_are_told(
    world: World,
    whole: Callable[[Trial], Path],
    tmp_path: Path,
) -> None:
    made = TrialFolder(UPath(tmp_path))
    with pytest.raises(UserError, match="faces: not whole"):
        finish(trial(Full(), remedy=Asks()), world.base, folders(whole, made))
    finish(trial(Full(), remedy=Wise()), world.base, folders(whole, made))
    assert made.is_trained(), "who does not train needs none"


@pytest.mark.parametrize(
    "remedy",
    [
        HMA(steps=3, images=8),
        GroupCalibration(epochs=2, images=40),
        Stack(remedies=(GroupCalibration(epochs=1), HMA(steps=1, images=4), Wise(alpha=0.5))),
    ],
    ids=lambda remedy: remedy.label,
)
def test_those_that_train_once_more_end_on_the_same_bits(
    world: World,
    whole: Callable[[Trial], Path],
    remedy: RemedySpec,
    tmp_path: Path,
) -> None:
    wanted, bits = trial(Full(), remedy=remedy, lr_backbone=1e-5, lr_head=1e-5), []  # too low to be right everywhere
    for again in range(2):
        torch.manual_seed(again)
        made = TrialFolder(UPath(tmp_path / str(again)))
        finish(wanted, world.base, folders(whole, made), dataset=world.dataset, cache=world.cache)
        bits.append((tmp_path / str(again) / "trained" / "encoder.safetensors").read_bytes())
    assert bits[0] == bits[1] != (whole(wanted.source) / "trained" / "encoder.safetensors").read_bytes()
    notes = json.loads((tmp_path / "0" / "trained" / "tower.json").read_text())["notes"]
    assert {"hma", "group_calibration"} & set(notes)


def test_a_soup_over_rates_is_of_the_trials_of_the_grid(
    world: World,
    whole: Callable[[Trial], Path],
    tmp_path: Path,
) -> None:
    """Whoever asks for the same rates in the grid finds their trials there, by their keys."""
    remedy = ["none", {"soup": {"seeds": [], "lr_backbone": [1e-3, 2e-3], "epochs": [2, 4]}}]
    asked = {"name": "s", "backbones": ["mini-s"], "tasks": {"faces": {"remedy": remedy}}, "seeds": [1]}
    grid = {"faces": {"lr_backbone": [1e-3, 2e-3], "epochs": [2, 4]}}
    trials = SweepSpec.model_validate(asked).trials()
    (soup,) = (each for each in trials if each.remedy.kind == "soup")
    one, two = {each.key for each in soup.parents.values()}, SweepSpec.model_validate(asked | {"tasks": grid}).trials()
    assert one == {each.key for each in two if each.training} and one < {each.key for each in trials}
    wanted, made = trial(Full(), remedy=Soup(seeds=(), lr_backbone=(1e-3, 2e-3))), TrialFolder(UPath(tmp_path))
    finish(wanted, world.base, folders(whole, made))
    states = [
        load_file(whole(trial(Full(), lr_backbone=rate)) / "trained" / "encoder.safetensors") for rate in (1e-3, 2e-3)
    ]
    mixed = load_file(tmp_path / "trained" / "encoder.safetensors")
    for name, tensor in mixed.items():
        torch.testing.assert_close(
            tensor.double(), (states[0][name].double() + states[1][name].double()) / 2, rtol=0, atol=1e-7
        )


def test_a_fault_of_a_soup_names_its_trial(
    world: World,
    whole: Callable[[Trial], Path],
    tmp_path: Path,
) -> None:
    wanted = trial(Full(), remedy=Soup(seeds=(3,), rule="greedy"))
    with pytest.raises(
        UserError,
        match=r"trial mini-s faces full soup\(seeds=\(3,\), rule=greedy\) seed 3, soup: 1 .*\n.*no validation",
    ):
        finish(wanted, world.base, folders(whole, TrialFolder(UPath(tmp_path))))


def test_blocks_that_a_tower_does_not_have_are_refused_before_anything_starts() -> None:
    tasks = {"faces": {"remedy": [{"hma": {"blocks": [3, 99]}}, [{"wise": {}}, {"hma": {"blocks": 98}}]]}}
    with pytest.raises(UserError) as caught:
        SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks}).trials()
    faults = [str(fault) for fault in caught.value.faults]
    assert len(faults) == 2 and all("tasks.faces.remedy (mini-s): hma of 9" in fault for fault in faults)


def test_results_of_an_encoder_with_something_around_it_say_so(untouched: Subject, tmp_path: Path) -> None:
    learnt = images(tmp_path, "learnt", train=[(0, 0), (1, 1)])
    mine = images(tmp_path, "mine", test=[(3, 0), (9, 1)])
    subject = trained(untouched, learnt)
    retrieval = Retrieval(reference="learnt/train")
    said = {}
    for remedy in (Wise(), retrieval, Stack(remedies=(Wise(), retrieval))):
        of = replace(subject, trial=subject.trial.model_copy(update={"remedy": remedy}))
        (job,) = jobs_of([of], {"mine": mine}, [("mine", "zero_shot")])
        said[remedy.kind] = score_of(job, tmp_path, "cpu").notes.get(WRAPPED)
    text = f"{retrieval.label} around the encoder: not the plain encoder's own"
    assert said == {"wise": None, "retrieval": text, "stack": text}
    one = Result(
        suite="zero_shot", dataset="digits", protocol="zero-shot", protocol_version=1, scale="miniature",
        values={"zero_shot/digits/top1": 0.5}, counts={"images": 2}, notes={"leak": "none found", WRAPPED: text},
    )  # fmt: skip
    two = one.model_copy(update={"suite": "probe", "values": {"probe/digits/top1": 0.5}})
    assert remarks([one, two]) == [f"zero_shot/digits, probe/digits: {text}"]


@pytest.mark.parametrize("preprocess", ["backbone", "spoof"])
def test_a_remedy_that_looks_at_the_tasks_images_sees_them_as_tests_do(
    world: World, preprocess: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of spoofs are larger in training, before the crop."""
    seen: list[Run] = []
    made = counterfactual.edited
    monkeypatch.setattr(counterfactual, "edited", lambda run, spec: seen.append(run) or made(run, spec))
    remedy = Counterfactual(reference="faces/train", batch=2, images=4, grid=2, most=4)
    general = SplitSource(world.dataset, "train", world.base.transform, world.cache)
    wanted = trial(Full(), preprocess=preprocess, remedy=remedy, epochs=1)
    assert world.train(wanted, tmp_path, sources={"reference": general})
    (run,) = seen
    assert run.task is not None and run.transform is not None
    assert run.task.take(np.arange(2), None, slice(None)).shape == (2, 64, 64, 3)
    assert run.transform == transforms(preprocess, world.base.transform).train  # type: ignore[arg-type]
    (row,) = TrialFolder(UPath(tmp_path)).training()["history"]
    assert row["loss_counterfactual"] > 0
    plain = tmp_path / "plain"
    assert world.train(trial(Full(), preprocess=preprocess, epochs=1), plain, sources={})
    assert (plain / "trained" / "encoder.safetensors").read_bytes() != (
        tmp_path / "trained" / "encoder.safetensors"
    ).read_bytes()


def test_a_plan_says_what_it_cannot_count_of_them(tmp_path: Path) -> None:
    tasks = {"faces": {"remedy": ["wise", "hma", [{"l2sp": {}}, "group_calibration"]]}}
    spec = SweepSpec.model_validate({"name": "s", "backbones": ["mini-s"], "tasks": tasks})
    said = {
        text
        for text in planned(spec, Settings(data=str(tmp_path)), Assumed({}, 0.3, None))["unknown"]
        if text.startswith("what ")
    }
    assert said == {f"what {kind} takes after training" for kind in ("hma", "group_calibration")} | {
        "what l2sp adds to a step"
    }
