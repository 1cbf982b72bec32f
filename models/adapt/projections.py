"""Low-rank adaptations that sit on chosen linear projections of chosen transformer blocks: which ones, and whether a tower has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field, NonNegativeInt, field_validator

from gelo.models.adapt.base import AdaptationSpec, without_blocks
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from torch import nn

Target = Literal["q", "k", "v", "out", "mlp_in", "mlp_out"]
LEAF: dict[Target, str] = {
    "q": "attn.q", "k": "attn.k", "v": "attn.v", "out": "attn.out", "mlp_in": "mlp.c_fc", "mlp_out": "mlp.c_proj",
}  # fmt: skip
MLP = ("mlp_in", "mlp_out")


class OnProjections(AdaptationSpec):
    """targets: projections of each chosen block, `mlp` for mlp_in and mlp_out; blocks: "all", or indices from 0. Order does not matter and
    is not kept, so that equal work has one key. rank: at most the tower's width."""

    targets: tuple[Target, ...] = Field(default=("q", "v"), min_length=1)
    blocks: Literal["all"] | tuple[NonNegativeInt, ...] = "all"
    rank: int = Field(default=8, ge=1)

    @field_validator("targets", mode="before")
    @classmethod
    def _mlp_is_both(cls, targets: Any) -> Any:
        if not isinstance(targets, list | tuple):
            return targets
        return tuple(each for target in targets for each in (MLP if target == "mlp" else (target,)))

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
            return without_blocks(where)
        chosen = () if self.blocks == "all" else self.blocks
        beyond = [block for block in chosen if block >= layers]
        return [Fault(f"{where}.blocks", f"block {block}", f"0 to {layers - 1}") for block in beyond]

    def faults_of_width(self, width: int | None, where: str = "adaptation") -> list[Fault]:
        """A rank above the width, which is the rank that the narrowest projection has."""
        if width is None or self.rank <= width:
            return []
        return [Fault(f"{where}.rank", f"rank {self.rank}", f"1 to {width}, the width of the tower")]

    def modules(self, network: nn.Module) -> list[str]:
        """Module names of every chosen projection of a tower whose attention was split. Raises UserError unless each is
        there, linear, and as wide as the rank."""
        from torch import nn

        from gelo.models.adapt.attention import vision_blocks

        blocks = vision_blocks(network)
        faults = self.faults(len(blocks) or None)
        if faults:
            raise UserError(self.kind, faults)
        names: list[str] = []
        width: int | None = None
        for block in range(len(blocks)) if self.blocks == "all" else self.blocks:
            present = dict(blocks[block].named_modules())
            for target in self.targets:
                if isinstance(found := present.get(LEAF[target]), nn.Linear):
                    names.append(f"transformer.resblocks.{block}.{LEAF[target]}")
                    narrow = min(found.in_features, found.out_features)
                    width = narrow if width is None else min(width, narrow)
                else:
                    said = f"no linear {LEAF[target]} in block {block} ({type(present.get('attn')).__name__})"
                    faults.append(Fault(f"adaptation.targets: {target}", said, "one each"))
        if faults := [*faults, *self.faults_of_width(width)]:
            raise UserError(self.kind, faults)
        return names
