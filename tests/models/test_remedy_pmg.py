"""PMG-AFT: the attack in pixels against the written one, the divergences against scipy's relative entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from torch import Tensor

from gelo.models.adapt import Full, adapt
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.heads import AdaFace, Binary, HeadSpec
from gelo.models.heads.head import Head
from gelo.models.remedies import PMG
from gelo.models.remedies.pmg import _apart, attacked
from gelo.models.training.run import Run, Step
from gelo.models.training.stream import Batch
from tests.models.toy_run import BATCH, Noise, settings

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "channels": "bgr"}


def run_of(encoder: Encoder, head: HeadSpec | None = None, **transform: Any) -> Run:
    side = encoder.transform.size
    adapted = adapt(encoder.visual, Full(), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({n: t + 0.05 * torch.randn(t.shape, generator=generator) for n, t in adapted.state().items()})
    shown = Transform(size=side, **transform) if transform else None
    sources = {"reference": Noise(1, side, encoder.dim, 4)}
    return Run(encoder, adapted, Head(head or Binary(), encoder.dim, 2, 0), settings(), 3, 3, sources, transform=shown)


def batch_of(run: Run, pixels: np.ndarray, rows: list[int] | None = None) -> Batch:
    shown = (run.transform or run.base.transform).normalise(torch.from_numpy(pixels))
    labels = torch.arange(len(pixels)) % 2
    source = Noise(0, run.base.transform.size, run.base.dim)
    return Batch(source, shown, labels, np.array(rows or range(len(pixels))))


def bytes_of(run: Run, pixels: Tensor) -> Tensor:
    """Back to the range 0..255, not rounded."""
    shown = run.transform or run.base.transform
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (shown.mean, shown.std))
    return 255 * (pixels * std + mean)


@pytest.mark.parametrize("transform", [{}, HALF], ids=["backbone", "morph"])
@pytest.mark.parametrize(("epsilon", "step_size", "steps"), [(1, 1, 2), (8, 2, 1), (4, 3, 3)])
def test_the_attack_is_sign_ascent_in_pixels(
    transform: dict[str, Any], epsilon: float, step_size: float, steps: int, encoder: Encoder, pixels: np.ndarray
) -> None:
    """Written out in 0..255; nothing leaves the ball or the range, and the loss is higher than of the start of the attack."""
    pixels = pixels.copy()
    pixels[0], pixels[1] = 0, 255  # where the range ends
    run, spec = run_of(encoder, **transform), PMG(epsilon=epsilon, step_size=step_size, steps=steps)
    batch = batch_of(run, pixels)
    clean = bytes_of(run, batch.pixels)
    start = bytes_of(run, attacked(run, batch, spec.model_copy(update={"steps": 0})))
    assert (start - clean).abs().max() <= epsilon + 1e-3 and start.min() > -1e-3 and start.max() < 255.001
    inside = (start - clean)[2:]
    assert inside.abs().max() > 0.98 * epsilon and abs(float(inside.mean())) < 0.05 * epsilon
    now = start.clone()
    for _ in range(steps):
        x = now.clone().requires_grad_(True)
        shown = run.transform or run.base.transform
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (shown.mean, shown.std))
        run.head.loss(run.model((x / 255 - mean) / std), batch.labels).backward()
        now = now + step_size * x.grad.sign()  # type: ignore[union-attr]
        now = torch.minimum(torch.maximum(now, clean - epsilon), clean + epsilon).clamp(0, 255)
    found = bytes_of(run, attacked(run, batch, spec))
    assert (
        float(((found - now).abs() < 1e-2).float().mean()) > 0.999
    )  # a gradient of nearly nothing may have either sign
    losses = [float(run.head.loss(run.features(batch_pixels), batch.labels).detach()) for batch_pixels in (
        attacked(run, batch, spec.model_copy(update={"steps": 0})), attacked(run, batch, spec))]  # fmt: skip
    assert losses[1] > losses[0]


def test_the_attack_leaves_no_gradient_and_no_statistic_behind(encoder: Encoder, pixels: np.ndarray) -> None:
    run = run_of(encoder, AdaFace())
    before = {name: buffer.clone() for name, buffer in run.head.named_buffers()}
    attacked(run, batch_of(run, pixels), PMG())
    assert all(parameter.grad is None for parameter in [*run.model.parameters(), *run.head.parameters()])
    assert before and all(torch.equal(buffer, before[name]) for name, buffer in run.head.named_buffers())


def test_an_images_start_is_that_of_its_row_wherever_it_stands(encoder: Encoder, pixels: np.ndarray) -> None:
    run, spec = run_of(encoder), PMG(epsilon=4)
    whole = attacked(run, batch_of(run, pixels, [5, 9, 2, 7, 1, 4]), spec.model_copy(update={"steps": 0}))
    part = attacked(run, batch_of(run, pixels[3:], [7, 1, 4]), spec.model_copy(update={"steps": 0}))
    assert torch.equal(whole[3:], part)
    run.step = 1
    assert not torch.equal(
        part, attacked(run, batch_of(run, pixels[3:], [7, 1, 4]), spec.model_copy(update={"steps": 0}))
    )


def step_of(run: Run, remedy: PMG, pixels: np.ndarray) -> tuple[Step, dict[str, Tensor], Batch, Batch]:
    hooks, clean = remedy.hooks(), batch_of(run, pixels)
    hooks.prepare(run)
    shown = hooks.batch(run, clean)
    step = Step(run, shown, run.features(shown.pixels))
    losses = {"task": run.head.loss(step.features, shown.labels)}
    hooks.losses(step, losses)
    return step, losses, clean, shown


@pytest.mark.parametrize("epsilon", [0.0, 4.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_divergences_are_scipys(epsilon: float, reduction: str, encoder: Encoder, pixels: np.ndarray) -> None:
    run = run_of(encoder)
    remedy = PMG(weight=0.7, epsilon=epsilon, step_size=2, reduction=reduction)  # type: ignore[arg-type]
    _, losses, clean, shown = step_of(run, remedy, pixels)
    assert torch.equal(clean.pixels, shown.pixels) is (epsilon == 0)
    text = run.sources["reference"].classifier(encoder).double().numpy()

    def chances(network: torch.nn.Module, of: Tensor) -> np.ndarray:
        features = network(of).detach().double().numpy()
        return softmax(encoder.logit_scale * features / np.linalg.norm(features, axis=1, keepdims=True) @ text, axis=1)

    now = chances(run.model, shown.pixels)
    each = rel_entr(chances(encoder.visual, shown.pixels), now).sum(axis=1)
    if epsilon:
        each = each + rel_entr(chances(run.model, clean.pixels), now).sum(axis=1)
    assert losses["pmg"].item() == pytest.approx(0.7 * each.mean() * (BATCH if reduction == "sum" else 1), rel=1e-3)
    task = run.head.loss(run.model(shown.pixels), shown.labels)
    assert losses["task"].item() == pytest.approx(task.item(), rel=1e-6), "of the images that are attacked"


def test_without_an_attack_its_gradient_is_that_of_soft_cross_entropy(encoder: Encoder, pixels: np.ndarray) -> None:
    """KL of fixed targets is cross-entropy but for a constant: LwF at temperature 1."""
    run = run_of(encoder)
    step, losses, *_ = step_of(run, PMG(epsilon=0), pixels)
    text = run.sources["reference"].classifier(encoder)
    logits = encoder.logit_scale * torch.nn.functional.normalize(step.features, dim=1) @ text
    base = step.base_features.numpy()
    target = softmax(encoder.logit_scale * base / np.linalg.norm(base, axis=1, keepdims=True) @ text.numpy(), axis=1)
    soft = torch.nn.functional.cross_entropy(logits, torch.from_numpy(target))
    weights = list(run.model.trainable().values())
    ours = torch.autograd.grad(losses["pmg"], weights, retain_graph=True, allow_unused=True)
    theirs = torch.autograd.grad(soft, weights, allow_unused=True)
    for one, two in zip(ours, theirs, strict=True):
        assert (one is None) is (two is None)
        if one is not None and two is not None:
            torch.testing.assert_close(one, two, rtol=2e-3, atol=1e-4)
    entropy = -(target * log_softmax(np.log(target), axis=1)).sum(axis=1).mean()
    assert losses["pmg"].item() == pytest.approx(soft.item() - entropy, rel=1e-3, abs=1e-5)


def test_the_clean_images_bear_gradients_too(encoder: Encoder, pixels: np.ndarray) -> None:
    """As published: p(x) is not detached."""
    run = run_of(encoder)
    hooks = PMG(epsilon=8, step_size=8).hooks()
    hooks.prepare(run)
    one, two = (torch.randn(5, run.base.dim, dtype=torch.float64, requires_grad=True) for _ in range(2))
    hooks.text = hooks.text.double()

    def apart(one: Tensor, two: Tensor) -> Tensor:
        return _apart(hooks._said(run, one), hooks._said(run, two))

    assert torch.autograd.gradcheck(apart, (one, two), atol=1e-4)
    assert all(float(each.abs().max()) > 0 for each in torch.autograd.grad(apart(one, two), (one, two)))
