"""What a sweep may say about an adaptation. No torch here: the command line reads these."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, get_args

from gelo.models.faults import Fault
from gelo.models.spec import Spec
from pydantic import Field, NonNegativeInt, field_validator

if TYPE_CHECKING:
    from gelo.models.adapt.adapted import Adapted
    from torch import nn

Target = Literal["q", "k", "v", "out", "mlp_in", "mlp_out"]


class AdaptationSpec(Spec, ABC):
    """Frozen description of one way to adapt. A new one: a class here, a file beside, a member of
    `models.adapt.Adaptation`."""

    @abstractmethod
    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """See `models.adapt.adapt`."""

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """What cannot work on a tower of so many transformer blocks (None: it has none); for the pre-flight of a
        sweep."""
        return []


class NoAdaptation(AdaptationSpec):
    """The backbone untouched: nothing trains. With a head, that is the frozen-encoder baseline."""

    kind: Literal["none"] = "none"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """See `models.adapt.adapt`."""
        from gelo.models.adapt.none import freeze

        return freeze(visual)


class Full(AdaptationSpec):
    """Every weight of the vision tower trains."""

    kind: Literal["full"] = "full"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """See `models.adapt.adapt`."""
        from gelo.models.adapt.full import unfreeze

        return unfreeze(visual)


class Lora(AdaptationSpec):
    """Low-rank adapters: y = W x + gamma B A dropout(x), A (rank, in) Kaiming-uniform, B (out, rank) zero (arXiv
    2106.09685).

    gamma = alpha / sqrt(rank) with rslora (arXiv 2312.03732), else alpha / rank. targets: projections of each chosen
    block; blocks: "all", or indices from 0. Order does not matter and is not kept, so that equal work has one key.
    """

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=8.0, gt=0, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    rslora: bool = True
    targets: tuple[Target, ...] = Field(default=("q", "v"), min_length=1)
    blocks: Literal["all"] | tuple[NonNegativeInt, ...] = "all"

    @field_validator("targets")
    @classmethod
    def _targets_once_in_order(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if len(set(targets)) != len(targets):
            raise ValueError(f"a target is named twice: {', '.join(targets)}")
        return tuple(target for target in get_args(Target) if target in targets)

    @field_validator("blocks")
    @classmethod
    def _blocks_once_in_order(cls, blocks: Literal["all"] | tuple[int, ...]) -> Literal["all"] | tuple[int, ...]:
        if blocks == "all":
            return blocks
        if not blocks or len(set(blocks)) != len(blocks):
            raise ValueError(f'"all", or block numbers from 0, each once; found {list(blocks)}')
        return tuple(sorted(blocks))

    @property
    def gamma(self) -> float:
        """The factor on BA."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """Block numbers beyond the tower's depth; a tower without transformer blocks."""
        if layers is None:
            return [
                Fault(
                    where,
                    "a vision tower without open_clip's transformer blocks",
                    "a ViT of open_clip",
                    "adaptation: full",
                )
            ]
        chosen = () if self.blocks == "all" else self.blocks
        beyond = [block for block in chosen if block >= layers]
        return [Fault(f"{where}.blocks", f"block {block}", f"0 to {layers - 1}") for block in beyond]

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """See `models.adapt.adapt`."""
        from gelo.models.adapt.lora import add_adapters

        return add_adapters(visual, self, seed)
