"""A LoRA step as gelo makes it (split attention, q and v, rank 16; ViT-B/16, batch 8) against a full step, and against peft.

peft cannot aim at q and v of open_clip's packed attention: given the attention module, it puts one adapter on all of q, k and v and one on
the output projection, and merges both into the weights in every forward pass. That is what it is compared with.
Weights are random, all sides see the same pixels, and before the first step each gives the tower's own features. torch has as many threads
as there are cores.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
from functools import partial

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from benchmarks.line import finish
from benchmarks.towers import interleaved, stepper, tower
from gelo.models.adapt import Full, Lora, adapt


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    visual, side, dim = tower("tiny" if smoke else "ViT-B/16")
    batch, rounds = (2, 1) if smoke else (8, 7)
    pixels, labels = torch.randn(batch, 3, side, side), torch.arange(batch) % 2
    full, lora = adapt(visual, Full(), 0), adapt(visual, Lora(rank=16, alpha=16.0, targets=("q", "v")), 0)
    packed = _peft(visual)
    with torch.no_grad():
        start = visual.eval()(pixels)
        apart = {name: _apart(model.eval()(pixels), start) for name, model in (("lora", lora), ("peft", packed))}
    assert max(apart.values()) < 1e-4, f"before the first step all are the untouched tower: {apart}"
    steps = {
        "lora": stepper(lora, nn.Linear(dim, 2), list(lora.trainable().values())),
        "full": stepper(full, nn.Linear(dim, 2), list(full.trainable().values())),
        "peft": stepper(packed, nn.Linear(dim, 2), [p for p in packed.parameters() if p.requires_grad]),
    }
    seconds, busy = interleaved({name: partial(step, pixels, labels) for name, step in steps.items()}, rounds)
    ratios = {
        name: round(
            statistics.median(one / other for one, other in zip(seconds["lora"], seconds[name], strict=True)), 4
        )
        for name in ("full", "peft")
    }
    detail = {
        "seconds": {name: [round(value, 3) for value in values] for name, values in seconds.items()},
        "median_of_ratios_to": ratios,
        "ratio_to_full": round(statistics.median(seconds["lora"]) / statistics.median(seconds["full"]), 4),
        "ratio_to_peft": round(statistics.median(seconds["lora"]) / statistics.median(seconds["peft"]), 4),
        "ratio_of_cpu_time": {
            name: round(statistics.median(busy["lora"]) / statistics.median(busy[name]), 4) for name in ("full", "peft")
        },
        "farthest_feature_before": apart,
        "batch": batch,
        "load": round(os.getloadavg()[0], 1),
    }
    finish("lora_step", seconds["lora"], seconds["full"], "s a step", "<= 0.63 of full, <= 0.70 of peft", detail)


def _peft(visual: nn.Module) -> nn.Module:
    """A copy with peft's own adapters on the attention modules."""
    network = copy.deepcopy(visual)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.MultiheadAttention)]
    config = LoraConfig(r=16, lora_alpha=16, use_rslora=True, target_modules=names, bias="none")
    inject_adapter_in_model(config, network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return network


def _apart(one: Tensor, two: Tensor) -> float:
    return float((one - two).abs().max())


if __name__ == "__main__":
    main()
