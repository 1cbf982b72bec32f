"""Pillow's resizing on tensors, bit for bit, on any device.

Pillow resizes 8 bits in two passes, across and then down, by sums of pixels times weights of 22 binary places, rounded to 8 bits after each
(python-pillow/Pillow: src/libImaging/Resample.c). Here a pass is two matrix products in float32: with the weights' upper bits, and with
their lower 12, signed. All sums are whole numbers below 2 ** 24, so every order of adding gives the same, and no factor has more than the
11 bits that TF32 keeps.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.backbones.transforms import Transform
from gelo.tasks.training.colours import sent

_PLACES, _LOW = 22, 12
MOST = 2.0  # times an image may be larger than what it becomes: with more taps sums would pass 2 ** 24


def resizable(transform: Transform, height: int, width: int) -> bool:
    """Whether `resized` makes of an RGB image of this size what `transform.to_uint8` does: square ones, as faces are stored. Of others
    Pillow itself chooses which pass comes first."""
    return transform.antialias and height == width <= MOST * transform.size


def resized(transform: Transform, pixels: Tensor) -> Tensor:
    """uint8 (N, S, S, 3), RGB -> uint8 (N, 3, size, size): `transform.to_uint8` of each where `resizable` says so."""
    images = pixels.permute(0, 3, 1, 2)
    if transform.channels == "bgr":
        images = images.flip(1)
    side = images.shape[-1]
    if side == transform.size:
        return images.contiguous()
    factors = [
        sent(each.astype(np.float32).T.copy(), images.device)
        for each in halves(weights(side, transform.size, transform.interpolation))
    ]
    return _pass(_pass(images, *factors).transpose(2, 3), *factors).transpose(2, 3).contiguous()


def _pass(images: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """uint8 (..., S) -> (..., size)."""
    values = images.to(torch.float32)
    total = (values @ upper).to(torch.int32).mul_(1 << _LOW).add_((values @ lower).to(torch.int32))
    return total.add_(1 << (_PLACES - 1)).bitwise_right_shift_(_PLACES).clamp_(0, 255).to(torch.uint8)


def halves(kept: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(upper, lower): upper x 2 ** 12 + lower; both within 2 ** 11."""
    upper = (kept + (1 << (_LOW - 1))) >> _LOW
    return upper, kept - (upper << _LOW)


@lru_cache(maxsize=64)
def weights(source: int, target: int, interpolation: str) -> NDArray[np.int64]:
    """(target, source) weights of each pixel of a row in each pixel of the resized row, times 2 ** 22, rounded half away from zero."""
    scale = source / target
    wide = max(scale, 1.0)
    reach = (2.0 if interpolation == "bicubic" else 1.0) * wide
    out = np.zeros((target, source), np.int64)
    for place in range(target):
        centre = (place + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), source)
        taps = [_weight(abs((at - centre + 0.5) * (1.0 / wide)), interpolation) for at in range(first, last)]
        total = sum(taps)
        for at, tap in enumerate(taps, start=first):
            share = tap / total * (1 << _PLACES)
            out[place, at] = int(share - 0.5 if share < 0 else share + 0.5)
    return out


def _weight(x: float, interpolation: str) -> float:
    """Of a pixel at distance x: the triangle, or Keys' cubic with a = -1/2."""
    if interpolation == "bilinear":
        return max(1.0 - x, 0.0)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 if x < 2.0 else 0.0
