"""open_clip's packed attention as four separate linears (q, k, v, out), with equal numbers, and the way back.

Why: adapters aim at single projections. peft 0.21 on `nn.MultiheadAttention` cannot choose q and v, ignores its
dropout, and never calls an adapter on the output projection alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PROJECTIONS = ("q", "k", "v")


class SplitAttention(nn.Module):
    """Self-attention with `q`, `k`, `v` and `out` as `nn.Linear`, called as open_clip calls `nn.MultiheadAttention`."""

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        """Copy the weights of `packed`. Raises ValueError for a kind that open_clip's blocks do not use."""
        super().__init__()
        if (
            not packed.batch_first
            or packed.in_proj_weight is None
            or packed.bias_k is not None
            or packed.dropout != 0.0
        ):
            raise ValueError(
                "only batch-first self-attention with packed projections, no extra bias and no dropout can be split"
            )
        self.heads = packed.num_heads
        width = packed.embed_dim
        bias = packed.in_proj_bias
        self.q, self.k, self.v = (
            _linear(
                packed.in_proj_weight[i * width : (i + 1) * width],
                None if bias is None else bias[i * width : (i + 1) * width],
            )
            for i in range(3)
        )
        self.out = _linear(packed.out_proj.weight, packed.out_proj.bias)
        self.train(packed.training)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """(N, L, d) each -> ((N, L, d), None). Attention weights are not kept: need_weights must be False."""
        if need_weights:
            raise ValueError("SplitAttention does not return attention weights")
        q, k, v = self._heads(self.q(query)), self._heads(self.k(key)), self._heads(self.v(value))  # (N, H, L, d / H)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out(mixed.transpose(1, 2).flatten(2)), None

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def split_attention(visual: nn.Module) -> nn.Module:
    """Replace, in place, every transformer block's `nn.MultiheadAttention`; returns `visual`. Other attention is left
    alone."""
    for block in vision_blocks(visual):
        packed = getattr(block, "attn", None)
        if isinstance(packed, nn.MultiheadAttention):
            block.attn = SplitAttention(packed)
    return visual


def vision_blocks(visual: nn.Module) -> list[nn.Module]:
    """The transformer blocks of an open_clip vision tower; [] for a tower that has none (a ResNet, a timm model)."""
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList) else []


def join_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names and tensors of a split tower back to the packed ones (`in_proj_weight`, `out_proj.weight`, ...); others
    pass as they are."""
    joined: dict[str, Tensor] = {}
    for name, tensor in state.items():
        prefix, _, leaf = name.rpartition(".attn.")
        projection, _, kind = leaf.partition(".")
        if not prefix or projection not in (*PROJECTIONS, "out") or kind not in ("weight", "bias"):
            joined[name] = tensor
        elif projection == "out":
            joined[f"{prefix}.attn.out_proj.{kind}"] = tensor
        elif projection == "q":
            joined[f"{prefix}.attn.in_proj_{kind}"] = torch.cat(
                [state[f"{prefix}.attn.{p}.{kind}"] for p in PROJECTIONS]
            )
    return joined


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    # meta first: no random numbers are drawn for weights that are overwritten at once
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
    return linear
