"""`Transform`: how an image becomes an encoder's input, with the bits that open_clip's own transform gives."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from gelo.models.spec import Spec, joined

if TYPE_CHECKING:
    from torch import Tensor

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)  # open_clip: src/open_clip/constants.py
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

_PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_LARGE = 8  # results that a resized image may be as large as
_REACH = 3  # pixels beside the middle that enlarging reads: bicubic reads 2


class Transform(Spec):
    """How an image becomes an encoder's input; every field can change a feature.

    size: side in pixels. resize: "shortest" scales the short side to `size` and crops the centre, "squash" stretches.
    mean, std: per channel, for pixels in [0, 1], in the order of `channels`. antialias: False is OpenCV's bilinear, which takes the four
    nearest pixels however far it shrinks; for "squash" and "bilinear" alone.
    """

    size: int = Field(ge=1)
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "squash"] = "shortest"
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    channels: Literal["rgb", "bgr"] = joined("rgb")
    antialias: bool = joined(True)

    @model_validator(mode="after")
    def _plain_bilinear(self) -> Transform:
        if not self.antialias and (self.resize, self.interpolation) != ("squash", "bilinear"):
            raise ValueError('antialias=False goes with resize="squash" and interpolation="bilinear"')
        return self

    @property
    def fingerprint(self) -> str:
        """16 hex digits over all fields."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:16]

    def to_uint8(self, image: Image.Image) -> NDArray[np.uint8]:
        """(size, size, 3), RGB unless `channels` says BGR; equal bit for bit to open_clip's own transform before ToTensor.

        Resizing comes before the conversion to RGB, as there: it matters for palette and transparent images. An image that would be
        resized to more than `_LARGE` results and twice its own pixels (a strip, 1 x 60,000) is resized in its middle alone, to within a
        grey level.
        """
        if not self.antialias:
            return self._ordered(_four_nearest(np.array(image.convert("RGB"), dtype=np.uint8), self.size))
        resampling = _PILLOW[self.interpolation]
        if self.resize == "squash":
            target = (self.size, self.size)
        else:
            short, long = min(image.size), max(image.size)
            scaled = int(self.size * long / short)
            target = (self.size, scaled) if image.width <= image.height else (scaled, self.size)
            if scaled > max(_LARGE * self.size, 2 * image.width * image.height / self.size):
                image, target = _middle(image, target, self.size, resampling), (self.size, self.size)
        if image.size != target:
            image = image.resize(target, resampling)
        left, top = (round((side - self.size) / 2.0) for side in image.size)
        if image.size != (self.size, self.size):
            image = image.crop((left, top, left + self.size, top + self.size))
        return self._ordered(np.array(image.convert("RGB"), dtype=np.uint8))

    def _ordered(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return rgb if self.channels == "rgb" else rgb[:, :, ::-1]

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, 3, H, W), equal bit for bit to ToTensor and Normalize."""
        mean, std = self._constants(pixels)
        return self.shares(pixels).sub_(mean).div_(std)

    def shares(self, pixels: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [0, 1], equal bit for bit to ToTensor."""
        import torch

        if pixels.dtype != torch.uint8:
            raise ValueError(f"pixels are {pixels.dtype}, uint8 in 0..255 is needed")
        return pixels.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)

    def standardise(self, shares: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] -> the same less `mean`, by `std`, as Normalize does; a gradient goes through."""
        mean, std = self._constants(shares)
        return shares.sub(mean).div_(std)

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """mean and std, (3, 1, 1) each, where `like` lies."""
        import torch

        mean, std = (torch.tensor(each, dtype=torch.float32, device=like.device) for each in (self.mean, self.std))
        return mean.view(3, 1, 1), std.view(3, 1, 1)


def _four_nearest(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W, 3) stretched to (size, size, 3) as cv2.resize does by default, to within a grey level of its fixed-point sums."""
    import torch

    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(image, (size, size), mode="bilinear", align_corners=False)
    return scaled[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


def _middle(image: Image.Image, target: tuple[int, int], size: int, resampling: Image.Resampling) -> Image.Image:
    """The middle (size, size) of the image enlarged to `target`, one side of which is `size`, made from the pixels that it shows."""
    along = int(target[1] > size)  # the long side: 0 the width, 1 the height
    across = image.size[1 - along]
    scale = image.size[along] / target[along]
    start = round((target[along] - size) / 2.0)
    first, last = start * scale, (start + size) * scale
    low, high = max(0, math.floor(first) - _REACH), min(image.size[along], math.ceil(last) + _REACH)
    if along:
        seen = image.crop((0, low, across, high))
        return seen.resize((size, size), resampling, (0, first - low, across, last - low))
    seen = image.crop((low, 0, high, across))
    return seen.resize((size, size), resampling, (first - low, 0, last - low, across))
