"""`Adapted`: a vision tower in training, the same to the loop whatever way it was adapted.

Decisions: it knows which tensors train and, per changed weight, how far it went from where it started (`Change`).
Nothing is ever merged in place, so a base cannot be merged into twice; `merged` builds new tensors under open_clip's
own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from gelo.models.adapt.attention import join_state
from gelo.models.adapt.changes import Change, DenseChange, LowRank, Moved, Routed
from gelo.models.tower import ENCODER, Builds, Tower

__all__ = ["Adapted", "LowRank", "Moved", "Routed", "own_state"]


class Adapted(nn.Module):
    """A vision tower with what trains in it. Call it: float32 (N, 3, H, W) -> (N, d), post-projection, not
    normalised."""

    def __init__(
        self,
        network: nn.Module,
        trainable: Mapping[str, nn.Parameter],
        changes: Mapping[str, Change],
        plain: Callable[[nn.Module], dict[str, Tensor]],
        parts: Mapping[str, str] | None = None,
        around: Builds | None = None,
    ) -> None:
        """trainable: by the name used in checkpoints. changes: by weight name. plain: the network's frozen or own tensors by weight name,
        without adapters, attention split or packed. parts: trainable name -> part in the table of parameters. around: the spec that builds
        the network of what trains, where it does not merge."""
        super().__init__()
        self.network = network
        self._trainable = dict(trainable)
        self._changes = dict(changes)
        self._plain = plain
        self._around = around
        self.waits = 0  # epochs before those of the training in which the head alone trains
        self.parts = dict(parts or dict.fromkeys(trainable, "visual"))
        chosen = {id(parameter) for parameter in self._trainable.values()}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def train(self, mode: bool = True) -> Adapted:
        """As any module; a tower in which nothing trains stays as it is tested, its running statistics too."""
        return super().train(mode and bool(self._trainable))

    def hold(self, held: bool) -> None:
        """Whether what trains stays as it is for now, and the tower as it is tested; else it trains, where anything does."""
        for parameter in self._trainable.values():
            parameter.requires_grad_(not held)
        self.train(not held)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W), normalised as the encoder's transform says -> (N, d)."""
        features: Tensor = self.network(pixels)
        return features

    def trainable(self) -> dict[str, nn.Parameter]:
        """What trains, by name; exactly the parameters that require gradients."""
        return dict(self._trainable)

    def deltas(self) -> dict[str, Tensor]:
        """theta - theta_0 of every weight that can move, dense, with gradients. Large for LoRA: see `squared_distance`.

        Raises TypeError, like `leaves`, where the adaptation does not give "deltas"."""
        return {name: change.delta() for name, change in self._dense().items()}

    def leaves(self) -> dict[str, Tensor]:
        """By weight name, the tensor whose gradient at the start is that of the weight itself."""
        return {name: change.leaf for name, change in self._dense().items()}

    def _dense(self) -> dict[str, DenseChange]:
        if self._around is not None:
            raise TypeError(f"{type(self._around).__name__} has no dense changes")
        return {name: cast("DenseChange", change) for name, change in self._changes.items()}

    def squared_distance(self) -> Tensor:
        """||theta - theta_0||^2 over the weights that can move, a scalar with gradients; 0 where nothing can."""
        total = torch.zeros((), device=next(self.network.parameters()).device)
        for change in self._changes.values():
            total = total + change.squared_norm()
        return total

    def state(self) -> dict[str, Tensor]:
        """Copies of what trains, and of nothing else: adapters and base stay apart."""
        return {name: parameter.detach().clone() for name, parameter in self._trainable.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a `state()`. Raises ValueError unless names and shapes are exactly those."""
        own = self._trainable
        wrong = sorted(own.keys() ^ state.keys()) or sorted(k for k in own if own[k].shape != state[k].shape)
        if wrong:
            raise ValueError(f"{len(wrong)} tensors do not fit what trains: {', '.join(wrong[:5])}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def publish(self) -> Tower:
        """What is kept of it: plain weights, or the untouched ones with what trained around them."""
        if self._around is None:
            return Tower({ENCODER: self.merged()})
        kept = {name: tensor.cpu() for name, tensor in self.state().items()}
        return Tower({ENCODER: self._plain(self.network)}).wrapped("adaptation", self._around, kept)

    def merged(self) -> dict[str, Tensor]:
        """New tensors of the whole vision tower under open_clip's names, changes included, on the CPU; what trains is
        untouched."""
        with torch.no_grad():
            plain = self._plain(self.network)
            strays = self._changes.keys() - plain.keys()
            assert not strays, f"changes of unknown weights: {sorted(strays)}"
            changed = {name: change.value() for name, change in self._dense().items()}
            joined = join_state(plain | changed)
            return {name: tensor.detach().to("cpu", copy=True) for name, tensor in joined.items()}


def own_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict as it is: `plain` for a network without adapters."""
    return dict(network.state_dict())
