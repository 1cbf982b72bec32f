"""`MarginHead`: cosines to class centres, with a margin on the true one; what each margin is, a class of its own says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from gelo.models.faults import Fault
from gelo.models.heads.base import HeadSpec, Link
from gelo.models.spec import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class MarginHead(HeadSpec):
    """Cross-entropy of logits scale * g_j: g_j = cos(f, k_j) of each class but the true one, whose g the margin makes smaller.

    sample: the share of all classes that a step sees, 1 for all: those of the batch, and others drawn anew from the seed and the step; only
    these move (Partial FC, arXiv 2203.15565).
    """

    link: ClassVar[Link] = "softmax"

    scale: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    sample: float = joined(1.0, gt=0, le=1)

    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """kernel (d, C) ~ N(0, 0.01^2)."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        return {"kernel": torch.empty(dim, classes).normal_(0.0, 0.01, generator=generator)}

    @abstractmethod
    def true(self, cosines: Tensor, lengths: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """g of the true class: its cosines (N,) in [-1, 1], lengths ||f|| (N,) without gradients -> (N,)."""

    def cosines(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """(N, d) -> (N, C) in [-1, 1]: rounding may leave the range, which the source clamps too."""
        from torch.nn import functional as F

        return (F.normalize(features, dim=1) @ F.normalize(weights["kernel"], dim=0)).clamp(-1.0, 1.0)

    def scores(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See HeadSpec: scale * cos(f, k_j)."""
        return self.scale * self.cosines(weights, features)

    def unscored(self, where: str = "head") -> list[Fault]:
        """See HeadSpec."""
        found = f"{self.kind} with sample {self.sample:g}: a step sees that share of the classes"
        return [] if self.sample == 1 else [Fault(where, found, "all classes", "sample: 1")]

    def logits(self, cosines: Tensor, features: Tensor, labels: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """cosines (N, C) of features (N, d) -> (N, C) with the margin at labels (N,); a label of -1: the true class is none of these."""
        here = labels >= 0
        place = labels.clamp(min=0)[:, None]
        plain = cosines.gather(1, place)
        g = self.true(plain[:, 0], features.detach().norm(dim=1), weights)
        return self.scale * cosines.scatter(1, place, g[:, None].where(here[:, None], plain))

    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """Over all classes; labels in [0, C)."""
        from torch.nn import functional as F

        return F.cross_entropy(self.logits(self.cosines(weights, features), features, labels, weights), labels)

    def detector(self, tensors: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See HeadSpec: scale * cos(f, k_j), without the margin."""
        import numpy as np

        kernel = np.asarray(tensors["kernel"], np.float64)
        weight = self.scale * (kernel / np.linalg.norm(kernel, axis=0)).T
        return weight, np.zeros(len(weight))
