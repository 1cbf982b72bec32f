"""LoRA through peft, on attention that was split first (see `models.attention` for why)."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from gelo.models.adapt.adapted import Adapted, LowRank
from gelo.models.adapt.specs import Lora, Target
from gelo.models.attention import split_attention, vision_blocks
from gelo.models.faults import Fault, UserError
from torch import Tensor, nn

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

ADAPTER = "default"  # peft's own name for the only adapter
LEDGER_PART = "visual lora_A, lora_B"

_LEAF: dict[Target, str] = {
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "out": "attn.out",
    "mlp_in": "mlp.c_fc",
    "mlp_out": "mlp.c_proj",
}


def add_adapters(visual: nn.Module, spec: Lora, seed: int) -> Adapted:
    """A copy of `visual` with adapters on the chosen projections. Raises UserError for a block or projection that is
    not there."""
    network = split_attention(copy.deepcopy(visual))
    names = _targets(network, spec)
    layers = _inject(network, spec, names)
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
    return Adapted(network, trainable, changes, plain=_without_adapters, layers=dict.fromkeys(trainable, LEDGER_PART))


def _targets(network: nn.Module, spec: Lora) -> list[str]:
    """Module names of every chosen projection; each must be there and linear."""
    blocks = vision_blocks(network)
    faults = spec.faults(len(blocks) or None)
    if faults:
        raise UserError("LoRA", faults)
    names: list[str] = []
    for block in range(len(blocks)) if spec.blocks == "all" else spec.blocks:
        present = dict(blocks[block].named_modules())
        for target in spec.targets:
            if isinstance(present.get(_LEAF[target]), nn.Linear):
                names.append(f"transformer.resblocks.{block}.{_LEAF[target]}")
            else:
                found = type(present.get("attn")).__name__
                faults.append(
                    Fault(
                        f"adaptation.targets: {target}",
                        f"no linear {_LEAF[target]} in block {block} ({found})",
                        "one each",
                    )
                )
    if faults:
        raise UserError("LoRA", faults)
    return names


def _inject(network: nn.Module, spec: Lora, names: list[str]) -> dict[str, LoraLayer]:
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
