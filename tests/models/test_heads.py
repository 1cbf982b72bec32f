from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from gelo.models.faults import UserError
from gelo.models.heads import AdaFace, ArcFace, Binary, CosFace, HeadKind, HeadSpec, Softmax
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


def test_cosface_ends_on_the_bits_of_before() -> None:
    """The formula that trials of before there were other margins were trained with."""
    torch.manual_seed(3)
    head, features, labels = (
        Head(CosFace(), 16, 9, seed=1),
        torch.randn(12, 16, requires_grad=True),
        torch.arange(12) % 9,
    )
    kernel = head.state_dict()["kernel"].clone().requires_grad_(True)
    of_before = features.detach().clone().requires_grad_(True)
    unit = nn.functional.normalize
    cosines = (unit(of_before, dim=1) @ unit(kernel, dim=0)).clamp(-1.0, 1.0)
    margins = torch.zeros_like(cosines).scatter_(1, labels[:, None], 0.3)
    expected = nn.functional.cross_entropy(64.0 * (cosines - margins), labels)
    expected.backward()
    found = head.loss(features, labels)
    found.backward()
    assert torch.equal(found, expected) and torch.equal(features.grad, of_before.grad)  # type: ignore[arg-type]
    assert torch.equal(dict(head.named_parameters())["kernel"].grad, kernel.grad)  # type: ignore[arg-type]


def numpy_loss(
    kind: str, kernel: np.ndarray, features: np.ndarray, labels: np.ndarray, mean: float = 0, std: float = 1
) -> float:
    """Formulas of arXiv 1801.07698 and 2204.00964 in float64, term by term."""
    lengths = np.linalg.norm(features, axis=1)
    losses = []
    for f, n, y in zip(features, lengths, labels, strict=True):
        cosines = f @ kernel / n / np.linalg.norm(kernel, axis=0)
        theta = np.arccos(cosines[y])
        if kind == "arcface":
            cosines[y] = np.cos(theta + 0.5)
        else:
            z = np.clip(0.333 * (np.clip(n, 1e-3, 100) - mean) / (std + 1e-3), -1, 1)
            cosines[y] = np.cos(np.clip(theta - 0.4 * z, 1e-3, np.pi - 1e-3)) - (0.4 + 0.4 * z)
        losses.append(np.logaddexp.reduce(64 * cosines) - 64 * cosines[y])
    return float(np.mean(losses))


def drawn(spec: HeadSpec, seed: int = 0) -> tuple[Head, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    head = Head(spec, 8, 5, seed=1).double()
    return head, 10 * torch.randn(6, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, 0])


def test_arcface_is_the_papers_formula_with_insightfaces_gradient() -> None:
    head, features, labels = drawn(ArcFace())
    kernel = head.state_dict()["kernel"].clone()
    found = head.loss(features.requires_grad_(True), labels)
    assert found.item() == pytest.approx(
        numpy_loss("arcface", kernel.numpy(), features.detach().numpy(), labels.numpy()), rel=1e-9
    )
    found.backward()
    # insightface: the logits are changed without autograd seeing it; softmax - onehot goes on to the cosines as it is
    again = features.detach().clone().requires_grad_(True)
    cosines = nn.functional.normalize(again, dim=1) @ nn.functional.normalize(kernel, dim=0)
    moved = cosines.detach().clone()
    rows = torch.arange(6)
    moved[rows, labels] = (moved[rows, labels].acos() + 0.5).cos()
    outer = (64 * moved).softmax(1) - nn.functional.one_hot(labels, 5)
    cosines.backward(64 * outer / 6)
    torch.testing.assert_close(features.grad, again.grad)


def test_adaface_is_the_papers_formula_over_steps() -> None:
    head, features, labels = drawn(AdaFace())
    kernel = head.state_dict()["kernel"].numpy()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-6)
    mean, std = 20.0, 100.0
    for scale in (1.0, 3.0, 0.2):
        lengths = np.linalg.norm(scale * features.numpy(), axis=1).clip(1e-3, 100)
        mean, std = 0.99 * mean + 0.01 * lengths.mean(), 0.99 * std + 0.01 * lengths.std(ddof=1)
        found = head.loss(scale * features, labels).item()
        expected = numpy_loss("adaface", kernel, scale * features.numpy(), labels.numpy(), mean, std)
        assert found == pytest.approx(expected, rel=1e-9)
    kept = head.whole()
    assert (kept["mean"].item(), kept["std"].item()) == pytest.approx((mean, std))
    other = Head(AdaFace(), 8, 5, seed=2).double()
    other.load(kept)
    assert torch.equal(other.loss(features, labels), head.loss(features, labels))


