"""How the step just made and what is to be kept pull at the tower: gradient alignment, and the sharpness of a zero-shot loss.

Both leave weights, gradients and running statistics as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gelo.models.adapt.adapted import OF_TEXT

if TYPE_CHECKING:
    from gelo.models.training.run import Run

Encode = Callable[[Tensor], Tensor]  # float32 (n, 3, S, S), normalised -> (n, d)
ZeroShot = Callable[
    [Encode, slice], Tensor
]  # how images are encoded, and which of a fixed order -> (n,) losses, fewer where there are no more
RADIUS = 0.05  # that of SAM's sharpness (Foret et al. 2021, arXiv 2010.01412)
MOST = 64  # images


def steepness(run: Run, loss: ZeroShot) -> dict[str, float]:
    """Of the vision tower's parameters that train, in their own coordinates (of adapters: A, B), while the gradients of a step are there.

    alignment: cosine between the gradient that the step was made by (task and remedy, the mean over processes) and that of the mean of
    `loss`, in [-1, 1]; below 0 the step made that larger, to first order. sharpness: loss(w + RADIUS g / ||g||) - loss(w), g the latter of
    the two gradients, the first-order maximum over the ball (arXiv 2010.01412, equation 2). Of half a batch of images, at most `MOST`, as
    the tower is tested; half a micro-batch of a process at once. {} where the tower does not train yet or at all, where it is compiled
    (another mode would compile it anew), where there is no image, and where a gradient is zero or not finite.
    """
    settings, model = run.settings, run.model
    trained = [p for name, p in model.trainable().items() if not name.startswith(OF_TEXT) and p.grad is not None]
    if not trained or settings.compile:
        return {}
    images = min(MOST, max(1, settings.batch // 2))
    each = max(1, settings.batch // (2 * settings.accumulate * run.world.size))
    parts = [slice(start, min(start + each, images)) for start in range(0, images, each)]
    training = model.training
    model.eval()
    try:
        here, pull = _pull(loss, model, parts, trained)
        step = [p.grad for p in trained if p.grad is not None]
        length, made = _product(pull, pull) ** 0.5, _product(step, step) ** 0.5
        if not (0 < length < math.inf and 0 < made < math.inf):
            return {}
        there = _moved(trained, pull, RADIUS / length, lambda: _mean(loss, model, parts))
        numbers = {"alignment": _product(pull, step) / (length * made), "sharpness": there - here}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}
    finally:
        model.train(training)


def _pull(
    loss: ZeroShot, encode: Encode, parts: Sequence[slice], trained: Sequence[nn.Parameter]
) -> tuple[float, list[Tensor]]:
    """The mean loss and its gradient; nothing joins `.grad`."""
    total, count, pull = 0.0, 0, [torch.zeros_like(parameter) for parameter in trained]
    for part in parts:
        with torch.enable_grad():
            losses = loss(encode, part)
            if not len(losses):
                break
            found = torch.autograd.grad(losses.sum(), trained, allow_unused=True)
        total, count = total + float(losses.detach().sum()), count + len(losses)
        pull = [sofar if new is None else sofar + new for sofar, new in zip(pull, found, strict=True)]
    return total / max(1, count), [each / max(1, count) for each in pull]


def _mean(loss: ZeroShot, encode: Encode, parts: Sequence[slice]) -> float:
    losses = torch.cat([loss(encode, part) for part in parts])
    return float(losses.sum()) / len(losses)


@torch.no_grad()
def _moved(moved: Sequence[nn.Parameter], along: Sequence[Tensor], far: float, of: Callable[[], float]) -> float:
    """What `of` says with the parameters moved; they are put back, bit for bit."""
    before = [parameter.detach().clone() for parameter in moved]
    try:
        for parameter, direction in zip(moved, along, strict=True):
            parameter.add_(direction, alpha=far)
        return of()
    finally:
        for parameter, start in zip(moved, before, strict=True):
            parameter.copy_(start)


def _product(one: Sequence[Tensor], two: Sequence[Tensor]) -> float:
    return sum(float((a.double() * b.double()).sum()) for a, b in zip(one, two, strict=True))
