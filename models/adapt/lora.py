"""LoRA through peft."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gelo.models.adapt.base import Towers
from gelo.models.adapt.projections import OnProjections
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted
    from gelo.models.adapt.adapters import Layer


class Scaled(OnProjections):
    """Adapters gamma B A dropout(x) that start at zero: A (rank, in) Kaiming-uniform, B (out, rank) zero.

    gamma = alpha / sqrt(rank) with rslora (arXiv 2312.03732), else alpha / rank. towers: `both` puts adapters of the same targets, blocks
    and rank into the text tower, whose logit scale then trains itself.
    """

    alpha: float = Field(default=8.0, gt=0, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    rslora: bool = True
    towers: Towers = joined("vision")

    @property
    def gamma(self) -> float:
        """The factor on BA."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    @property
    def draws(self) -> bool:
        """See AdaptationSpec."""
        return self.dropout > 0

    def started(self, visual: nn.Module, seed: int, **options: Any) -> tuple[nn.Module, list[Layer]]:
        """A copy of `visual` with adapters at their start. options: of peft's LoraConfig. Raises UserError as `OnProjections.modules`."""
        import torch

        from gelo.models.adapt.adapters import injected

        # peft's hint for alpha says int; its arithmetic is float
        scaling = {"lora_alpha": self.alpha, "lora_dropout": self.dropout, "use_rslora": self.rslora}
        network, layers = injected(visual, self, **scaling, **options)
        # drawn by name from a generator of our own: neither peft's order nor the global state can change a weight
        generator = torch.Generator().manual_seed(seed)
        for layer in layers:
            bound = 1 / math.sqrt(layer.a.shape[1])  # = kaiming_uniform_(a=sqrt(5)), as in the paper's code
            with torch.no_grad():
                layer.a.copy_(torch.empty(layer.a.shape).uniform_(-bound, bound, generator=generator))
                layer.b.zero_()
        return network, layers


class Lora(Scaled):
    """Low-rank adapters: y = W x + gamma B A dropout(x), A (rank, in) Kaiming-uniform, B (out, rank) zero (arXiv 2106.09685).

    gamma = alpha / sqrt(rank) with rslora (arXiv 2312.03732), else alpha / rank. targets: projections of each chosen block, `mlp` for both
    of the MLP; blocks: "all", or indices from 0. Order does not matter and is not kept, so that equal work has one key.
    """

    kind: Literal["lora"] = "lora"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` with adapters on the chosen projections. Raises UserError for a block or projection that is not there."""
        from gelo.models.adapt.adapted import Adapted, LowRank
        from gelo.models.adapt.adapters import PART, without_adapters

        network, layers = self.started(visual, seed)
        trainable = dict(pair for layer in layers for pair in layer.trains())
        changes = {f"{layer.name}.weight": LowRank(layer.base, layer.a, layer.b, layer.gamma) for layer in layers}
        return Adapted(network, trainable, changes, plain=without_adapters, parts=dict.fromkeys(trainable, PART))
