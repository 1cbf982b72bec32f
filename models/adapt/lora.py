"""LoRA through peft, on attention that was split first (see `models.adapt.attention` for why)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.adapt.projections import OnProjections

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer
    from torch import Tensor, nn

    from gelo.models.adapt.adapted import Adapted

ADAPTER = "default"  # peft's own name for the only adapter
PART = "visual lora_A, lora_B"


class Lora(OnProjections):
    """Low-rank adapters: y = W x + gamma B A dropout(x), A (rank, in) Kaiming-uniform, B (out, rank) zero (arXiv 2106.09685).

    gamma = alpha / sqrt(rank) with rslora (arXiv 2312.03732), else alpha / rank. targets: projections of each chosen block; blocks: "all",
    or indices from 0. Order does not matter and is not kept, so that equal work has one key.
    """

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=8.0, gt=0, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    rslora: bool = True

    @property
    def gamma(self) -> float:
        """The factor on BA."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    @property
    def draws(self) -> bool:
        """See AdaptationSpec."""
        return self.dropout > 0

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` with adapters on the chosen projections. Raises UserError for a block or projection that is not there."""
        import copy

        import torch

        from gelo.models.adapt.adapted import Adapted, LowRank
        from gelo.models.adapt.attention import split_attention

        network = split_attention(copy.deepcopy(visual))
        names = self.modules(network)
        layers = _inject(network, self, names)
        trainable: dict[str, nn.Parameter] = {}
        changes: dict[str, LowRank] = {}
        # drawn by name from a generator of our own: neither peft's order nor the global state can change a weight
        generator = torch.Generator().manual_seed(seed)
        for name in sorted(names):
            layer = layers[name]
            a, b = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
            bound = 1 / math.sqrt(a.shape[1])  # = kaiming_uniform_(a=sqrt(5)), as in the paper's code
            with torch.no_grad():
                a.copy_(torch.empty(a.shape).uniform_(-bound, bound, generator=generator))
                b.zero_()
            trainable[f"{name}.lora_A.weight"], trainable[f"{name}.lora_B.weight"] = a, b
            changes[f"{name}.weight"] = LowRank(layer.base_layer.weight, a, b, layer.scaling[ADAPTER])
        return Adapted(network, trainable, changes, plain=_without_adapters, parts=dict.fromkeys(trainable, PART))


def _inject(network: nn.Module, spec: Lora, names: list[str]) -> dict[str, LoraLayer]:
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # peft's hint says int; its arithmetic is float
        lora_dropout=spec.dropout,
        use_rslora=spec.rslora,
        target_modules=names,
        bias="none",
    )
    training = network.training
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    network.train(training)
    layers: dict[str, LoraLayer] = {
        name: module for name, module in network.named_modules() if isinstance(module, LoraLayer)
    }
    assert layers.keys() == set(names), f"peft adapted {sorted(layers)}, asked for {names}"
    return layers


def _without_adapters(network: nn.Module) -> dict[str, Tensor]:
    """The frozen tensors by weight name: peft keeps an adapted module's own under `base_layer`."""
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in network.state_dict().items()
        if ".lora_" not in name
    }
