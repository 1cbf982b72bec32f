from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, LoraModel
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from gelo.models.adapt import (
    Adaptation,
    AdaptationSpec,
    Bias,
    Dora,
    Full,
    LastBlocks,
    LayerNorm,
    Linear,
    Lora,
    NoAdaptation,
    Pissa,
    adapt,
)
from gelo.models.adapt.adapted import Adapted
from gelo.models.adapt.attention import split_attention
from gelo.models.adapt.lora import Scaled
from gelo.models.adapt.projections import OnProjections
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError

Pixels = NDArray[np.uint8]
WIDE = Lora(rank=4, alpha=6.0, targets=("q", "k", "v", "out", "mlp_in", "mlp_out"))
SPECS: list[AdaptationSpec] = [
    NoAdaptation(),
    Full(),
    Lora(rank=2, dropout=0.2),
    WIDE,
    Lora(blocks=(0, 2), rslora=False),
    LayerNorm(),
    Bias(),
    LastBlocks(blocks=2),
    Linear(),
    Dora(rank=4, alpha=6.0, targets=("q", "v", "mlp"), dropout=0.2),
    Pissa(rank=4, targets=("k", "out", "mlp"), blocks=(0, 2)),
]


def _images(encoder: Encoder, pixels: Pixels) -> Tensor:
    return encoder.transform.normalise(torch.from_numpy(pixels))


def _train(adapted: Adapted, images: Tensor, steps: int = 3) -> None:
    """A few real steps, so that nothing is at its starting value."""
    trainable = list(adapted.trainable().values())
    if not trainable:
        return
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    adapted.train()
    for _ in range(steps):
        optimizer.zero_grad()
        (adapted(images) - 1).square().mean().backward()
        optimizer.step()
    adapted.eval()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_adapting_starts_at_the_base_and_never_touches_it(
    spec: AdaptationSpec, encoder: Encoder, pixels: Pixels
) -> None:
    before, fingerprint = encoder.encode_images(pixels), encoder.vision_fingerprint
    base = encoder.visual_state()
    adapted = adapt(encoder.visual, spec, seed=0).eval()
    images = _images(encoder, pixels)
    with torch.no_grad():
        torch.testing.assert_close(adapted(images), torch.from_numpy(before), atol=1e-5, rtol=0)
    start = adapted.merged()
    assert start.keys() == base.keys() and all(torch.equal(start[name], base[name]) for name in base)
    _train(adapted, images)
    assert all(torch.equal(tensor, base[name]) for name, tensor in encoder.visual_state().items())
    assert encoder.with_visual(base).vision_fingerprint == fingerprint
    assert all(not p.requires_grad for p in encoder.visual.parameters())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_merged_weights_give_the_unmerged_features(spec: AdaptationSpec, encoder: Encoder, pixels: Pixels) -> None:
    adapted = adapt(encoder.visual, spec, seed=0)
    images = _images(encoder, pixels)
    _train(adapted, images)
    with torch.no_grad():
        unmerged = adapted(images).numpy()
    first, second = adapted.merged(), adapted.merged()
    assert all(torch.equal(first[name], second[name]) for name in first)  # merging is no change: twice is once
    np.testing.assert_allclose(encoder.with_visual(first).encode_images(pixels), unmerged, atol=1e-5)
    if not isinstance(spec, NoAdaptation | Linear):
        assert np.abs(unmerged - encoder.encode_images(pixels)).max() > 1e-3
    adapted.train()
    adapted.eval()
    with torch.no_grad():
        np.testing.assert_array_equal(adapted(images).numpy(), unmerged)


