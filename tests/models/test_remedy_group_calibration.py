"""Group calibration: who its anchors and neighbours are by numpy, its loss as torch's cross-entropy, its step by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gelo.models.adapt import Full, adapt
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace, HeadSpec, Softmax
from gelo.models.heads.head import Head
from gelo.models.remedies import Bench, GroupCalibration
from gelo.models.tower import Tower
from tests.models.toy_run import Noise


def tuned(encoder: Encoder) -> Tower:
    adapted = adapt(encoder.visual, Full(), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in adapted.state().items()})
    return adapted.publish()


def bench_of(encoder: Encoder, tower: Tower, spec: HeadSpec, right: int) -> Bench:
    """Labels such that the head is right on the first `right` images that it takes for each class, and wrong on all others."""
    source, head = Noise(0, encoder.transform.size, encoder.dim), Head(spec, encoder.dim, 2, 0)
    weight, bias = spec.detector({name: tensor.detach().numpy() for name, tensor in head.named_parameters()})
    features = tower.encoder(encoder).encode_images(source.pixels)
    margins = features @ (weight[1] - weight[0]) / np.linalg.norm(features, axis=1) + bias[1] - bias[0]
    shift = torch.from_numpy(np.array([np.median(margins), 0.0], np.float32))
    if "bias" in dict(head.named_parameters()):
        head.bias.data += shift  # so that it takes half of them for each class
        found = margins - np.median(margins) > 0
    else:
        found = margins > 0
    source.labels = np.array([(1 - said) if n >= right else said for n, said in _numbered(found.astype(int))])
    return Bench(encoder, head=head, task=source, seed=3)


def _numbered(said: np.ndarray) -> list[tuple[int, int]]:
    """(how many before it were taken for its class, the class) of each image."""
    return [(int((said[:place] == each).sum()), int(each)) for place, each in enumerate(said)]


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_loss_is_cross_entropy_with_the_positive_first(temperature: float) -> None:
    torch.manual_seed(0)
    anchors, positives, negatives = torch.randn(4, 8), torch.randn(4, 3, 8), torch.randn(4, 5, 8)
    expected = []
    for a, ps, ns in zip(anchors, positives, negatives, strict=True):
        for p in ps:
            cosines = torch.stack([F.cosine_similarity(a, other, dim=0) for other in (p, *ns)])
            expected.append(F.cross_entropy(cosines[None] / temperature, torch.tensor([0])))
    found = GroupCalibration(temperature=temperature).recalibration(anchors, positives, negatives)
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize("spec", [Binary(), Softmax()], ids=lambda spec: spec.kind)
def test_one_step_is_that_of_the_formula(spec: HeadSpec, encoder: Encoder) -> None:
    """One image of each class is recognised, so that there is one positive to draw; neighbours by a full sort of whole features."""
    tower = tuned(encoder)
    bench = bench_of(encoder, tower, spec, right=1)
    assert bench.head is not None and bench.task is not None
    source: Any = bench.task
    remedy = GroupCalibration(epochs=1, strength=0.5, lr=0.3, positives=2, negatives=3, temperature=0.5)
    made = remedy.finish(tower, bench)
    whole = tower.encoder(encoder).encode_images(source.pixels).astype(np.float64)
    unit = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    trunk = torch.from_numpy(tower.encoder(encoder).encode_images(source.pixels, projected=False)).double()
    parts = {name: tensor.detach().double() for name, tensor in bench.head.named_parameters()}
    logits = F.normalize(torch.from_numpy(whole), dim=1) @ parts["weight"].T + parts["bias"]
    right = logits.argmax(1).numpy() == source.labels
    assert right.sum() == 2 and made.notes["group_calibration"] == {"anchors": len(right) - 2}
    proj = tower.weights["proj"].double().requires_grad_(True)
    features, losses = trunk @ proj, []
    for row in np.flatnonzero(~right):
        (friend,) = np.flatnonzero(right & (source.labels == source.labels[row]))
        others = np.flatnonzero(source.labels != source.labels[row])
        near = others[np.argsort(-(unit[others] @ unit[row]))[:3]]
        cosines = F.cosine_similarity(features[row][None], features[[friend, *near]], dim=1)
        losses.append(F.cross_entropy(cosines[None] / 0.5, torch.tensor([0])))
    wrong = torch.from_numpy(~right)
    task = spec.loss(parts, features[wrong], torch.from_numpy(source.labels)[wrong])
    (0.5 * 1.5 * (task + torch.stack(losses).mean())).backward()
    expected = proj - 0.3 * (proj.grad + 1e-5 * proj)  # type: ignore[operator]
    moved = (made.weights["proj"] - tower.weights["proj"]).double()
    torch.testing.assert_close(moved, (expected - proj).detach(), rtol=1e-3, atol=1e-6)
    assert float(moved.abs().max()) > 1e-4
    assert all(torch.equal(tensor, tower.weights[name]) for name, tensor in made.weights.items() if name != "proj")


def test_many_steps_are_seeded_and_mend_what_was_wrong(encoder: Encoder) -> None:
    tower = tuned(encoder)
    bench = bench_of(encoder, tower, CosFace(scale=8.0, margin=0.0), right=4)
    assert bench.head is not None and bench.task is not None
    remedy, source = GroupCalibration(epochs=30, anchors=8, lr=0.02), bench.task
    made, again, other = (remedy.finish(tower, replace(bench, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(made.weights["proj"], again.weights["proj"])
    assert not torch.equal(made.weights["proj"], other.weights["proj"])
    labels: Any = torch.from_numpy(source.labels)
    one, two = (
        float(bench.head.loss(torch.from_numpy(each.encoder(encoder).encode_images(source.pixels)), labels).detach())  # type: ignore[attr-defined]
        for each in (tower, made)
    )
    assert two < one, "most of the images were wrong"


@pytest.mark.parametrize("settings", [{"strength": 0.0}, {"epochs": 0}])
def test_without_a_phase_it_is_the_trained_tower_bit_for_bit(settings: dict[str, Any], encoder: Encoder) -> None:
    tower = tuned(encoder)
    made = GroupCalibration(**settings).finish(tower, bench_of(encoder, tower, Binary(), right=1))
    assert all(torch.equal(tensor, tower.weights[name]) for name, tensor in made.weights.items())


def test_a_head_without_an_error_leaves_it_too_and_that_is_noted(encoder: Encoder) -> None:
    tower = tuned(encoder)
    made = GroupCalibration().finish(tower, bench_of(encoder, tower, Binary(), right=100))
    assert made.notes["group_calibration"] == {"anchors": 0}
    assert all(torch.equal(tensor, tower.weights[name]) for name, tensor in made.weights.items())


class Mute(Binary):
    """Says no logits."""

    def detector(self, tensors: Mapping[str, Any]) -> tuple[Any, Any]:
        raise KeyError("weight")


def test_what_it_cannot_work_on_is_refused(encoder: Encoder) -> None:
    (fault,) = GroupCalibration().faults(None, "tasks.faces.remedy")
    assert "transformer blocks" in fault.found and GroupCalibration().faults(12) == []
    tower = tuned(encoder)
    source, head = Noise(0, encoder.transform.size, encoder.dim), Head(Mute(), encoder.dim, 2, 0)
    with pytest.raises(UserError, match=r"group_calibration: 1 .*\n.*head: a head binary without weight"):
        GroupCalibration().finish(tower, Bench(encoder, head=head, task=source))
    with pytest.raises(ValueError, match="needs the trained head"):
        GroupCalibration().finish(tower, Bench(encoder))


def test_its_gradient_is_that_of_differences() -> None:
    torch.manual_seed(1)
    given: list[Tensor] = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 4), (2, 2, 4), (2, 3, 4))
    ]
    assert torch.autograd.gradcheck(GroupCalibration(temperature=0.3).recalibration, given)
