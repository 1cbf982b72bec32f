"""Whether a device makes of images exactly what Pillow makes of them: tried on each before it is used, so that no bit depends on where."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import torch
from PIL import Image

from gelo.models.backbones.transforms import Transform
from gelo.tasks.training.augment import RAND_AUGMENT, Change, Pixels, magnitude, operate, recolour
from gelo.tasks.training.batched import changed
from gelo.tasks.training.resize import resized

_SIDE = 48
_TRANSFORMS = (Transform(size=96), Transform(size=40, interpolation="bilinear", resize="squash", channels="bgr"))


@lru_cache
def same_bits(device: torch.device) -> bool:
    """Resizing and every operation of both recipes, on a few images; a warning where one differs."""
    pixels = _pictures()
    there = torch.from_numpy(pixels).to(device)
    for transform in _TRANSFORMS:
        expected = np.stack([transform.to_uint8(Image.fromarray(each)) for each in pixels])
        if not _equal(resized(transform, there), expected):
            return _told(device, "resizing")
    for change in _changes():
        expected = np.stack([np.asarray(change(Image.fromarray(each))) for each in pixels])
        if not _equal(changed(there.permute(0, 3, 1, 2).contiguous(), [[change]] * len(pixels)), expected):
            return _told(device, str(change))
    return True


def _pictures() -> Pixels:
    """Noise, ramps, and few levels: (3, side, side, 3)."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (_SIDE, _SIDE, 3))
    ramps = np.stack([*np.mgrid[40 : 40 + 3 * _SIDE : 3, 9 : 9 + 4 * _SIDE : 4], np.full((_SIDE, _SIDE), 90)], axis=-1)
    return np.stack([noise, ramps, noise // 64 * 64]).astype(np.uint8)


def _changes() -> Iterator[Change]:
    for name in RAND_AUGMENT:
        for level, negative in ((1, False), (9, True), (16, False)):
            yield partial(operate, name, magnitude(name, level, _SIDE, negative))
    rng = np.random.default_rng(0)
    for _ in range(8):
        yield from recolour(rng)


def _equal(found: torch.Tensor, expected: Pixels) -> bool:
    return np.array_equal(found.permute(0, 2, 3, 1).cpu().numpy(), expected)


def _told(device: torch.device, what: str) -> bool:
    warnings.warn(f"{what} on {device} differs from Pillow: images are prepared on the CPU", stacklevel=3)
    return False
