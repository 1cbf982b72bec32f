"""The last transformer blocks, and what comes after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.adapt.subset import Subset
from gelo.models.faults import Fault

if TYPE_CHECKING:
    from torch import nn

_AFTER = ("ln_post", "proj", "attn_pool", "attn_pool_contrastive", "ln_final", "text_projection")


class LastBlocks(Subset):
    """The last `blocks` transformer blocks train, and what comes after them: ln_post, the projection, and the pooling of a CoCa. With
    `towers: both` so many of the text tower too, with ln_final and its projection."""

    kind: Literal["last_blocks"] = "last_blocks"
    blocks: int = Field(default=1, ge=1)

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """More blocks than the tower has; a tower without transformer blocks."""
        if layers is None or self.blocks <= layers:
            return super().faults(layers, where)
        return [Fault(f"{where}.blocks", f"{self.blocks} blocks", f"1 to {layers}")]

    def chosen(self, network: nn.Module) -> Iterable[str]:
        """See Subset."""
        from gelo.models.adapt.attention import vision_blocks

        layers = len(vision_blocks(network))
        blocks = [f"transformer.resblocks.{number}." for number in range(layers - self.blocks, layers)]
        for name, _ in network.named_parameters():
            if name.partition(".")[0] in _AFTER or name.startswith(tuple(blocks)):
                yield name
