"""`Adapted`: a vision tower in training, on request with its text tower, the same to the loop whatever way it was adapted.

Decisions: it knows which tensors train and, per changed weight, how far it went from where it started (`Change`).
Nothing is ever merged in place, so a base cannot be merged into twice; `merged` builds new tensors under open_clip's
own names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from gelo.models.adapt.attention import join_state
from gelo.models.adapt.changes import Change, DenseChange, LowRank, Moved, Routed
from gelo.models.tower import ENCODER, TEXT, Builds, Tower

HIGHEST = math.log(100)  # of the logit scale (arXiv 2103.00020, section 2.5: CLIP clips it there in training)
OF_TEXT = "text."  # what the names of a text tower's tensors begin with here

__all__ = ["Adapted", "LowRank", "Moved", "Routed", "own_state"]


class Adapted(nn.Module):
    """A vision tower with what trains in it. Call it: float32 (N, 3, H, W) -> (N, d), post-projection, not
    normalised.

    text: the text tower in training, an `Adapted` of open_clip's text model; None where it is left as it is. What it trains is named with
    "text." before open_clip's names in all that follows but `merged`."""

    text: Adapted | None

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
        self.text = None
        self.waits = 0  # epochs before those of the training in which the head alone trains
        self.parts = dict(parts or dict.fromkeys(trainable, "visual"))
        chosen = {id(parameter) for parameter in self._trainable.values()}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in chosen)

    def beside(self, text: Adapted) -> None:
        """Take the text tower in: from here it trains too."""
        self.text = text
        self._trainable |= {OF_TEXT + name: parameter for name, parameter in text._trainable.items()}
        self.parts |= {OF_TEXT + name: part for name, part in text.parts.items()}

    def also(self, name: str, start: Tensor, part: str) -> None:
        """One more of the network's own parameters trains, where it does not yet. start: what it starts from, held by reference."""
        own = dict(self.network.named_parameters())[name]
        own.requires_grad_()
        self._trainable[name], self._changes[name], self.parts[name] = own, Moved(own, start), part

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

    def texts(self, tokens: Tensor) -> Tensor:
        """int64 (K, context length) -> (K, d) of the text tower, not normalised, with gradients. Raises TypeError where none trains."""
        if self.text is None:
            raise TypeError("the text tower does not train: it is the base's")
        features: Tensor = self.text.network.encode_text(tokens, normalize=False)  # type: ignore[operator]
        return features

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of what cosines are multiplied by, a scalar with gradients. Raises TypeError where no text tower trains."""
        if self.text is None:
            raise TypeError("the text tower does not train: its logit scale is the base's")
        return cast("Tensor", self.text.network.logit_scale).reshape(())

    def stepped(self) -> None:
        """After each step of the optimiser: what may not leave its range is put back, the logit scale into [0, ln 100] as CLIP does."""
        if self.text is not None:
            with torch.no_grad():
                cast("Tensor", self.text.network.logit_scale).clamp_(0.0, HIGHEST)

    def trainable(self) -> dict[str, nn.Parameter]:
        """What trains, by name; exactly the parameters that require gradients."""
        return dict(self._trainable)

    def deltas(self) -> dict[str, Tensor]:
        """theta - theta_0 of every weight that can move, dense, with gradients. Large for LoRA: see `squared_distance`.

        Raises TypeError, like `leaves`, where the adaptation does not give "deltas"."""
        return {name: change.delta() for name, change in self._dense(self._moving()).items()}

    def leaves(self) -> dict[str, Tensor]:
        """By weight name, the tensor whose gradient at the start is that of the weight itself."""
        return {name: change.leaf for name, change in self._dense(self._moving()).items()}

    def _dense(self, changes: Mapping[str, Change]) -> dict[str, DenseChange]:
        if self._around is not None:
            raise TypeError(f"{type(self._around).__name__} has no dense changes")
        return {name: cast("DenseChange", change) for name, change in changes.items()}

    def _moving(self) -> dict[str, Change]:
        """The changes of both towers by name."""
        texts = {} if self.text is None else {OF_TEXT + name: change for name, change in self.text._changes.items()}
        return {**self._changes, **texts}

    def squared_distance(self) -> Tensor:
        """||theta - theta_0||^2 over the weights that can move, of both towers where both train, a scalar with gradients; 0 where nothing
        can."""
        total = torch.zeros((), device=next(self.network.parameters()).device)
        for change in self._moving().values():
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
            own = {} if self.text is None else {TEXT: self.text.merged()}
            return Tower({ENCODER: self.merged(), **own})
        kept = {name: tensor.cpu() for name, tensor in self.state().items()}
        return Tower({ENCODER: self._plain(self.network)}).wrapped("adaptation", self._around, kept)

    def merged(self) -> dict[str, Tensor]:
        """New tensors of the whole vision tower (`text.merged()`: of the text tower) under open_clip's names, changes included, on the CPU;
        what trains is untouched."""
        with torch.no_grad():
            plain = self._plain(self.network)
            strays = self._changes.keys() - plain.keys()
            assert not strays, f"changes of unknown weights: {sorted(strays)}"
            changed = {name: change.value() for name, change in self._dense(self._changes).items()}
            joined = join_state(plain | changed)
            return {name: tensor.detach().to("cpu", copy=True) for name, tensor in joined.items()}


def own_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict as it is: `plain` for a network without adapters."""
    return dict(network.state_dict())
