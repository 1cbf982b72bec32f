"""The gains and biases of LayerNorm alone (peft's `ln_tuning`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from gelo.models.adapt.subset import Subset

if TYPE_CHECKING:
    from torch import nn


class LayerNorm(Subset):
    """The gain and bias of every LayerNorm of the vision tower train: 39,936 numbers of ViT-B/16."""

    kind: Literal["layernorm"] = "layernorm"

    def chosen(self, network: nn.Module) -> Iterable[str]:
        """See Subset."""
        from torch import nn

        for name, module in network.named_modules():
            if isinstance(module, nn.LayerNorm):
                yield from (f"{name}.{leaf}" for leaf, _ in module.named_parameters(recurse=False))
