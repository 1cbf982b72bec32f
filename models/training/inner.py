"""What a transformer tower computes inside, at fixed depths: in front of its blocks and behind them at each quarter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

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
    tower = network
    while isinstance(tower, Around):
        tower = tower.inner
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
        first = getattr(tower.transformer, "batch_first", True)
        kept += [made if first or not depth else made.transpose(0, 1) for depth, made in sorted(found.items())]
