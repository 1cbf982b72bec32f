"""peft's low-rank adapters on attention that was split first (see `models.adapt.attention` for why): what LoRA, DoRA and PiSSA share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from gelo.models.adapt.attention import split_attention
from gelo.models.adapt.projections import OnProjections

ADAPTER = "default"  # peft's own name for the only adapter
PART = "visual lora_A, lora_B"


@dataclass(frozen=True, slots=True)
class Layer:
    """One adapted projection. name: of its module; base: its frozen weight; a (rank, in), b (out, rank); gamma: the factor on b @ a."""

    name: str
    module: LoraLayer
    base: nn.Parameter
    a: nn.Parameter
    b: nn.Parameter
    gamma: float

    def trains(self) -> Iterator[tuple[str, nn.Parameter]]:
        """a and b by their names in a checkpoint."""
        yield f"{self.name}.lora_A.weight", self.a
        yield f"{self.name}.lora_B.weight", self.b


def injected(visual: nn.Module, spec: OnProjections, **options: Any) -> tuple[nn.Module, list[Layer]]:
    """A copy of `visual` with an adapter around every projection that `spec` chooses, in the order of their names. options: LoraConfig's.

    What peft draws for a and b is to be overwritten; torch's generators are left as they were. Raises UserError for a block or a
    projection that is not there.
    """
    network = split_attention(copy.deepcopy(visual))
    names = sorted(spec.modules(network))
    config = LoraConfig(r=spec.rank, target_modules=names, bias="none", **options)
    training = network.training
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    network.train(training)
    found: dict[str, LoraLayer] = {
        name: module for name, module in network.named_modules() if isinstance(module, LoraLayer)
    }
    assert found.keys() == set(names), f"peft adapted {sorted(found)}, asked for {names}"
    return network, [_layer(name, found[name]) for name in names]


def _layer(name: str, module: LoraLayer) -> Layer:
    a, b = module.lora_A[ADAPTER].weight, module.lora_B[ADAPTER].weight
    return Layer(name, module, module.base_layer.weight, a, b, module.scaling[ADAPTER])


def without_adapters(network: nn.Module) -> dict[str, Tensor]:
    """The frozen tensors by weight name: peft keeps an adapted module's own under `base_layer`."""
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in network.state_dict().items()
        if ".lora_" not in name
    }
