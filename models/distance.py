"""How far a tower's weights went from the base's, in all and by transformer block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.encoder import Encoder
from gelo.models.tower import Tower

_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")


@dataclass(frozen=True)
class Distance:
    """||w - w0|| / ||w0|| over the vision tower's parameters: in all, and of each transformer block in its order ((): the tower has none).

    NaN where it cannot be said, such as of weights that are not finite. merged: w are the weights as they act; else the tower is the
    base's with something around its weights that depends on the input, and ||w - w0|| is as `Change.squared_norm` of that has it.
    """

    whole: float
    blocks: tuple[float, ...]
    merged: bool = True


def squares(base: Encoder) -> dict[str, float]:
    """The squared norm of each parameter of the vision tower."""
    return {name: _square(weight.detach()) for name, weight in base.visual.named_parameters()}


def distance(tower: Tower, base: Encoder, own: Mapping[str, float] | None = None) -> Distance:
    """Of the vision tower alone, from `base`, in float64. What a remedy puts around the features is no weight of the tower. own: `squares`
    of the base, for whoever asks more than once."""
    own = squares(base) if own is None else own
    start = {name: weight.detach() for name, weight in base.visual.named_parameters()}
    moved = {
        name: _square(tower.weights[name] - weight.to(tower.weights[name].device)) for name, weight in start.items()
    }
    beside = [(spec, tower.tensors[group]) for group, spec in tower.build if isinstance(spec, AdaptationSpec)]
    for spec, tensors in beside:
        changes = spec.changes(tensors)
        if changes is None:
            moved = dict.fromkeys(moved, float("nan"))
        else:
            moved |= {name: float(change.squared_norm()) for name, change in changes.items()}
    numbers = sorted({int(found[1]) for name in start if (found := _BLOCK.match(name))})
    blocks = [f"transformer.resblocks.{number}." for number in numbers]
    return Distance(_share(moved, own, ""), tuple(_share(moved, own, each) for each in blocks), not beside)


def _share(moved: Mapping[str, float], own: Mapping[str, float], beginning: str) -> float:
    """Root of the quotient of the sums over names that begin so; NaN of weights that are all zero."""
    above, below = (sum(of[name] for name in of if name.startswith(beginning)) for of in (moved, own))
    return float((above / below) ** 0.5) if below else float("nan")


def _square(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2