def test_adafaces_gradient_is_that_of_finite_differences() -> None:
    """On the direction of the features: their length has none, by the paper's own rule."""
    spec = AdaFace(scale=8.0)
    head, features, labels = drawn(spec, seed=4)
    weights = {
        **{n: p.detach() for n, p in head.named_parameters()},
        "mean": torch.tensor([20.0]),
        "std": torch.tensor([5.0]),
    }
    lengths = features.norm(dim=1, keepdim=True)

    def of(direction: torch.Tensor) -> torch.Tensor:
        return spec.loss(weights, lengths * nn.functional.normalize(direction, dim=1), labels)

    assert torch.autograd.gradcheck(of, (features.clone().requires_grad_(True),), eps=1e-6, atol=1e-6)


def test_margins_of_zero_are_cross_entropy_on_cosines() -> None:
    for spec in (ArcFace(scale=5, margin=0), AdaFace(scale=5, margin=0)):
        head, features, labels = drawn(spec)
        cosines = spec.cosines(dict(head.named_parameters()), features)
        expected = nn.functional.cross_entropy(5.0 * cosines, labels)
        torch.testing.assert_close(head.loss(features, labels), expected, rtol=1e-6, atol=1e-6)


def test_arcface_has_a_finite_gradient_where_a_feature_is_its_class_or_its_opposite() -> None:
    for spec in (ArcFace(), AdaFace()):
        head, _, labels = drawn(spec)
        kernel = head.state_dict()["kernel"]
        for sign in (1, -1):
            features = (sign * 9 * kernel.T[labels]).requires_grad_(True)
            head.loss(features, labels).backward()
            assert features.grad is not None and bool(features.grad.isfinite().all())


def test_softmax_is_torchs_cross_entropy_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    head = Head(Softmax(), 6, 4, seed=1)
    features, labels = 7 * torch.randn(9, 6), torch.arange(9) % 4
    linear = nn.Linear(6, 4)
    linear.load_state_dict(head.state_dict())
    unit = features / features.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(head.loss(features, labels), nn.CrossEntropyLoss()(linear(unit), labels))
    assert head.state_dict()["weight"].abs().max().item() <= 1 / math.sqrt(6)


@pytest.mark.parametrize("spec", [Binary(), Softmax(), CosFace(), ArcFace(), AdaFace()], ids=lambda each: each.kind)
def test_every_head_of_two_classes_is_scored_by_its_own_logits(spec: HeadSpec) -> None:
    """Without the margin, which is for training: softmax(scale * cosines)."""
    torch.manual_seed(0)
    head, features = Head(spec, 6, 2, seed=1), 5 * torch.randn(9, 6)
    kept = {name: tensor.numpy() for name, tensor in head.whole().items()}
    weight, bias = spec.detector(kept)
    scored = head_scores(features.numpy(), weight, bias)
    if isinstance(spec, Binary | Softmax):
        logits = nn.functional.normalize(features, dim=1) @ torch.from_numpy(kept["weight"]).T + torch.from_numpy(
            kept["bias"]
        )
    else:
        logits = 64 * nn.functional.cosine_similarity(
            features[:, :, None], torch.from_numpy(kept["kernel"])[None], dim=1
        )
    np.testing.assert_allclose(scored, logits.softmax(1)[:, 1].numpy(), atol=1e-5)


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


@pytest.mark.parametrize(
    ("spec", "classes"), [(CosFace(), 7), (ArcFace(), 7), (AdaFace(), 7), (Softmax(), 7), (Binary(), 2)]
)
def test_the_seed_alone_decides_the_start(spec: HeadSpec, classes: int) -> None:
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
        {"kind": "sphereface"},
        {"kind": "arcface", "margin": 4},
        {"kind": "adaface", "rate": 0},
        {"kind": "cosface", "sample": 0},
        {"kind": "cosface", "sample": 1.1},
        {"kind": "softmax", "scale": 64},
        {"kind": "cosface", "scale": 0},
        {"kind": "cosface", "margin": -0.1},
        {"kind": "binary", "x": 1},
    ):
        with pytest.raises(ValidationError):
            parse(wrong)
