"""A memory at inference: a tuned feature is moved towards what the untouched tower said of the reference images that look alike to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.remedies.base import Bench
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gelo.models.tower import Tower


_AT_ONCE = 64  # images in a forward pass


class Memory(OnReference):
    """f + weight * ||f|| * softmax(f^ K^T / temperature) V: K the tuned and V the untouched features, normalised, of the first `images` of
    `reference` ("data set/split"). weight 0 leaves f as it is. Costs one small matrix product an image at inference."""

    trains: ClassVar[bool] = False
    wraps: ClassVar[bool] = True
    curve: ClassVar[str] = "weight"

    kind: Literal["memory"] = "memory"
    weight: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    images: int = Field(default=512, ge=1)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """See RemedySpec."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        source = bench.sources["reference"]
        pixels = source.take(np.arange(min(self.images, len(source.labels))), None, slice(None))
        encoders = {"keys": tower.encoder(bench.base), "values": bench.base}
        parts = np.split(pixels, range(_AT_ONCE, len(pixels), _AT_ONCE))
        made = {
            n: torch.from_numpy(np.concatenate([e.encode_images(part) for part in parts])) for n, e in encoders.items()
        }
        return tower.wrapped("memory", self, {name: F.normalize(each, dim=1) for name, each in made.items()})

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """See RemedySpec."""
        from gelo.models.around import Around

        return Around(network, tensors, self._recall)

    def _recall(self, inner: nn.Module, tensors: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, d)."""
        from torch.nn import functional as F

        features: Tensor = inner(pixels)
        near = (F.normalize(features, dim=1) @ tensors["keys"].T / self.temperature).softmax(1) @ tensors["values"]
        return features + self.weight * features.norm(dim=1, keepdim=True) * near
