"""The calibrated loss against numpy and torchvision's focal loss, and at its neutral settings against torch's own losses, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from gelo.models.adapt import Full, Lora
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import AdaFace, ArcFace, Binary, CosFace, HeadSpec, Softmax
from gelo.models.heads.classes import ClassHead
from gelo.models.heads.head import Head
from gelo.models.remedies import NoRemedy, SelectiveCalibration
from gelo.models.remedies.selective_calibration import hardest, of_classes, of_sigmoids
from gelo.models.training.world import World
from tests.models.one_step import features_of, losses_of, moved, softmax, unit
from tests.models.toy_run import go, settings

LABELS = [0, 3, 1, 2, 0, 4]


def random(*shape: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def by_hand(logits: NDArray[np.float64], labels: list[int], gamma: float, beta: float, selective: int = 0) -> float:
    """ytaek-oh/fsc-clip's _focal_loss_with_nsr, image by image; the others are the `selective` highest."""
    losses = []
    for row, label in zip(logits, labels, strict=True):
        others = sorted((value for place, value in enumerate(row) if place != label), reverse=True)
        others = others[:selective] if selective else others
        p = softmax(np.array([row[label], *others]))
        q = np.full(len(p), beta / len(p))
        q[0] += 1 - beta
        losses.append(-(q * (1 - p) ** gamma * np.log(p)).sum())
    return float(np.mean(losses))


@pytest.mark.parametrize("selective", [0, 1, 3, 4, 9])
@pytest.mark.parametrize(("gamma", "beta"), [(2.0, 0.02), (0.0, 0.3), (1.5, 0.0), (0.5, 0.1)])
@pytest.mark.parametrize(
    "head", [Softmax(), CosFace(scale=8.0), ArcFace(scale=8.0), AdaFace(scale=8.0)], ids=lambda h: h.kind
)
def test_it_is_the_written_formula_on_logits_without_the_margin(
    head: HeadSpec, gamma: float, beta: float, selective: int, encoder: Encoder, pixels: NDArray[np.uint8]
) -> None:
    remedy, adapted = SelectiveCalibration(gamma=gamma, beta=beta, selective=selective), moved(encoder, Lora(rank=1))
    losses, step = losses_of(remedy, encoder, adapted, pixels, LABELS, head)
    features, kept = unit(features_of(encoder, adapted, pixels)), step.run.head.whole()
    if isinstance(head, Softmax):
        logits = features @ kept["weight"].double().numpy().T + kept["bias"].double().numpy()
    else:
        logits = 8.0 * features @ unit(kept["kernel"].double().numpy().T).T
    np.testing.assert_allclose(step.logits.detach().numpy(), logits, rtol=1e-4, atol=1e-5)
    assert losses["task"].item() == pytest.approx(by_hand(logits, LABELS, gamma, beta, selective), rel=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_of_sigmoids_it_is_torchvisions_focal_loss(gamma: float) -> None:
    logits, labels = random(7, 2), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    target = F.one_hot(labels, 2).double()
    expected = sigmoid_focal_loss(logits, target, alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(of_sigmoids(logits, labels, gamma, 0.0), expected)
    smoothed = of_sigmoids(logits, labels, gamma, 0.1)
    each = torch.stack([logits, torch.zeros_like(logits)], dim=-1).flatten(
        0, 1
    )  # every logit against none: two classes
    torch.testing.assert_close(smoothed, of_classes(each, 1 - target.flatten().long(), gamma, 0.1))


def test_with_softmax_and_binary_heads_the_neutral_settings_are_plain_to_the_bit(
    encoder: Encoder, tmp_path: Path
) -> None:
    """Value, gradients and all that is trained: the loss is computed another way, and ends on the same bits."""
    neutral = SelectiveCalibration(gamma=0, beta=0)
    for number, (head, classes) in enumerate(((Softmax(), 5), (Binary(), 2))):
        plain, with_it = (
            go(encoder, Full(), tmp_path / f"{number}{each.kind}", each, head=head, classes=classes).tensors()
            for each in (NoRemedy(), neutral)
        )
        assert all(torch.equal(tensor, with_it[name]) for name, tensor in plain.items())


def test_a_head_of_rows_gives_the_scores_of_the_head_it_stands_for() -> None:
    """In one process; tests/models/two_processes.py has its columns on two."""
    spec, features = AdaFace(scale=8.0), random(6, 16).float()
    rows = ClassHead(spec, 16, 5, 3, World())
    rows.begin(0, torch.tensor(LABELS))
    torch.testing.assert_close(rows.logits(features), Head(spec, 16, 5, 3).logits(features))
    sampled = ClassHead(AdaFace(sample=0.5), 16, 5, 3, World())
    sampled.begin(0, torch.tensor(LABELS))
    with pytest.raises(UserError, match=r"adaface with sample 0\.5: a step sees that share of the classes"):
        sampled.logits(features)


def test_without_a_margin_it_is_plain_cosface(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    adapted = moved(encoder, Lora(rank=1))
    losses, step = losses_of(
        SelectiveCalibration(gamma=0, beta=0), encoder, adapted, pixels, LABELS, CosFace(margin=0.0)
    )
    torch.testing.assert_close(losses["task"], step.run.head.loss(step.features, step.batch.labels), rtol=1e-6, atol=0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_slopes_and_finite_where_the_true_class_is_certain(gamma: float) -> None:
    logits, labels = random(6, 5).requires_grad_(), torch.tensor(LABELS)
    assert torch.autograd.gradcheck(lambda x: of_classes(x, labels, gamma, 0.1), logits)
    assert torch.autograd.gradcheck(lambda x: of_classes(*hardest(x, labels, 2), gamma, 0.1), logits)
    assert torch.autograd.gradcheck(lambda x: of_sigmoids(x[:, :2], labels % 2, gamma, 0.1), logits)
    certain = (200.0 * F.one_hot(labels, 5)).requires_grad_()
    for loss in (of_classes(certain, labels, gamma, 0.0), of_sigmoids(certain[:, :2], labels.clamp(max=1), gamma, 0.0)):
        (gradient,) = torch.autograd.grad(loss, certain)
        assert torch.isfinite(gradient).all()


def test_what_has_no_scores_of_all_classes_is_refused() -> None:
    class Silent(HeadSpec):
        kind: str = "silent"

        def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
            return {}

        def loss(self, weights: object, features: Tensor, labels: Tensor) -> Tensor:
            return features.sum()

    told = [
        fault for head in (CosFace(sample=0.1), Silent()) for fault in SelectiveCalibration().clashes(head, settings())
    ]
    assert [fault.found for fault in told] == [
        "selective_calibration of cosface with sample 0.1: a step sees that share of the classes",
        "selective_calibration of silent, which gives no scores",
    ]
    assert "told apart one by one" in SelectiveCalibration(selective=1).clashes(Binary(), settings())[0].found
    assert not SelectiveCalibration(selective=3).clashes(CosFace(), settings())
