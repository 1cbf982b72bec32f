"""Augmentation of a decoded batch, each task's as in its paper: uint8 in, uint8 out, a function of the generator alone.

All is drawn first, image by image, and then done. The operations are torchvision's on Pillow images; gamma and shift, which it does not
have as albumentations rounds them, are tables of 256 values. tasks/training/batched.py does the same on tensors, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import atan, degrees
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional as ops

from gelo.tasks.training.base import Augment

Pixels = NDArray[np.uint8]
Change = Callable[[Image.Image], Image.Image]

RAND_AUGMENT = (
    "identity", "shear_x", "translate_x", "rotate", "brightness", "colour", "contrast", "sharpness", "posterize", "solarize",
    "auto_contrast", "equalize", "greyscale",
)  # fmt: skip
SIGNED = RAND_AUGMENT[1:8]
_OPERATIONS, _TOP_LEVEL, _LEVELS = 4, 16, 31


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a batch of N images: corners (2, N), of crops of `size`, or None; mirrored (N,); changes of each image, N of them
    or none. flip_first: the mirroring comes before the changes."""

    size: int
    corners: NDArray[np.int64] | None = None
    mirrored: NDArray[np.bool_] | None = None
    changes: tuple[list[Change], ...] = ()
    flip_first: bool = False

    def of(self, own: slice) -> Drawn:
        """What was drawn for these of the images."""
        return replace(
            self,
            corners=None if self.corners is None else self.corners[:, own],
            mirrored=None if self.mirrored is None else self.mirrored[own],
            changes=self.changes[own],
        )


def draw(kind: Augment, side: int, size: int, rng: np.random.Generator, count: int) -> Drawn:
    """For `count` images of side x side: a random crop of size x size first where they are larger, whatever the kind.

    flip: mirrored left to right with probability 1/2. rand_augment: `rand_augment`, then flip (TaharChettaoui/FRoundation:
    src/data/transform.py). spoof: flip, then `recolour` (gurayozgur/FoundPAD: src/data/loaders.py).
    """
    corners = rng.integers(0, side - size + 1, (2, count)) if side > size else None
    match kind:
        case "none":
            return Drawn(size, corners)
        case "flip":
            return Drawn(size, corners, _mirrored(count, rng))
        case "rand_augment":
            changes = tuple(rand_augment(size, rng) for _ in range(count))
            return Drawn(size, corners, _mirrored(count, rng), changes)
        case "spoof":
            mirrored = _mirrored(count, rng)
            return Drawn(size, corners, mirrored, tuple(recolour(rng) for _ in range(count)), flip_first=True)
        case _:
            assert_never(kind)


def augment(
    kind: Augment,
    pixels: Pixels,
    size: int,
    rng: np.random.Generator,
    count: int | None = None,
    own: slice = slice(None),
) -> Pixels:
    """uint8 (N, S, S, 3) -> (N, size, size, 3) by what `draw` draws. count, own: `pixels` are those of `own` of so many images, for all of
    which is drawn, so that each is augmented as if all were here."""
    drawn = draw(kind, pixels.shape[1], size, rng, len(pixels) if count is None else count).of(own)
    if drawn.corners is None and drawn.mirrored is None:
        return pixels
    out = np.empty((len(pixels), size, size, 3), np.uint8)
    for place, image in enumerate(pixels):
        if drawn.corners is not None:
            top, left = drawn.corners[:, place]
            image = image[top : top + size, left : left + size]
        mirrored = drawn.mirrored is not None and drawn.mirrored[place]
        if mirrored and drawn.flip_first:
            image = image[:, ::-1]
        if drawn.changes:
            image = _changed(image, drawn.changes[place])
        out[place] = image[:, ::-1] if mirrored and not drawn.flip_first else image
    return out


