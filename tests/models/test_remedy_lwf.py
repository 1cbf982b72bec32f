"""LwF against its formula in numpy, and against torch's own Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from gelo.models.adapt import Full, adapt
from gelo.models.encoder import Encoder
from gelo.models.remedies import LwF
from gelo.models.remedies.lwf import softened
from tests.models.one_step import features_of, losses_of, moved, shown, slope, softmax, unit


@pytest.mark.parametrize("on", ["task", "reference"])
def test_it_is_the_written_formula(on: str, encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    remedy = LwF(reference="noise/train", strength=0.7, temperature=3.0, on=on, batch=4)  # type: ignore[arg-type]
    adapted = moved(encoder, Full())
    losses, step = losses_of(remedy, encoder, adapted, pixels)
    images = pixels if on == "task" else shown(step, "reference")
    text = step.run.sources["reference"].classifier(encoder).double().numpy()
    logits, before = (encoder.logit_scale * unit(features_of(encoder, each, images)) @ text for each in (adapted, None))
    expected = 9 * -(softmax(before / 3) * np.log(softmax(logits / 3))).sum(axis=1).mean()
    assert losses["lwf"].item() == pytest.approx(0.7 * expected, rel=1e-4)
    assert remedy.beside == (4 if on == "reference" else 0)


def test_it_is_the_divergence_and_the_entropy_of_before() -> None:
    """So its gradient is that of the divergence, which is 0 at the start."""
    logits = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    told = (before / 2).softmax(1)
    divergence = F.kl_div((logits / 2).log_softmax(1), told, reduction="batchmean")
    entropy = torch.distributions.Categorical(probs=told).entropy().mean()
    torch.testing.assert_close(softened(logits, before, 2.0), 4 * (divergence + entropy))
    (gradient,) = torch.autograd.grad(softened(logits, before, 2.0), logits)
    torch.testing.assert_close(gradient, 2 * ((logits / 2).softmax(1) - told) / 5)


def test_the_gradient_is_the_slope_and_nothing_at_the_start(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    remedy = LwF(reference="noise/train")
    start = adapt(encoder.visual, Full(), 0)
    losses, _ = losses_of(remedy, encoder, start, pixels)
    gradients = torch.autograd.grad(losses["lwf"], list(start.trainable().values()), allow_unused=True)
    apart = moved(encoder, Full())
    losses, _ = losses_of(remedy, encoder, apart, pixels)
    moving = torch.autograd.grad(losses["lwf"], list(apart.trainable().values()), allow_unused=True)
    most = max(float(each.abs().max()) for each in moving if each is not None)
    assert all(float(each.abs().max()) < 1e-3 * most for each in gradients if each is not None)
    assert slope(remedy, encoder, Full(), pixels, [0, 1] * 3) < 1e-4
