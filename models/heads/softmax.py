"""Softmax: a plain linear classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.heads.base import HeadSpec, Link

if TYPE_CHECKING:
    from torch import Tensor


class Softmax(HeadSpec):
    """Cross-entropy of W f / ||f|| + b over any number of classes: no margin, no scale but what W learns. Of two classes, attack 0 and bona
    fide 1, it is a detector, scored as `binary` is.
    """

    link: ClassVar[Link] = "softmax"

    kind: Literal["softmax"] = "softmax"

    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """weight (C, d), bias (C,), as nn.Linear starts."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(dim)
        return {
            "weight": torch.empty(classes, dim).uniform_(-bound, bound, generator=generator),
            "bias": torch.empty(classes).uniform_(-bound, bound, generator=generator),
        }

    def scores(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See HeadSpec: W f / ||f|| + b."""
        from torch.nn import functional as F

        return F.linear(F.normalize(features, dim=1), weights["weight"], weights["bias"])

    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """See HeadSpec; labels in [0, C)."""
        from torch.nn import functional as F

        return F.cross_entropy(self.scores(weights, features), labels)