def _mirrored(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random(count) < 0.5


def _changed(pixels: Pixels, changes: list[Change]) -> Pixels:
    image = Image.fromarray(pixels)
    for change in changes:
        image = change(image)
    return np.asarray(image)


def rand_augment(size: int, rng: np.random.Generator) -> list[Change]:
    """The RandAugment of FRoundation: four of `RAND_AUGMENT` one after the other, each drawn with equal chance.

    The level is drawn too, 1 to 16 on a grid of 31, instead of being 16, and the sign where there is one. ShearY, TranslateY and
    ResizedCrop are switched off there (fdbtrs/IDiff-Face: face_recognition_training/utils/rand_augment.py is the group's earlier copy).
    """
    names = rng.integers(len(RAND_AUGMENT), size=_OPERATIONS)
    levels = rng.integers(1, _TOP_LEVEL + 1, _OPERATIONS)
    negative = rng.random(_OPERATIONS) < 0.5
    drawn = zip(names, levels, negative, strict=True)
    return [
        partial(operate, RAND_AUGMENT[name], magnitude(RAND_AUGMENT[name], level, size, n)) for name, level, n in drawn
    ]


def magnitude(operation: str, level: int, size: int, negative: bool) -> float:
    """What `operate` is given at one level of the grid; 0 where the operation has no strength. Signed ones are negated on request."""
    value = float(_grid(operation, size)[level])
    return -value if negative and operation in SIGNED else value


@lru_cache
def _grid(operation: str, size: int) -> torch.Tensor:
    match operation:
        case "shear_x":
            return torch.linspace(0, 0.3, _LEVELS)
        case "translate_x":
            return torch.linspace(0, 150 / 331 * size, _LEVELS)
        case "rotate":
            return torch.linspace(0, 30, _LEVELS)
        case "brightness" | "colour" | "contrast" | "sharpness":
            return torch.linspace(0, 0.9, _LEVELS)
        case "posterize":
            return 8 - (torch.arange(_LEVELS) / ((_LEVELS - 1) / 4)).round()
        case "solarize":
            return torch.linspace(255, 0, _LEVELS)
        case _:
            return torch.zeros(_LEVELS)


def operate(operation: str, strength: float, image: Image.Image) -> Image.Image:
    """One operation of `RAND_AUGMENT`: nearest pixels, black beyond the border; strength in degrees, pixels, bits or shares."""
    match operation:
        case "identity":
            return image
        case "shear_x":  # about the corner, and the tangent is what the paper's level means
            return ops.affine(
                image, angle=0, translate=[0, 0], scale=1, shear=[degrees(atan(strength)), 0], center=[0, 0]
            )
        case "translate_x":
            return ops.affine(image, angle=0, translate=[int(strength), 0], scale=1, shear=[0, 0])
        case "rotate":
            return ops.rotate(image, strength)
        case "brightness":
            return ops.adjust_brightness(image, 1 + strength)
        case "colour":
            return ops.adjust_saturation(image, 1 + strength)
        case "contrast":
            return ops.adjust_contrast(image, 1 + strength)
        case "sharpness":
            return ops.adjust_sharpness(image, 1 + strength)
        case "posterize":
            return ops.posterize(image, int(strength))
        case "solarize":
            return ops.solarize(image, strength)
        case "auto_contrast":
            return ops.autocontrast(image)
        case "equalize":
            return ops.equalize(image)
        case "greyscale":
            return ops.rgb_to_grayscale(image, num_output_channels=3)
        case _:
            raise ValueError(f"{operation!r} is none of {', '.join(RAND_AUGMENT)}")


def recolour(rng: np.random.Generator) -> list[Change]:
    """FoundPAD's colours, each with probability 1/2: gamma, a shift of each channel, and the jitter's four in a drawn order.

    Exponent uniform in 0.8 to 1.8; shift uniform in -20 to 20 grey levels; brightness, contrast and saturation 0.9 to 1.1, hue -0.1 to 0.1
    of the circle. Against albumentations 1.4.21 at the same draws: gamma and shift equal, the rest within a grey level, but for hue:
    Pillow's circle has 256 steps where OpenCV's has 180 (up to 21 levels in noise, at most 1.8 on average).
    """
    changes: list[Change] = []
    if rng.random() < 0.5:
        changes.append(partial(gamma, rng.uniform(0.8, 1.8)))
    if rng.random() < 0.5:
        changes.append(partial(shift, rng.uniform(-20, 20, 3)))
    if rng.random() < 0.5:
        brightness, contrast, saturation = rng.uniform(0.9, 1.1, 3)
        jitter: list[Change] = [
            partial(ops.adjust_brightness, brightness_factor=brightness),
            partial(ops.adjust_contrast, contrast_factor=contrast),
            partial(ops.adjust_saturation, saturation_factor=saturation),
            partial(ops.adjust_hue, hue_factor=rng.uniform(-0.1, 0.1)),
        ]
        changes += [jitter[number] for number in rng.permutation(4)]
    return changes


def gamma(exponent: float, image: Image.Image) -> Image.Image:
    """255 (v / 255) ** exponent, rounded down; an exponent above 1 darkens (albumentations: gamma_transform)."""
    return image.point(gamma_table(exponent).tolist() * 3)


def gamma_table(exponent: float) -> Pixels:
    """What `gamma` makes of each level, (256,)."""
    return ((np.arange(256) * (1 / 255)) ** exponent * 255).astype(np.uint8)


def shift(levels: NDArray[np.float64], image: Image.Image) -> Image.Image:
    """v + levels by channel (3,), whose fractions are cut off, within 0..255 (albumentations: RGBShift)."""
    return image.point(shift_tables(levels).ravel().tolist())


def shift_tables(levels: NDArray[np.float64]) -> Pixels:
    """What `shift` makes of each level, (3, 256)."""
    return np.clip(np.arange(256) + np.trunc(levels)[:, None], 0, 255).astype(np.uint8)
