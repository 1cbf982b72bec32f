"""The augmentations of augment.py on batches of tensors, bit for bit, on any device.

The same draws go in. Images are grouped by operation, each group done at once. The arithmetic is Pillow's own: whole numbers, or the same
float operations in the same order, one after the other, so that no compiler joins two of them (python-pillow/Pillow:
src/libImaging/Blend.c, Convert.c, Filter.c, Geometry.c; src/PIL/ImageOps.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import atan, cos, degrees, floor, radians, sin, tan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.tasks.training.augment import Change, Drawn, gamma_table, operate, shift_tables
from gelo.tasks.training.colours import grey, hue, over, sent

_SMOOTH = 13  # the weights of Pillow's SMOOTH: eight of 1 about one of 5


def augmented(images: Tensor, drawn: Drawn) -> Tensor:
    """uint8 (N, 3, S, S) -> (N, 3, size, size), what `augment` makes of the same draws."""
    if drawn.corners is not None:
        images = _cropped(images, drawn.corners, drawn.size)
    if drawn.mirrored is None:
        return images
    mirrored = sent(drawn.mirrored, images.device).view(-1, 1, 1, 1)
    if drawn.flip_first:
        return changed(torch.where(mirrored, images.flip(-1), images), drawn.changes)
    images = changed(images, drawn.changes)
    return torch.where(mirrored, images.flip(-1), images)


def changed(images: Tensor, changes: Sequence[list[Change]]) -> Tensor:
    """Each image after its changes, one after the other."""
    for turn in range(max(map(len, changes), default=0)):
        groups: dict[str, tuple[list[int], list[object]]] = {}
        for place, own in enumerate(changes):
            if turn < len(own):
                name, value = _named(own[turn], images.shape[-1])
                places, values = groups.setdefault(name, ([], []))
                places.append(place)
                values.append(value)
        out = images.clone()
        for name, (places, values) in groups.items():
            if name != "identity":
                chosen = sent(places, images.device)
                out[chosen] = OPERATIONS[name](images[chosen], values)
        images = out
    return images


def _named(change: Change, side: int) -> tuple[str, object]:
    """The operation of `OPERATIONS` that a change is, and what it is given."""
    assert isinstance(change, partial)
    if change.func is operate:
        name, strength = change.args
        if name in ("shear_x", "translate_x", "rotate"):
            return "move", _map(name, strength, side)
        return name, 1 + strength if name in ("brightness", "colour", "contrast", "sharpness") else strength
    if change.args:  # gamma and shift
        (value,) = change.args
        is_gamma = change.func.__name__ == "gamma"
        return "table", np.tile(gamma_table(value), (3, 1)) if is_gamma else shift_tables(value)
    ((name, value),) = change.keywords.items()
    return {"saturation_factor": "colour"}.get(name, name.removesuffix("_factor")), value


def _cropped(images: Tensor, corners: NDArray[np.int64], size: int) -> Tensor:
    tops, lefts = sent(corners, images.device)
    along, number = torch.arange(size, device=images.device), torch.arange(len(images), device=images.device)
    bands = torch.arange(3, device=images.device)
    rows, columns = tops[:, None] + along, lefts[:, None] + along
    return images[number[:, None, None, None], bands[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def _map(name: str, strength: float, side: int) -> tuple[int, ...]:
    """(a0, a1, a2, a3, a4, a5), 16 binary places: the pixel (x, y) is that at (a0 x + a1 y + a2, a3 x + a4 y + a5)."""
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0
    if name == "shear_x":
        b = tan(radians(degrees(atan(strength))))
    elif name == "translate_x":
        c = -float(int(strength))
    else:
        angle, centre = -radians(strength % 360.0), side / 2
        a, b = round(cos(angle), 15), round(sin(angle), 15)
        d, e = round(-sin(angle), 15), round(cos(angle), 15)
        c = a * -centre + b * -centre + 0.0 + centre
        f = d * -centre + e * -centre + 0.0 + centre
    return tuple(floor(v * 65536.0 + 0.5) for v in (a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5))


def _move(x: Tensor, maps: Sequence[tuple[int, ...]]) -> Tensor:
    """Nearest pixels, black beyond the border."""
    height, width = x.shape[2:]
    a0, a1, a2, a3, a4, a5 = sent(maps, x.device).T[:, :, None, None]
    down = torch.arange(height, device=x.device)[:, None]
    across = torch.arange(width, device=x.device)[None, :]
    columns = (a2 + a1 * down + a0 * across) >> 16
    rows = (a5 + a4 * down + a3 * across) >> 16
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    places = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    found = x.flatten(2).gather(2, places[:, None].expand(-1, 3, -1)).view(x.shape)
    return found.mul_(inside[:, None])


def _blend(x: Tensor, plain: Tensor, factors: Sequence[float]) -> Tensor:
    """plain + factor (x - plain), within 0..255, its fraction cut off."""
    plain = plain.to(torch.float32)
    by = sent(factors, x.device, torch.float32).view(-1, 1, 1, 1)
    return (x.to(torch.float32) - plain).mul_(by).add_(plain).clamp_(0, 255).to(torch.uint8)


def _contrast(x: Tensor, factors: Sequence[float]) -> Tensor:
    values = grey(x)
    mean = over(values.flatten(1).sum(1, dtype=torch.int64).to(torch.float64), values[0].numel())
    return _blend(x, (mean + 0.5).floor().view(-1, 1, 1, 1), factors)


def _sharpness(x: Tensor, factors: Sequence[float]) -> Tensor:
    values = x.to(torch.int32)
    smooth = values.clone()
    rows = values[:, :, :-2] + values[:, :, 1:-1] + values[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * values[:, :, 1:-1, 1:-1]
    smooth[:, :, 1:-1, 1:-1] = (2 * total + _SMOOTH) // (2 * _SMOOTH)
    return _blend(x, smooth, factors)


def _posterize(x: Tensor, bits: Sequence[float]) -> Tensor:
    masks = [256 - (1 << (8 - int(each))) for each in bits]
    return x & sent(masks, x.device, torch.uint8).view(-1, 1, 1, 1)


def _solarize(x: Tensor, thresholds: Sequence[float]) -> Tensor:
    limits = sent(thresholds, x.device, torch.float32).view(-1, 1, 1, 1)
    return torch.where(x < limits, x, 255 - x)


def _looked_up(x: Tensor, tables: Tensor) -> Tensor:
    """tables: (n, 3, 256) uint8."""
    return tables.gather(2, x.flatten(2).long()).view(x.shape)


def _table(x: Tensor, tables: Sequence[NDArray[np.uint8]]) -> Tensor:
    return _looked_up(x, sent(np.stack(tables), x.device))


def _auto_contrast(x: Tensor, _: Sequence[object]) -> Tensor:
    low, high = (edge(x.flatten(2), 2)[..., None].to(torch.float64) for edge in (torch.amin, torch.amax))
    levels = torch.arange(256, dtype=torch.float64, device=x.device)
    scale = torch.full_like(low, 255.0) / (high - low).clamp(min=1)
    spread = (levels * scale + -low * scale).trunc().clamp(0, 255)
    return _looked_up(x, torch.where(high > low, spread, levels).to(torch.uint8))


def _equalize(x: Tensor, _: Sequence[object]) -> Tensor:
    flat = x.flatten(2).long()
    band = torch.arange(3 * len(x), device=x.device).view(-1, 3, 1)
    counts = torch.bincount((flat + 256 * band).flatten(), minlength=768 * len(x)).view(-1, 3, 256)
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    before = counts.cumsum(2) - counts
    levels = torch.arange(256, device=x.device)
    even = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    return _looked_up(x, torch.where(step > 0, even, levels).to(torch.uint8))


OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "move": _move,
    "brightness": lambda x, factors: _blend(x, torch.zeros((), device=x.device), factors),
    "colour": lambda x, factors: _blend(x, grey(x), factors),
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "greyscale": lambda x, _: grey(x).to(torch.uint8).expand(-1, 3, -1, -1),
    "table": _table,
    "hue": hue,
}
