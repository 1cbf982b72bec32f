"""Projected gradient descent on pixels: the images near given ones that a network takes least for what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gelo.models.encoder import exact

if TYPE_CHECKING:
    from gelo.models.encoder import Encoder

SCALE = 100.0  # of cosines, as in the zero-shot protocol
_AT_ONCE = 16  # images whose activations are kept for a backward pass


def perturbed(
    loss: Callable[[Tensor], Tensor], pixels: Tensor, start: Tensor, *, epsilon: float, step: float, steps: int
) -> Tensor:
    """(N, 3, H, W) in [0, 1], none further from `pixels` (the same, in [0, 1]) than `epsilon`, where `loss` is high.

    x <- the nearest to x + step * sign(gradient) that is in the ball and in [0, 1], `steps` times from pixels + start (Madry et al. 2018).
    loss: of such images, a sum over them, so that no image's gradient depends on another's. Weights get no gradient.
    """
    low, high = (pixels - epsilon).clamp(min=0), (pixels + epsilon).clamp(max=1)
    at = torch.minimum(torch.maximum(pixels + start, low), high)
    for _ in range(steps):
        with torch.enable_grad():
            at = at.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss(at), at)
        at = torch.minimum(torch.maximum(at.detach() + step * gradient.sign(), low), high)
    return at.detach()


def attacked_features(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.integer],
    start: NDArray[np.float32],
    bank: NDArray[np.floating],
    *,
    epsilon: float,
    step: float,
    steps: int,
) -> NDArray[np.float32]:
    """float32 (N, dim), not normalised, of uint8 pixels (N, size, size, 3) that were attacked, start (N, 3, size, size), against the
    cross-entropy of 100 f_hat bank with their labels (N,); bank (dim, K), unit columns. The last pass is that of `encode_images`."""
    device, transform = encoder.device, encoder.transform
    columns = torch.from_numpy(np.asarray(bank, np.float32)).to(device)
    found = [np.zeros((0, encoder.dim), np.float32)]
    for first in range(0, len(pixels), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        shares = transform.shares(torch.from_numpy(np.array(pixels[rows])).to(device))
        truth = torch.from_numpy(np.array(labels[rows], np.int64)).to(device)

        def loss(at: Tensor, truth: Tensor = truth) -> Tensor:
            logits = SCALE * F.normalize(encoder.visual(transform.standardise(at)), dim=1) @ columns
            return F.cross_entropy(logits, truth, reduction="sum")

        with exact(device):
            drawn = torch.from_numpy(np.array(start[rows])).to(device)
            at = perturbed(loss, shares, drawn, epsilon=epsilon, step=step, steps=steps)
            with torch.inference_mode():
                found.append(encoder.visual(transform.standardise(at)).float().cpu().numpy())
    return np.concatenate(found)
