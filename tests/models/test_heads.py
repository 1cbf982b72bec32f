from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace, HeadKind
from gelo.models.heads.head import Head
from gelo.tasks.protocols.heads import head_scores


def test_cosface_equals_a_case_computed_by_hand() -> None:
    head = CosFace(scale=10.0, margin=0.2)
    kernel = {"kernel": torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 0.0]])}  # columns point to 0, 90 and 180 degrees
    features = torch.tensor([[3.0, 4.0], [-5.0, 0.0]])  # cosines 0.6, 0.8, -0.6 and -1, 0, 1
    labels = torch.tensor([0, 2])
    first = [10 * (0.6 - 0.2), 10 * 0.8, 10 * -0.6]
    second = [-10.0, 0.0, 10 * (1 - 0.2)]
    expected = (math.log(sum(map(math.exp, first))) - first[0] + math.log(sum(map(math.exp, second))) - second[2]) / 2
    torch.testing.assert_close(head.cosines(kernel, features), torch.tensor([[0.6, 0.8, -0.6], [-1.0, 0.0, 1.0]]))
    assert head.loss(kernel, features, labels).item() == pytest.approx(expected, rel=1e-6)


def test_cosface_equals_a_plain_loop_at_the_papers_values() -> None:
    torch.manual_seed(0)
    head = Head(CosFace(), 8, 5, seed=1)
    assert head.spec == CosFace(scale=64.0, margin=0.3)
    features, labels = torch.randn(6, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    kernel = head.state_dict()["kernel"].double().numpy()
    losses = []
    for f, y in zip(features.double().numpy(), labels.tolist(), strict=True):
        logits = [
            64 * (f @ kernel[:, j] / np.linalg.norm(f) / np.linalg.norm(kernel[:, j]) - 0.3 * (j == y))
            for j in range(5)
        ]
        losses.append(np.logaddexp.reduce(logits) - logits[y])
    assert head.loss(features, labels).item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert head.loss(features * 7, labels).item() == pytest.approx(np.mean(losses), rel=1e-5)  # length does not matter


def test_cosface_without_margin_is_cross_entropy_on_cosines() -> None:
    spec = CosFace(scale=5.0, margin=0.0)
    head = Head(spec, 4, 3, seed=2)
    features, labels = torch.randn(7, 4), torch.arange(7) % 3
    expected = nn.functional.cross_entropy(5.0 * spec.cosines(dict(head.named_parameters()), features), labels)
    torch.testing.assert_close(head.loss(features, labels), expected)


def test_binary_head_is_torchs_bce_on_both_logits() -> None:
    torch.manual_seed(0)
    head = Head(Binary(), 6, 2, seed=1)
    features, labels = torch.randn(9, 6), torch.arange(9) % 2
    linear = nn.Linear(6, 2)
    linear.load_state_dict(head.state_dict())  # the same names and shapes: weight (2, d), bias (2,)
    one_hot = torch.stack([1 - labels, labels], dim=1).float()
    unit = features / features.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(head.loss(features, labels), nn.BCELoss()(torch.sigmoid(linear(unit)), one_hot))
    torch.testing.assert_close(Binary().logits(head.state_dict(), features), linear(unit))


def test_binary_head_scores_as_the_protocols_score_it() -> None:
    torch.manual_seed(0)
    head, features = Head(Binary(), 6, 2, seed=1).state_dict(), 5 * torch.randn(9, 6)
    scored = head_scores(features.numpy(), head["weight"].numpy(), head["bias"].numpy())
    torch.testing.assert_close(
        torch.from_numpy(scored), Binary().logits(head, features).softmax(1)[:, 1].double(), atol=1e-6, rtol=0
    )


def test_initial_weights_have_the_papers_spread() -> None:
    kernel = Head(CosFace(), 256, 400, seed=0).state_dict()["kernel"]
    assert kernel.std().item() == pytest.approx(0.01, rel=0.02) and abs(kernel.mean().item()) < 1e-4
    weight = Head(Binary(), 512, 2, seed=0).state_dict()["weight"]
    assert weight.abs().max().item() == pytest.approx(1 / math.sqrt(512), rel=0.02)
    assert sum(p.numel() for p in Head(Binary(), 512, 2, seed=0).parameters()) == 1026


@pytest.mark.parametrize(("spec", "classes"), [(CosFace(), 7), (Binary(), 2)])
def test_the_seed_alone_decides_the_start(spec: CosFace | Binary, classes: int) -> None:
    before = torch.get_rng_state()
    first = Head(spec, 5, classes, seed=0).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert all(torch.equal(first[k], v) for k, v in Head(spec, 5, classes, seed=0).state_dict().items())
    assert any(not torch.equal(first[k], v) for k, v in Head(spec, 5, classes, seed=1).state_dict().items())


def test_bad_specs_are_refused() -> None:
    with pytest.raises(UserError, match="3 classes"):
        Head(Binary(), 5, 3, seed=0)
    parse = TypeAdapter(HeadKind).validate_python
    assert parse({"kind": "cosface", "margin": 0.4}) == CosFace(margin=0.4)
    for wrong in (
        {"kind": "arcface"},
        {"kind": "cosface", "scale": 0},
        {"kind": "cosface", "margin": -0.1},
        {"kind": "binary", "x": 1},
    ):
        with pytest.raises(ValidationError):
            parse(wrong)
