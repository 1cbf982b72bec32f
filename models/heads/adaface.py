"""AdaFace: a margin that follows the length of the feature, a sign of quality (arXiv 2204.00964; mk-minchul/AdaFace: head.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.heads.margin import MarginHead

if TYPE_CHECKING:
    from torch import Tensor

_EPS = 1e-3
_SHORTEST, _LONGEST = 1e-3, 100.0


class AdaFace(MarginHead):
    """g_y = cos(theta_y - margin z) - margin (1 + z), z = (||f|| - mean) / (std / h) within [-1, 1] (arXiv 2204.00964): scale 64, margin
    0.4, h 0.333, as the authors' run scripts have them.

    mean and std of the lengths run over the steps from 20 and 100, `rate` of them new: of each micro-batch, over all processes. Lengths
    count from 0.001 to 100, and have no gradient. Centres start as unit vectors, drawn uniformly before that.
    """

    kind: Literal["adaface"] = "adaface"
    margin: float = Field(default=0.4, ge=0, lt=1.5)
    h: float = Field(default=0.333, ge=0, allow_inf_nan=False)
    rate: float = Field(default=0.01, gt=0, le=1)

    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """kernel (d, C): columns of length 1, uniform in [-1, 1] before that."""
        import torch
        from torch.nn import functional as F

        drawn = torch.empty(dim, classes).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))
        return {"kernel": F.normalize(drawn, dim=0)}

    def running(self) -> dict[str, Tensor]:
        """See HeadSpec: mean and std (1,) of the lengths."""
        import torch

        return {"mean": torch.tensor([20.0]), "std": torch.tensor([100.0])}

    def observe(self, running: Mapping[str, Tensor], features: Tensor) -> None:
        """See HeadSpec. The lengths of one image alone have no spread: it is left as it was."""
        lengths = features.norm(dim=1).clamp(_SHORTEST, _LONGEST)
        running["mean"].lerp_(lengths.mean(), self.rate)
        if len(lengths) > 1:
            running["std"].lerp_(lengths.std(), self.rate)

    def true(self, cosines: Tensor, lengths: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """See MarginHead. The gradient is autograd's, of the angle within [0.001, pi - 0.001]."""
        z = (lengths.clamp(_SHORTEST, _LONGEST) - weights["mean"]) / (weights["std"] + _EPS)
        z = (self.h * z).clamp(-1, 1)
        angle = cosines.clamp(-1 + _EPS, 1 - _EPS).acos()
        return (angle - self.margin * z).clamp(_EPS, math.pi - _EPS).cos() - self.margin * (1 + z)
