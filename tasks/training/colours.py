"""Pillow's grey and its circle of hues on tensors, bit for bit (python-pillow/Pillow: src/libImaging/Convert.c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROUND = 1 << 15


def grey(x: Tensor) -> Tensor:
    """uint8 (N, 3, H, W), RGB -> int32 (N, 1, H, W): ITU-R 601-2 luma in 16 binary places."""
    red, green, blue = x.to(torch.int32).split(1, dim=1)
    return (red * 19595 + green * 38470 + blue * 7471 + _ROUND) >> 16


def sent(
    values: NDArray[np.generic] | Sequence[object], device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """The values on the device; the host does not wait for what a GPU is at."""
    held = torch.as_tensor(values, dtype=dtype)
    return held.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else held.to(device)


def over(x: Tensor, number: float) -> Tensor:
    """x / number as a processor divides: by a number of Python's, a GPU multiplies by its reciprocal, and so may differ in the last bit."""
    return x / torch.full((), number, dtype=x.dtype, device=x.device)


def hue(x: Tensor, factors: Sequence[float]) -> Tensor:
    """uint8 (N, 3, H, W) with its hues turned by `factors` of the circle of 256 steps: torchvision's adjust_hue of a Pillow image."""
    turns = sent([int(255 * each) for each in factors], x.device).view(-1, 1, 1)
    hues, saturation, value = _hsv(x)
    return _rgb((hues + turns) % 256, saturation, value)


def _hsv(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """int64 (N, H, W) each, 0..255."""
    bands = x.to(torch.int64).unbind(1)
    most, least = torch.stack(bands).amax(0), torch.stack(bands).amin(0)
    coloured = most > least
    chroma = (most - least).clamp(min=1).to(torch.float32)
    share = chroma / most.clamp(min=1).to(torch.float32)
    r, g, b = ((most - band).to(torch.float32) / chroma for band in bands)
    sector = torch.where(
        bands[0] == most,
        (b - g).to(torch.float64),
        torch.where(bands[1] == most, r.to(torch.float64) + 2.0 - b, g.to(torch.float64) + 4.0 - r),
    ).to(torch.float32)
    turned = torch.fmod(over(sector.to(torch.float64), 6.0) + 1.0, 1.0).to(torch.float32)
    hues, saturation = ((each.to(torch.float64) * 255.0).trunc().clamp(0, 255).long() for each in (turned, share))
    none = torch.zeros_like(most)
    return torch.where(coloured, hues, none), torch.where(coloured, saturation, none), most


def _rgb(hues: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """uint8 (N, 3, H, W)."""
    turned = over(hues.to(torch.float64) * 6.0, 255.0)
    sector = turned.floor()
    part = (turned - sector).to(torch.float32).to(torch.float64)
    share = over(saturation.to(torch.float64), 255.0).to(torch.float32).to(torch.float64)
    bright = value.to(torch.float64)
    p, q, t = (
        (bright * (1.0 - each) + 0.5).floor().clamp(0, 255).long()
        for each in (share, share * part, share * (1.0 - part))
    )
    six = [
        torch.stack(each, 1)
        for each in ((value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q))
    ]
    chosen = (sector.long() % 6)[None, :, None].expand(1, -1, 3, -1, -1)
    found = torch.stack(six).gather(0, chosen)[0]
    return torch.where((saturation == 0)[:, None], value[:, None], found).to(torch.uint8)
