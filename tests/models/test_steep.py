"""Alignment and sharpness against autograd on a copy, what they leave untouched, and that a run is measured once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gelo.models.adapt import AdaptationSpec, Full, Linear, Lora, LoraExperts, LpFt, adapt
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary
from gelo.models.heads.head import make_head
from gelo.models.training.run import Run
from gelo.models.training.steep import RADIUS, steepness
from gelo.models.training.world import World
from tests.models.test_watch import same, with_statistics  # noqa: F401
from tests.models.toy_run import STEPS, go, pulling, settings

WAYS: list[AdaptationSpec] = [Full(), Lora(rank=2, dropout=0.25), LoraExperts(rank=2)]


def stepped(encoder: Encoder, spec: AdaptationSpec, **changes: Any) -> Run:
    """A run whose parameters were moved and have gradients, as after a step."""
    model = adapt(encoder.visual, spec, 0)
    torch.manual_seed(0)
    for parameter in model.trainable().values():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
        parameter.grad = torch.randn_like(parameter)
    head = make_head(Binary(), encoder.dim, 2, 0, World())
    model.train()
    return Run(encoder, model, head, settings(**changes), 0, 3)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("spec", WAYS, ids=lambda spec: spec.kind)
def test_both_are_what_autograd_says_of_a_copy(spec: AdaptationSpec, accumulate: int, encoder: Encoder) -> None:
    run, loss = stepped(encoder, spec, accumulate=accumulate), pulling(encoder).loss
    assert loss is not None
    copied = copy.deepcopy(run.model).eval()
    mean = loss(copied, slice(4)).mean()
    named = [
        (one, two) for one, two in zip(run.model.parameters(), copied.parameters(), strict=True) if one.grad is not None
    ]
    pull = torch.cat([each.ravel() for each in torch.autograd.grad(mean, [two for _, two in named])])
    step = torch.cat([one.grad.ravel() for one, _ in named if one.grad is not None])
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    found = steepness(run, loss)
    assert found["alignment"] == pytest.approx(float(F.cosine_similarity(pull, step, dim=0)), abs=1e-5)
    with torch.no_grad():
        for (_, parameter), part in zip(named, pull.split([two.numel() for _, two in named]), strict=True):
            parameter.add_(RADIUS * part.view_as(parameter) / pull.norm())
        assert found["sharpness"] == pytest.approx(float(loss(copied, slice(4)).mean() - mean), abs=1e-5)
    assert found["sharpness"] > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.model.state_dict().items())
    assert torch.equal(step, torch.cat([one.grad.ravel() for one, _ in named if one.grad is not None]))
    assert run.model.training


def test_running_statistics_stay(with_statistics: Encoder) -> None:  # noqa: F811
    run, loss = stepped(with_statistics, Full()), pulling(with_statistics).loss
    before = run.model.network[1].running_mean.clone()  # type: ignore[index]
    assert loss is not None and steepness(run, loss).keys() == {"alignment", "sharpness"}
    assert torch.equal(run.model.network[1].running_mean, before)  # type: ignore[index]


def test_where_there_is_nothing_to_measure_there_is_no_number(encoder: Encoder) -> None:
    loss = pulling(encoder).loss
    assert loss is not None
    assert steepness(stepped(encoder, Linear()), loss) == {} == steepness(stepped(encoder, Full(), compile=True), loss)
    assert steepness(stepped(encoder, Full()), lambda encode, which: torch.zeros(0)) == {}
    still = stepped(encoder, Full())
    for parameter in still.model.trainable().values():
        parameter.grad = torch.zeros_like(parameter)
    assert steepness(still, loss) == {}


@pytest.mark.parametrize("spec", WAYS[:2], ids=lambda spec: spec.kind)
def test_a_run_is_measured_once_changes_no_bit_and_goes_on_to_the_same_numbers(
    spec: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    plain = go(encoder, spec, tmp_path / "plain")
    whole = go(encoder, spec, tmp_path / "whole", watch=pulling(encoder))
    drifts = whole.run.curve.drifts
    assert same(plain, whole) and [row["step"] for row in drifts] == [0, 2, 4, 6]
    assert [sorted(row) for row in drifts[1:]] == [
        ["alignment", "distance", "sharpness", "step"],
        *[["distance", "step"]] * 2,
    ]
    assert drifts[0] == {"step": 0, "distance": 0.0} and drifts[3]["distance"] > drifts[1]["distance"] > 0
    for _ in range(STEPS - 1):
        assert not go(encoder, spec, tmp_path / "left", watch=pulling(encoder), stop_after=1).finished
    assert go(encoder, spec, tmp_path / "left", watch=pulling(encoder)).run.curve.drifts == drifts


def test_a_tower_that_waits_for_its_head_is_measured_once_it_trains(encoder: Encoder, tmp_path: Path) -> None:
    ended = go(encoder, LpFt(), tmp_path, watch=pulling(encoder, 6))
    measured = [row["step"] for row in ended.run.curve.drifts if "alignment" in row]
    waits = ended.model.waits * ended.run.steps_per_epoch
    assert len(measured) == 1 and measured[0] > waits > 0
