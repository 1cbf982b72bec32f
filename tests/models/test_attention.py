from __future__ import annotations

import copy

import numpy as np
import open_clip
import pytest
import torch
from torch import nn

from gelo.models.adapt.attention import SplitAttention, join_state, split_attention, vision_blocks
from gelo.models.encoder import Encoder


@pytest.mark.parametrize("masked", [False, True])
def test_split_equals_packed_with_gradients(masked: bool) -> None:
    torch.manual_seed(0)
    packed = nn.MultiheadAttention(48, 4, batch_first=True)
    nn.init.normal_(packed.in_proj_bias)
    nn.init.normal_(packed.out_proj.bias)
    split = SplitAttention(packed)
    mask = torch.full((9, 9), float("-inf")).triu(1) if masked else None
    x = torch.randn(5, 9, 48, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    theirs = packed(x, x, x, need_weights=False, attn_mask=mask)[0]
    ours, weights = split(y, y, y, need_weights=False, attn_mask=mask)
    assert weights is None
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    theirs.square().sum().backward()
    ours.square().sum().backward()
    torch.testing.assert_close(y.grad, x.grad, atol=1e-4, rtol=1e-4)
    joined = torch.cat([split.q.weight.grad, split.k.weight.grad, split.v.weight.grad])
    torch.testing.assert_close(joined, packed.in_proj_weight.grad, atol=1e-3, rtol=1e-4)


def test_split_tower_equals_packed_tower(encoder: Encoder, pixels: np.ndarray) -> None:
    images = encoder.transform.normalise(torch.from_numpy(pixels))
    split = split_attention(copy.deepcopy(encoder.visual))
    assert all(isinstance(block.attn, SplitAttention) for block in vision_blocks(split))
    with torch.no_grad():
        torch.testing.assert_close(split(images), encoder.visual(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ["ViT-B-16-quickgelu", "ViT-L-14-quickgelu"])
def test_one_full_size_block_splits_within_tolerance(architecture: str) -> None:
    vision = open_clip.get_model_config(architecture)["vision_cfg"]
    torch.manual_seed(1)
    packed = nn.MultiheadAttention(vision["width"], vision["width"] // 64, batch_first=True)
    x = torch.randn(2, 50, vision["width"])
    with torch.no_grad():
        theirs = packed(x, x, x, need_weights=False)[0]
        torch.testing.assert_close(SplitAttention(packed)(x, x, x)[0], theirs, atol=1e-5, rtol=0)


def test_join_state_gives_back_the_very_tensors(encoder: Encoder) -> None:
    before = encoder.visual_state()
    after = join_state(split_attention(copy.deepcopy(encoder.visual)).state_dict())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_splitting_draws_no_random_numbers(encoder: Encoder) -> None:
    state = torch.get_rng_state()
    split_attention(copy.deepcopy(encoder.visual))
    assert torch.equal(torch.get_rng_state(), state)


def test_other_attention_is_refused() -> None:
    kinds = (
        nn.MultiheadAttention(8, 2, batch_first=False),
        nn.MultiheadAttention(8, 2, kdim=4, batch_first=True),
        nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True),
        nn.MultiheadAttention(8, 2, add_bias_kv=True, batch_first=True),
    )
    for kind in kinds:
        with pytest.raises(ValueError, match="can be split"):
            SplitAttention(kind)
    split = SplitAttention(nn.MultiheadAttention(8, 2, batch_first=True))
    with pytest.raises(ValueError, match="attention weights"):
        split(torch.zeros(1, 2, 8), torch.zeros(1, 2, 8), torch.zeros(1, 2, 8), need_weights=True)
    assert vision_blocks(nn.Linear(1, 1)) == []
