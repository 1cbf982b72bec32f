"""CosFace: a large-margin cosine head for identities (arXiv 1801.09414; TaharChettaoui/FRoundation: src/training/losses.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.heads.base import HeadSpec

if TYPE_CHECKING:
    from torch import Tensor


class CosFace(HeadSpec):
    """Large-margin cosine head for identities (arXiv 1801.09414). The paper's values: scale 64, margin 0.3."""

    kind: Literal["cosface"] = "cosface"
    scale: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    margin: float = Field(default=0.3, ge=0, lt=2)

    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """kernel (d, C) ~ N(0, 0.01^2)."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        return {"kernel": torch.empty(dim, classes).normal_(0.0, 0.01, generator=generator)}

    def cosines(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """(N, d) -> (N, C) in [-1, 1]: rounding may leave the range, which the source clamps too."""
        from torch.nn import functional as F

        return (F.normalize(features, dim=1) @ F.normalize(weights["kernel"], dim=0)).clamp(-1.0, 1.0)

    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logit_j = scale * (cos(f, k_j) - margin * [j = y]); labels in [0, C)."""
        import torch
        from torch.nn import functional as F

        cosines = self.cosines(weights, features)
        margins = torch.zeros_like(cosines).scatter_(1, labels[:, None], self.margin)
        return F.cross_entropy(self.scale * (cosines - margins), labels)
