"""Heads on post-projection image features, with their losses (TaharChettaoui/FRoundation: src/training/losses.py)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from gelo.models.head_specs import Binary, CosFace, HeadKind, HeadSpec
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Binary", "BinaryHead", "CosFace", "CosFaceHead", "Head", "HeadKind", "HeadSpec", "build_head"]


class Head(nn.Module, ABC):
    """A trainable head: its loss is all that a training loop knows of it; `state_dict` is what a checkpoint keeps."""

    @abstractmethod
    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """features (N, d) float, not normalised; labels (N,) int64 -> scalar, the mean over the batch."""


def build_head(spec: HeadSpec, dim: int, classes: int, seed: int) -> Head:
    """The head of this spec, float32 on the CPU. Equal arguments give equal weights, whatever the global random state.

    Raises UserError where the head cannot serve so many classes.
    """
    return spec.build(dim, classes, seed)


class CosFaceHead(Head):
    """logit_j = scale * (cos(f, k_j) - margin * [j = y]), then cross-entropy (arXiv 1801.09414). kernel (d, C) ~ N(0,
    0.01^2)."""

    def __init__(self, dim: int, classes: int, scale: float = 64.0, margin: float = 0.3, *, seed: int = 0) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        generator = torch.Generator().manual_seed(seed)
        self.kernel = nn.Parameter(torch.empty(dim, classes).normal_(0.0, 0.01, generator=generator))

    def cosines(self, features: Tensor) -> Tensor:
        """(N, d) -> (N, C) in [-1, 1]: rounding may leave the range, which the source clamps too."""
        return (F.normalize(features, dim=1) @ F.normalize(self.kernel, dim=0)).clamp(-1.0, 1.0)

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """See Head; labels in [0, C)."""
        cosines = self.cosines(features)
        margins = torch.zeros_like(cosines).scatter_(1, labels[:, None], self.margin)
        return F.cross_entropy(self.scale * (cosines - margins), labels)


class BinaryHead(Head):
    """z = W f/||f|| + b, weight (2, d), bias (2,); class 1 = bona fide.

    The loss is binary cross-entropy on both logits against the one-hot label, mean over batch and both
    (gurayozgur/MADation: src/training/trainer.py), not softmax cross-entropy. The score is softmax(z)[1]: see
    tasks/metrics.
    """

    def __init__(self, dim: int, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(dim)  # nn.Linear's own initialisation
        self.weight = nn.Parameter(torch.empty(2, dim).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(2).uniform_(-bound, bound, generator=generator))

    def forward(self, features: Tensor) -> Tensor:
        """(N, d), not normalised -> logits (N, 2)."""
        return F.linear(F.normalize(features, dim=1), self.weight, self.bias)

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """See Head; labels 0 (attack) or 1 (bona fide)."""
        logits = self(features)
        return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 2).to(logits.dtype))
