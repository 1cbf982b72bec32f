"""Vision towers of random weights, and steps on them: what the benchmarks of a training step share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import open_clip
import torch
from torch import Tensor, nn

from benchmarks.line import note

TINY = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
TEXT = {"context_length": 8, "vocab_size": 514, "width": 32, "heads": 2, "layers": 1}
FULL: dict[str, dict[str, int]] = {
    "ViT-B/16": {"image_size": 224, "layers": 12, "width": 768, "head_width": 64, "patch_size": 16},
    "ViT-L/14": {"image_size": 224, "layers": 24, "width": 1024, "head_width": 64, "patch_size": 14},
}
DIM = {"ViT-B/16": 512, "ViT-L/14": 768, "tiny": 32}


def tower(name: str) -> tuple[nn.Module, int, int]:
    """(vision tower with QuickGELU as OpenAI's, side of its images, width of its features); "tiny" for a look in seconds."""
    torch.manual_seed(0)
    config = FULL.get(name, TINY)
    model = open_clip.model.CLIP(DIM[name], vision_cfg=config, text_cfg=TEXT, quick_gelu=True)
    return model.visual, config["image_size"], DIM[name]


def stepper(network: nn.Module, head: nn.Module, trains: Sequence[nn.Parameter]) -> Callable[[Tensor, Tensor], float]:
    """One step of AdamW on what trains and the head; returns the loss."""
    optimiser = torch.optim.AdamW([*trains, *head.parameters()], lr=1e-4, weight_decay=0.05)
    network.train()

    def step(pixels: Tensor, labels: Tensor) -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(head(network(pixels)), labels)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def interleaved(
    sides: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """(seconds, seconds of the processor) of each side by round, after one call of each that is not counted; the order turns round."""
    for side in sides.values():
        side()
    wall: dict[str, list[float]] = {name: [] for name in sides}
    busy: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            started, used = time.perf_counter(), time.process_time()
            sides[name]()
            wall[name].append(time.perf_counter() - started)
            busy[name].append(time.process_time() - used)
        note(f"round {number + 1} of {rounds}: " + ", ".join(f"{name} {wall[name][-1]:.3f} s" for name in sides))
    return wall, busy
