"""`Head`: the tensors of a head in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gelo.models.faults import UserError
from gelo.models.heads.base import HeadSpec
from gelo.models.heads.margin import MarginHead

if TYPE_CHECKING:
    from gelo.models.training.world import World


class Head(nn.Module):
    """A trainable head: what follows is all that a training loop knows of it. Every process holds the whole of it."""

    def __init__(self, spec: HeadSpec, dim: int, classes: int, seed: int, world: World | None = None) -> None:
        """Raises UserError where the head cannot serve so many classes."""
        super().__init__()
        self.spec = spec
        self.world = world
        for name, tensor in spec.start(dim, classes, seed).items():
            self.register_parameter(name, nn.Parameter(tensor))
        for name, tensor in spec.running().items():
            self.register_buffer(name, tensor)

    def begin(self, step: int, labels: Tensor) -> None:
        """Before a step's first micro-batch: labels (n,) of all those of this process."""

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """See HeadSpec; of one micro-batch."""
        running = dict(self.named_buffers())
        if running:
            with torch.no_grad():
                self.spec.observe(running, features if self.world is None else self.world.gather(features.detach()))
        return self.spec.loss({**dict(self.named_parameters()), **running}, features, labels)

    def logits(self, features: Tensor) -> Tensor:
        """See HeadSpec.scores: (n, d) -> (n, C) of all classes, with gradients. Every process calls it, each with a micro-batch of its own.

        Raises UserError where the head gives no scores, or not of all classes.
        """
        if faults := self.spec.unscored():
            raise UserError("training", faults)
        return self.spec.scores({**dict(self.named_parameters()), **dict(self.named_buffers())}, features)

    def optimizer(self, **options: Any) -> AdamW:
        """AdamW on what trains. options: of AdamW."""
        return AdamW(self.parameters(), **options)

    def alike(self) -> list[nn.Parameter]:
        """Parameters that every process holds whole: their gradients are to be averaged over processes."""
        return list(self.parameters())

    def clip(self, most: float) -> None:
        """Scale the gradients so that the norm of all of them is at most `most`."""
        torch.nn.utils.clip_grad_norm_(self.parameters(), most)

    def whole(self) -> dict[str, Tensor]:
        """What a checkpoint and a trial keep, whatever the number of processes. Every process calls it; rank 0 gets all."""
        return dict(self.state_dict())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `whole`, on every process. Raises RuntimeError for other names or shapes."""
        self.load_state_dict(dict(state))

    def sizes(self) -> list[int]:
        """How many numbers each tensor has that trains, over all processes."""
        return [parameter.numel() for parameter in self.parameters()]


def make_head(spec: HeadSpec, dim: int, classes: int, seed: int, world: World) -> Head:
    """The head as this process holds it: of many classes its share, where there are other processes or a step sees only some of them.

    Raises UserError where the head cannot serve so many classes.
    """
    if isinstance(spec, MarginHead) and (world.size > 1 or spec.sample < 1):
        from gelo.models.heads.classes import ClassHead

        return ClassHead(spec, dim, classes, seed, world)
    return Head(spec, dim, classes, seed, world)
