"""Bona fide against attack (gurayozgur/MADation: src/training/trainer.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.faults import Fault, UserError
from gelo.models.heads.base import HeadSpec, Link

if TYPE_CHECKING:
    from torch import Tensor


class Binary(HeadSpec):
    """Bona fide against attack: two logits, each with its own sigmoid."""

    link: ClassVar[Link] = "sigmoid"

    kind: Literal["binary"] = "binary"

    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """weight (2, d), bias (2,), as nn.Linear starts. Raises UserError unless there are two classes."""
        import torch

        if classes != 2:
            fault = Fault("head.kind: binary", f"{classes} classes", "2: attack 0, bona fide 1", "kind: cosface")
            raise UserError("head", fault)
        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(dim)
        return {
            "weight": torch.empty(2, dim).uniform_(-bound, bound, generator=generator),
            "bias": torch.empty(2).uniform_(-bound, bound, generator=generator),
        }

    def logits(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """z = W f / ||f|| + b: (N, d), not normalised -> (N, 2); class 1 = bona fide, whose score is softmax(z)[1] (tasks/protocols)."""
        from torch.nn import functional as F

        return F.linear(F.normalize(features, dim=1), weights["weight"], weights["bias"])

    def scores(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See HeadSpec: `logits`."""
        return self.logits(weights, features)

    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy on both logits against the one-hot label, mean over batch and both: not softmax cross-entropy. labels 0
        (attack) or 1 (bona fide)."""
        from torch.nn import functional as F

        logits = self.logits(weights, features)
        return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 2).to(logits.dtype))
