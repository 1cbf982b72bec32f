"""open_clip's CLIP and transformers' own, on the same pixels and tokens; the tensors go through files as each library writes them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, CLIPVisionModelWithProjection

from gelo.models.backbones.huggingface import from_open_clip, is_hugging_face, to_open_clip
from gelo.models.backbones.huggingface_config import open_clip_config
from gelo.models.faults import UserError

ACTS = ("gelu", "quick_gelu")
PIXELS = torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.tensor([[97, 5, 6, 98, 0, 0, 0], [97, 9, 98, 0, 0, 0, 0]])


def theirs(act: str) -> CLIPModel:
    """A CLIPModel with every tensor at work, none of whose sizes equals another."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 24,
        "patch_size": 8,
    }
    text = {"hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3, "vocab_size": 99,
            "max_position_embeddings": 7, "bos_token_id": 97, "eos_token_id": 98}  # fmt: skip
    config = CLIPConfig(
        vision_config=vision | {"hidden_act": act, "projection_dim": 12},
        text_config=text | {"hidden_act": act, "projection_dim": 12},
        projection_dim=12,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def ours(config: dict[str, Any]) -> open_clip.model.CLIP:
    torch.manual_seed(1)
    model = open_clip.model.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"], config["quick_gelu"])
    return model.eval()


@pytest.mark.parametrize("act", ACTS)
def test_a_clip_model_gives_the_features_of_transformers(act: str, tmp_path: Path) -> None:
    model = theirs(act)
    model.save_pretrained(tmp_path)
    state, config = load_file(tmp_path / "model.safetensors"), json.loads((tmp_path / "config.json").read_text())
    assert is_hugging_face(state) and not is_hugging_face(to_open_clip(state))
    mine = ours(open_clip_config(config))
    state["vision_model.embeddings.position_ids"] = torch.arange(10)[None]  # as transformers 4.30 and older wrote
    mine.load_state_dict(to_open_clip(state), strict=True)
    mine, model = mine.double(), model.double()  # rounding is not what is asked
    with torch.no_grad():
        image, text = model.get_image_features(PIXELS).pooler_output, model.get_text_features(TOKENS).pooler_output
        torch.testing.assert_close(mine.encode_image(PIXELS), image, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(mine.encode_text(TOKENS), text, atol=1e-9, rtol=1e-9)
    assert torch.equal(mine.logit_scale, model.logit_scale)
    other = ours({**open_clip_config(config), "quick_gelu": act == "gelu"})
    other.load_state_dict(to_open_clip(load_file(tmp_path / "model.safetensors")))
    assert (other.double().encode_image(PIXELS) - image).abs().max() > 1e-4, "the activation is seen"


@pytest.mark.parametrize("act", ACTS)
def test_what_goes_back_is_read_by_transformers_with_the_same_features(act: str, tmp_path: Path) -> None:
    model = theirs(act)
    mine = ours(open_clip_config(model.config.to_dict()))
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    config = {**open_clip_config(model.config.to_dict()), "name": "x"}
    for alone, kind in ((False, CLIPModel), (True, CLIPVisionModelWithProjection)):
        own = {name: t for name, t in mine.state_dict().items() if not alone or name.startswith("visual.")}
        state, written = from_open_clip(own, config)
        save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
        (tmp_path / "config.json").write_text(json.dumps(written))
        read, told = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(told.values()), told
        read, deep = read.double(), copy.deepcopy(mine).double()
        with torch.no_grad():
            image = read(PIXELS).image_embeds if alone else read.get_image_features(PIXELS).pooler_output
            torch.testing.assert_close(image, deep.encode_image(PIXELS), atol=1e-9, rtol=1e-9)
            if not alone:
                text = read.get_text_features(TOKENS).pooler_output
                torch.testing.assert_close(text, deep.encode_text(TOKENS), atol=1e-9, rtol=1e-9)
        again = to_open_clip(state)
        assert again.keys() == own.keys() and all(torch.equal(again[name], own[name]) for name in own)
        assert open_clip_config(written).items() <= config.items()


@pytest.mark.parametrize("kind", [CLIPVisionModel, CLIPVisionModelWithProjection])
@pytest.mark.parametrize("prefix", ["as it is", "vision_model."])
def test_a_vision_tower_alone_with_a_prefix_or_none(kind: type, prefix: str, tmp_path: Path) -> None:
    whole = theirs("gelu")
    model = kind(whole.config.vision_config).eval()
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    if prefix == "vision_model." and kind is CLIPVisionModel:  # as transformers 4 wrote it
        state = {name if name.startswith(prefix) else prefix + name: tensor for name, tensor in state.items()}
    out = to_open_clip(state)
    config = open_clip_config(json.loads((tmp_path / "config.json").read_text()))
    assert ("visual.proj" in out) == (kind is not CLIPVisionModel) and "text_cfg" not in config
    tower = ours({**open_clip_config(whole.config.to_dict()), **config}).visual
    if "visual.proj" not in out:
        tower.proj = None
    tower.load_state_dict({name.removeprefix("visual."): t for name, t in out.items()}, strict=True)
    with torch.no_grad():
        given = model.double()(PIXELS)
        wanted = given.pooler_output if kind is CLIPVisionModel else given.image_embeds
        torch.testing.assert_close(tower.double()(PIXELS), wanted, atol=1e-9, rtol=1e-9)


def test_what_a_configuration_leaves_out_is_what_transformers_takes() -> None:
    short = {
        "model_type": "clip",
        "vision_config": {"patch_size": 16},
        "text_config_dict": {"num_hidden_layers": 3},
        "text_config": None,
    }
    assert open_clip_config(short) == open_clip_config(CLIPConfig(**short).to_dict())
    base = open_clip.get_model_config("ViT-B-16-quickgelu")
    full = open_clip_config({"model_type": "clip", "vision_config": {"patch_size": 16}})
    assert full["embed_dim"] == base["embed_dim"] and full["quick_gelu"] == base["quick_gelu"]
    assert all(full[part].items() >= base[part].items() for part in ("vision_cfg", "text_cfg"))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"model_type": "siglip"}, "model_type 'siglip'"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act quick_gelu and relu"),
        ({"vision_config": {"hidden_act": "gelu"}}, "hidden_act gelu and quick_gelu"),
        ({"text_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps 1e-06"),
    ],
)
def test_what_open_clip_is_never_built_with_is_refused(change: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        open_clip_config({"model_type": "clip"} | change)


def test_what_is_no_clip_model_is_named() -> None:
    state = {"visual.conv1.weight": torch.ones(1)}
    for name, found in (("ViT-B-16-SigLIP", "custom_text True"), ("coca_ViT-B-32", "multimodal_cfg"), ("RN50", "vision_cfg.layers"),
                        ("convnext_base", "vision_cfg.timm_model_name 'convnext_base'")):  # fmt: skip
        with pytest.raises(UserError, match=found):
            from_open_clip(state, open_clip.get_model_config(name))
    config = open_clip.get_model_config("ViT-B-16")
    with pytest.raises(UserError, match="a tensor without a place"):
        from_open_clip({"visual.transformer.resblocks.0.ls_1.gamma": torch.ones(1)}, config)
    with pytest.raises(UserError, match="without k_proj"):
        to_open_clip({f"text_model.encoder.layers.0.self_attn.{x}_proj.bias": torch.ones(1) for x in "qv"})
    with pytest.raises(UserError, match=r"1 tensors of other names: vision_model\.odd"):
        to_open_clip({"vision_model.odd": torch.ones(1)})
