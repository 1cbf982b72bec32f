"""What a transformer tower computes inside: all tokens at fixed depths, or behind each block the token that its output is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gelo.models.adapt.attention import vision_blocks
from gelo.models.adapt.base import without_blocks
from gelo.models.around import Around
from gelo.models.faults import UserError


def depths(blocks: int) -> list[int]:
    """How many blocks lie in front of each place: 0, then each quarter, rounded up: 0, 3, 6, 9, 12 of 12; 0, 1, 2, 3 of 3."""
    return sorted({0, *(math.ceil(quarter * blocks / 4) for quarter in range(1, 5))})


@contextmanager
def tapped(network: nn.Module) -> Iterator[list[Tensor]]:
    """The list holds after a forward pass inside the block what was computed at `depths`, in their order: each (N, tokens, width).

    Raises UserError for a tower without open_clip's transformer blocks.
    """
    tower = _within(network)
    blocks = vision_blocks(tower)
    if not blocks:
        raise UserError("training", without_blocks("inner layers"))
    found: dict[int, Tensor] = {}

    def keep(depth: int, module: nn.Module, given: object, made: Tensor) -> None:
        found[depth] = made

    modules = [tower.ln_pre, *blocks]
    hooks = [modules[depth].register_forward_hook(partial(keep, depth)) for depth in depths(len(blocks))]  # type: ignore[union-attr]
    kept: list[Tensor] = []
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
        first = _batch_first(tower)
        kept += [made if first or not depth else made.transpose(0, 1) for depth, made in sorted(found.items())]


@contextmanager
def pooled_tokens(network: nn.Module) -> Iterator[list[list[NDArray[np.float32]]]]:
    """The list has for each transformer block, in their order, what each forward pass made of the images behind it: float32 (N, width), of
    the class token, or the mean over tokens where the tower's output is not made of that token alone. [] for a tower without open_clip's
    blocks."""
    tower = _within(network)
    blocks = vision_blocks(tower)
    first, alone = _batch_first(tower), getattr(tower, "pool_type", "") == "tok"
    kept: list[list[NDArray[np.float32]]] = [[] for _ in blocks]

    def keep(place: int, module: nn.Module, given: object, made: Tensor) -> None:
        tokens = made if first else made.transpose(0, 1)
        pooled = tokens[:, 0] if alone else tokens.mean(1)
        kept[place].append(pooled.detach().float().cpu().numpy())

    hooks = [block.register_forward_hook(partial(keep, place)) for place, block in enumerate(blocks)]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _within(network: nn.Module) -> nn.Module:
    """The tower inside whatever is put around it."""
    while isinstance(network, Around):
        network = network.inner
    return network


def _batch_first(tower: nn.Module) -> bool:
    return bool(getattr(getattr(tower, "transformer", None), "batch_first", True))
