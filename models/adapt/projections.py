"""Adaptations that sit on chosen linear projections of chosen transformer blocks: which ones, and whether a tower has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field, NonNegativeInt, field_validator

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from torch import nn

Target = Literal["q", "k", "v", "out", "mlp_in", "mlp_out"]
LEAF: dict[Target, str] = {
    "q": "attn.q", "k": "attn.k", "v": "attn.v", "out": "attn.out", "mlp_in": "mlp.c_fc", "mlp_out": "mlp.c_proj",
}  # fmt: skip


class OnProjections(AdaptationSpec):
    """targets: projections of each chosen block; blocks: "all", or indices from 0. Order does not matter and is not kept, so that equal
    work has one key."""

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

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """Block numbers beyond the tower's depth; a tower without transformer blocks."""
        if layers is None:
            found = "a vision tower without open_clip's transformer blocks"
            return [Fault(where, found, "a ViT of open_clip", "adaptation: full")]
        chosen = () if self.blocks == "all" else self.blocks
        beyond = [block for block in chosen if block >= layers]
        return [Fault(f"{where}.blocks", f"block {block}", f"0 to {layers - 1}") for block in beyond]

    def modules(self, network: nn.Module) -> list[str]:
        """Module names of every chosen projection of a tower whose attention was split. Raises UserError unless each is
        there and linear."""
        from torch import nn

        from gelo.models.adapt.attention import vision_blocks

        blocks = vision_blocks(network)
        faults = self.faults(len(blocks) or None)
        if faults:
            raise UserError(self.kind, faults)
        names: list[str] = []
        for block in range(len(blocks)) if self.blocks == "all" else self.blocks:
            present = dict(blocks[block].named_modules())
            for target in self.targets:
                if isinstance(present.get(LEAF[target]), nn.Linear):
                    names.append(f"transformer.resblocks.{block}.{LEAF[target]}")
                else:
                    found = f"no linear {LEAF[target]} in block {block} ({type(present.get('attn')).__name__})"
                    faults.append(Fault(f"adaptation.targets: {target}", found, "one each"))
        if faults:
            raise UserError(self.kind, faults)
        return names
