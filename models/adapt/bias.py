"""BitFit: biases alone (arXiv 2106.10199)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from gelo.models.adapt.subset import Subset

if TYPE_CHECKING:
    from torch import nn


class Bias(Subset):
    """Every bias of the vision tower trains, those of LayerNorm too (BitFit, arXiv 2106.10199): 102,912 numbers of ViT-B/16."""

    kind: Literal["bias"] = "bias"

    def chosen(self, network: nn.Module) -> Iterable[str]:
        """See Subset: `bias` and `in_proj_bias`."""
        return (name for name, _ in network.named_parameters() if name.rpartition(".")[2] in ("bias", "in_proj_bias"))