@pytest.mark.parametrize("spec", [each for each in SPECS if isinstance(each, OnProjections)], ids=str)
def test_only_targets_of_chosen_blocks_move(spec: OnProjections, encoder: Encoder, pixels: Pixels) -> None:
    adapted = adapt(encoder.visual, spec, seed=0)
    _train(adapted, _images(encoder, pixels))
    base, merged = encoder.visual_state(), adapted.merged()
    moved = {name for name in base if not torch.equal(base[name], merged[name])}
    leaves = {"q": "attn.in_proj_weight", "k": "attn.in_proj_weight", "v": "attn.in_proj_weight"}
    leaves |= {"out": "attn.out_proj.weight", "mlp_in": "mlp.c_fc.weight", "mlp_out": "mlp.c_proj.weight"}
    blocks = range(3) if spec.blocks == "all" else spec.blocks
    assert moved == {f"transformer.resblocks.{b}.{leaves[t]}" for b in blocks for t in spec.targets}
    if spec.targets == ("q", "v"):
        width = base["proj"].shape[0]
        name = f"transformer.resblocks.{blocks[0]}.attn.in_proj_weight"
        assert torch.equal(base[name][width : 2 * width], merged[name][width : 2 * width])  # k stayed


def test_lora_equals_peft_on_the_split_tower_through_training(encoder: Encoder, pixels: Pixels) -> None:
    spec = Lora(rank=4, alpha=6.0, dropout=0.3, targets=("q", "v", "mlp_in"))
    ours = adapt(encoder.visual, spec, seed=5)
    config = LoraConfig(
        r=4, lora_alpha=6, lora_dropout=0.3, use_rslora=True, target_modules=r".*resblocks\.\d+\.(attn\.[qv]|mlp\.c_fc)"
    )
    theirs = LoraModel(split_attention(copy.deepcopy(encoder.visual)), config, "default")
    start = ours.state()
    their_adapters = {n: p for n, p in theirs.named_parameters() if p.requires_grad}
    assert len(their_adapters) == len(start) == 3 * 3 * 2
    with torch.no_grad():
        for name, parameter in their_adapters.items():
            parameter.copy_(start[name.removeprefix("model.").replace(".default", "")])
    images = _images(encoder, pixels)
    torch.manual_seed(1)
    _train(ours, images)
    torch.manual_seed(1)
    wrapped: Any = theirs
    wrapped.trainable = lambda: their_adapters
    _train(wrapped, images)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-6, rtol=0)
        features = ours(images)
    merged = ours.merged()
    reference = theirs.merge_and_unload().state_dict()
    assert torch.allclose(
        reference["transformer.resblocks.1.mlp.c_fc.weight"], merged["transformer.resblocks.1.mlp.c_fc.weight"]
    )
    np.testing.assert_allclose(encoder.with_visual(merged).encode_images(pixels), features.numpy(), atol=1e-5)


def test_lora_is_the_closed_form(encoder: Encoder) -> None:
    spec = Lora(rank=4, alpha=6.0, rslora=True, targets=("v",), blocks=(1,))
    assert spec.gamma == 3.0 and Lora(rank=4, alpha=6.0, rslora=False).gamma == 1.5
    adapted = adapt(encoder.visual, spec, seed=0)
    state = adapted.state()
    assert set(state) == {f"transformer.resblocks.1.attn.v.lora_{x}.weight" for x in "AB"}
    a, b = (state[f"transformer.resblocks.1.attn.v.lora_{x}.weight"] for x in "AB")
    width = a.shape[1]
    assert a.shape == (4, width) and b.shape == (width, 4) and not b.any()
    assert 0.9 / math.sqrt(width) < a.abs().max() <= 1 / math.sqrt(width)
    b = torch.randn(b.shape, generator=torch.Generator().manual_seed(0))
    adapted.load({"transformer.resblocks.1.attn.v.lora_A.weight": a, "transformer.resblocks.1.attn.v.lora_B.weight": b})
    name = "transformer.resblocks.1.attn.in_proj_weight"
    expected = encoder.visual_state()[name][2 * width :] + 3.0 * b @ a
    torch.testing.assert_close(adapted.merged()[name][2 * width :], expected)
    torch.testing.assert_close(adapted.deltas(), {"transformer.resblocks.1.attn.v.weight": 3.0 * b @ a})


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_seed_alone_decides_the_start(spec: AdaptationSpec, encoder: Encoder) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = adapt(encoder.visual, spec, seed=3).state()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = adapt(encoder.visual, spec, seed=3).state()
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    other = adapt(encoder.visual, spec, seed=4).state()
    assert isinstance(spec, Scaled) == any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_state_holds_what_trains_and_comes_back(spec: AdaptationSpec, encoder: Encoder, pixels: Pixels) -> None:
    images = _images(encoder, pixels)
    adapted = adapt(encoder.visual, spec, seed=0)
    _train(adapted, images)
    state = adapted.state()
    trainable = adapted.trainable()
    assert state.keys() == trainable.keys()
    assert {id(p) for p in adapted.parameters() if p.requires_grad} == {id(p) for p in trainable.values()}
    other = adapt(encoder.visual, spec, seed=9).eval()
    other.load(state)
    with torch.no_grad():
        assert torch.equal(other(images), adapted(images))
    with pytest.raises(ValueError, match="stray"):
        adapted.load(state | {"stray": torch.zeros(1)})
    if state:
        name = next(iter(state))
        with pytest.raises(ValueError, match="do not fit"):
            adapted.load(state | {name: state[name][None]})
        with pytest.raises(ValueError, match="do not fit"):
            adapted.load({k: v for k, v in state.items() if k != name})


