"""What each way trains on the real architectures, counted by hand from their shapes: width w, depth n, patch p, output d."""

from __future__ import annotations

from functools import cache

import open_clip
import pytest
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from gelo.models.adapt import AdaptationSpec, Bias, Dora, Full, LastBlocks, LayerNorm, Linear, Lora, Pissa, adapt

SHAPES = {"ViT-B-16-quickgelu": (768, 12, 16, 512), "ViT-L-14-quickgelu": (1024, 24, 14, 768)}
EVERY = ("q", "k", "v", "out", "mlp_in", "mlp_out")


@cache
def tower(name: str) -> nn.Module:
    """open_clip's own vision tower, without memory."""
    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        return _build_vision_tower(config["embed_dim"], config["vision_cfg"], quick_gelu=True)


def by_hand(w: int, n: int, p: int, d: int) -> dict[AdaptationSpec, int]:
    norm, attention, mlp = 2 * w, 4 * (w * w + w), 2 * 4 * w * w + 5 * w
    block = attention + mlp + 2 * norm
    embedding = 3 * p * p * w + w + ((224 // p) ** 2 + 1) * w
    return {
        Full(): embedding + n * block + 2 * norm + w * d,
        LayerNorm(): (2 * n + 2) * norm,
        Bias(): n * (4 * w + 5 * w + 2 * w) + 2 * w,
        LastBlocks(blocks=2): 2 * block + norm + w * d,
        Linear(): 0,
        Lora(rank=16): n * 2 * 16 * 2 * w,
        Lora(rank=8, targets=EVERY): n * 8 * (4 * 2 * w + 2 * 5 * w),
        Dora(rank=16): n * 2 * (16 * 2 * w + w),
        Pissa(rank=16): n * 2 * 16 * 2 * w,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_parameter_counts_on_the_real_architectures(name: str) -> None:
    for spec, count in by_hand(*SHAPES[name]).items():
        trainable = adapt(tower(name), spec, seed=0).trainable().values()
        assert sum(p.numel() for p in trainable) == count, spec
    printed = {  # as FRoundation prints them
        ("ViT-B-16-quickgelu", Lora(rank=16)): 589_824,
        ("ViT-L-14-quickgelu", Lora(rank=16)): 1_572_864,
    }
    for (of, spec), count in printed.items():
        assert by_hand(*SHAPES[of])[spec] == count


def test_ranks_up_to_the_width_and_not_beyond() -> None:
    for spec in (Lora, Dora, Pissa):
        assert spec(rank=768).faults_of_width(768) == [] == spec(rank=769).faults_of_width(None)
        (fault,) = spec(rank=769).faults_of_width(768, "tasks.faces.adaptation")
        assert (fault.where, fault.found) == (
            "tasks.faces.adaptation.rank",
            "rank 769",
        ) and "1 to 768" in fault.expected
    assert LastBlocks(blocks=12).faults(12) == [] and "1 to 12" in LastBlocks(blocks=13).faults(12)[0].expected
    assert all("ViT of open_clip" in spec.faults(None)[0].expected for spec in (LayerNorm(), Bias(), LastBlocks()))
