"""`Head`: the tensors of a head in training."""

from __future__ import annotations

from torch import Tensor, nn

from gelo.models.heads.base import HeadSpec


class Head(nn.Module):
    """A trainable head: its loss is all that a training loop knows of it; `state_dict` is what a checkpoint and a trial keep."""

    def __init__(self, spec: HeadSpec, dim: int, classes: int, seed: int) -> None:
        """Raises UserError where the head cannot serve so many classes."""
        super().__init__()
        self.spec = spec
        for name, tensor in spec.start(dim, classes, seed).items():
            self.register_parameter(name, nn.Parameter(tensor))

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """See HeadSpec."""
        return self.spec.loss(dict(self.named_parameters()), features, labels)