def test_dropout_acts_on_the_adapter_in_training_only(encoder: Encoder, pixels: Pixels) -> None:
    images = _images(encoder, pixels)
    adapted = adapt(encoder.visual, Lora(dropout=0.5), seed=0)
    adapted.load({name: tensor + 0.1 for name, tensor in adapted.state().items()})
    adapted.train()
    with torch.no_grad():
        assert not torch.equal(adapted(images), adapted(images))
        adapted.eval()
        assert torch.equal(adapted(images), adapted(images))


def test_parameter_counts_of_the_paper() -> None:
    """Published for q and v of ViT-B/16 and ViT-L/14, counted on the attention of towers of that shape."""
    for width, layers, rank, count in (
        (768, 12, 16, 589_824),
        (768, 12, 2, 73_728),
        (1024, 24, 8, 786_432),
    ):
        tower = nn.Module()
        tower.transformer = nn.Module()
        blocks = [nn.ModuleDict() for _ in range(layers)]
        for block in blocks:
            block.attn = nn.MultiheadAttention(width, width // 64, batch_first=True, device="meta")
        tower.transformer.resblocks = nn.ModuleList(blocks)
        adapted = adapt(tower, Lora(rank=rank), seed=0)
        assert sum(p.numel() for p in adapted.trainable().values()) == count


def test_blocks_and_projections_that_are_not_there_are_all_named(encoder: Encoder) -> None:
    with pytest.raises(UserError) as caught:
        adapt(encoder.visual, Lora(blocks=(0, 3, 12)), seed=0)
    assert [fault.found for fault in caught.value.faults] == ["block 3", "block 12"]
    assert "0 to 2" in str(caught.value)
    visual = copy.deepcopy(encoder.visual)
    visual.transformer.resblocks[1].mlp = nn.Identity()
    with pytest.raises(UserError, match=r"mlp\.c_fc in block 1"):
        adapt(visual, Lora(targets=("q", "mlp_in")), seed=0)
    with pytest.raises(UserError, match="without open_clip's transformer blocks"):
        adapt(nn.Linear(2, 2), Lora(), seed=0)
    assert Lora(blocks=(7,)).faults(12) == [] and Full().faults(None) == []


def test_specs_are_told_apart_by_kind_and_refuse_the_rest() -> None:
    parse = TypeAdapter(Adaptation).validate_python
    assert parse({"kind": "lora", "rank": 4, "targets": ["v", "q"]}) == Lora(rank=4)
    assert parse({"kind": "full"}) == Full() and parse({"kind": "none"}) == NoAdaptation()
    assert Lora(blocks=(2, 0)) == Lora(blocks=(0, 2))
    wrong: list[dict[str, Any]] = [
        {"kind": "vera"}, {"kind": "full", "rank": 1}, {"kind": "lora", "rank": 0}, {"kind": "lora", "alpha": 0},
        {"kind": "lora", "dropout": 1.0}, {"kind": "lora", "targets": []}, {"kind": "lora", "targets": ["q", "q"]},
        {"kind": "lora", "targets": ["x"]}, {"kind": "lora", "blocks": []}, {"kind": "lora", "blocks": [-1]},
        {"kind": "lora", "blocks": "some"},
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(ValidationError):
            parse(each)
    with pytest.raises(ValidationError):
        Lora().rank = 3  # type: ignore[misc]
