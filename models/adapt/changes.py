"""How far a weight went from where it started: one class for each way to change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class Change(Protocol):
    """How far one weight went from where it started: all that every adaptation can say."""

    def squared_norm(self) -> Tensor:
        """Sum of the squares of the distance, a scalar with gradients."""


class DenseChange(Change, Protocol):
    """The change of a weight that is one matrix, whatever the input (`AdaptationSpec.gives` has "deltas")."""

    @property
    def leaf(self) -> Tensor:
        """The tensor whose gradient at the start is that of the weight itself."""

    def value(self) -> Tensor:
        """The weight with the change in it, with gradients."""

    def delta(self) -> Tensor:
        """value - start, dense, with gradients."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A weight that trains itself. start: the base's own tensor, held by reference."""

    now: nn.Parameter
    start: Tensor

    @property
    def leaf(self) -> Tensor:
        """See DenseChange."""
        return self.now

    def value(self) -> Tensor:
        """See DenseChange."""
        return self.now

    def delta(self) -> Tensor:
        """See DenseChange."""
        return self.now - self.start.to(self.now.device)  # the base may have stayed on the CPU

    def squared_norm(self) -> Tensor:
        """See Change."""
        return self.delta().square().sum()


@dataclass(frozen=True, slots=True)
class LowRank:
    """A frozen weight (out, in) with gamma * b @ a beside it; a (rank, in), b (out, rank)."""

    base: Tensor
    a: nn.Parameter
    b: nn.Parameter
    gamma: float

    @property
    def leaf(self) -> Tensor:
        """See DenseChange."""
        return self.base

    def value(self) -> Tensor:
        """See DenseChange."""
        return self.base + self.delta()

    def delta(self) -> Tensor:
        """See DenseChange."""
        return self.gamma * (self.b @ self.a)

    def squared_norm(self) -> Tensor:
        """See Change. ||BA||^2 = tr(B^T B A A^T): two rank x rank products in place of an out x in matrix."""
        return self.gamma**2 * ((self.b.T @ self.b) * (self.a @ self.a.T)).sum()


@dataclass(frozen=True, slots=True)
class Principal:
    """A weight (out, in) whose part `start_b @ start_a` trains as b @ a, the rest of it frozen in `base`. start: the weight as it was."""

    base: Tensor
    start: Tensor
    a: nn.Parameter
    b: nn.Parameter
    start_a: Tensor
    start_b: Tensor

    @property
    def leaf(self) -> Tensor:
        """See DenseChange."""
        return self.base

    def value(self) -> Tensor:
        """See DenseChange. At the start the weight as it was, bit for bit."""
        return self.start.to(self.a.device) + self.delta()

    def delta(self) -> Tensor:
        """See DenseChange."""
        return self.b @ self.a - self.start_b.to(self.b.device) @ self.start_a.to(self.a.device)

    def squared_norm(self) -> Tensor:
        """See Change: of the one product of rank 2 r that the difference of two is."""
        a = torch.cat([self.a, self.start_a.to(self.a.device)])
        b = torch.cat([self.b, -self.start_b.to(self.b.device)], dim=1)
        return ((b.T @ b) * (a @ a.T)).sum()


@dataclass(frozen=True, slots=True)
class Decomposed:
    """A frozen weight (out, in) and gamma * b @ a, together of the row lengths `magnitude` (out,)."""

    base: Tensor
    a: nn.Parameter
    b: nn.Parameter
    gamma: float
    magnitude: nn.Parameter

    @property
    def leaf(self) -> Tensor:
        """See DenseChange."""
        return self.base

    def value(self) -> Tensor:
        """See DenseChange. The length that is divided by has no gradient, as in training (arXiv 2402.09353, section 4.3)."""
        direction = self.base + self.gamma * (self.b @ self.a)
        length = torch.linalg.norm(direction.detach(), dim=1)
        return (self.magnitude / length)[:, None] * direction

    def delta(self) -> Tensor:
        """See DenseChange."""
        return self.value() - self.base

    def squared_norm(self) -> Tensor:
        """See Change."""
        return self.delta().square().sum()


@dataclass(frozen=True, slots=True)
class Routed:
    """A sum over experts that depends on the input: it has a size, but neither a value nor a delta. a (E, rank, in), b (E, out, rank)."""

    a: Tensor
    b: Tensor
    gamma: float

    def squared_norm(self) -> Tensor:
        """See Change: ||B_e A_e||^2 summed over the experts, as if each had all the weight."""
        return self.gamma**2 * ((self.b.transpose(1, 2) @ self.b) * (self.a @ self.a.transpose(1, 2))).sum()
