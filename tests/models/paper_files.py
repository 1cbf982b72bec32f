"""Checkpoints as FRoundation, MADation and FoundPAD save them, of random weights, and their published forward written out by hand.

Nothing of gelo's is used: names and modules are those of the papers' code (src/finetuning/loralib/layers.py).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]


def published(model: nn.Module, rank: int | None, seed: int = 0) -> State:
    """The state dict of an open_clip CLIP with the vision attention in four parts, `attn.proj` for the output, and LoRA on q and v that has
    moved; rank None: under OpenAI's own names, as the rows without LoRA are saved."""
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    if rank is None:
        return state
    generator = torch.Generator().manual_seed(seed)
    out: State = {}
    for name, tensor in state.items():
        stem, packed, kind = name.partition(".attn.in_proj_")
        if name.startswith("visual.") and packed:
            width = tensor.shape[-1]
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{stem}.attn.{part}_proj.{kind}"] = rows.clone()
                if kind == "weight" and part != "k":
                    a, b = torch.randn(rank, width, generator=generator), torch.randn(width, rank, generator=generator)
                    out[f"{stem}.attn.{part}_proj.w_lora_A"] = a / math.sqrt(width)
                    out[f"{stem}.attn.{part}_proj.w_lora_B"] = 0.2 * b
        elif name.startswith("visual.") and ".attn.out_proj." in name:
            out[name.replace(".out_proj.", ".proj.")] = tensor
        else:
            out[name] = tensor
    return out


def save(state: State, path: Path) -> Path:
    """As `torch.save(model.state_dict(), path)`."""
    torch.save(state, path)
    return path


def image_features(state: State, pixels: Tensor, heads: int, gamma: float, quick: bool) -> Tensor:
    """float32 (N, 3, S, S) -> (N, d): OpenAI's vision transformer with y = W x + b + gamma * B (A x) on q and v, LoRA not merged."""

    def of(name: str) -> Tensor:
        return state[f"visual.{name}"]

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], of(f"{name}.weight"), of(f"{name}.bias"), 1e-5)

    def linear(x: Tensor, name: str) -> Tensor:
        y = F.linear(x, of(f"{name}.weight"), of(f"{name}.bias"))
        if f"visual.{name}.w_lora_A" in state:
            y = y + gamma * F.linear(F.linear(x, of(f"{name}.w_lora_A")), of(f"{name}.w_lora_B"))
        return y

    kernel = of("conv1.weight")
    x = F.conv2d(pixels, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([of("class_embedding").expand(len(x), 1, -1), x], dim=1) + of("positional_embedding")
    x = norm(x, "ln_pre")
    for number in range(
        len({name.split(".")[3] for name in state if name.startswith("visual.transformer.resblocks.")})
    ):
        block = f"transformer.resblocks.{number}"
        y = norm(x, f"{block}.ln_1")
        q, k, v = (linear(y, f"{block}.attn.{part}_proj").unflatten(-1, (heads, -1)).transpose(1, 2) for part in "qkv")
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + linear((weights @ v).transpose(1, 2).flatten(2), f"{block}.attn.proj")
        y = linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
        y = y * torch.sigmoid(1.702 * y) if quick else F.gelu(y)
        x = x + linear(y, f"{block}.mlp.c_proj")
    return norm(x[:, 0], "ln_post") @ of("proj")


def header(dim: int, classes: int | None = None, seed: int = 1) -> dict[str, Any]:
    """A detector's `linear`, or the `kernel` of so many identities."""
    generator = torch.Generator().manual_seed(seed)
    if classes is not None:
        return {"kernel": torch.randn(dim, classes, generator=generator)}
    return {
        "linear.weight": torch.randn(2, dim, generator=generator),
        "linear.bias": torch.randn(2, generator=generator),
    }
