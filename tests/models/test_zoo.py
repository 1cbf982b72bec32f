from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from gelo.models.backbones.check import faults_for
from gelo.models.backbones.registry import BACKBONES, config_path
from gelo.models.backbones.zoo import load_backbone, prove_activation
from gelo.models.faults import UserError

from .conftest import Tiny


def test_weights_on_disk_are_the_weights_in_memory(tiny: Tiny) -> None:
    encoder = load_backbone("tiny")
    stored = load_file(tiny.weights)
    state = {f"visual.{k}": v for k, v in encoder.visual_state().items()} | encoder.text.model.state_dict()
    assert state.keys() == stored.keys() and all(torch.equal(state[name], stored[name]) for name in stored)
    assert (encoder.name, encoder.dim, encoder.scale, encoder.precision) == ("tiny", 16, "miniature", "fp32")


def test_loading_twice_gives_one_fingerprint_and_leaves_the_random_state(tiny: Tiny) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = load_backbone("tiny"), load_backbone("tiny")
    assert torch.equal(torch.get_rng_state(), before)
    assert first.vision_fingerprint == second.vision_fingerprint
    assert first.text_fingerprint == second.text_fingerprint


def test_half_precision_files_are_cast(tiny: Tiny, tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in load_file(tiny.weights).items()}
    save_file(half, tmp_path / "half.safetensors")
    encoder = load_backbone("tiny", tmp_path / "half.safetensors")
    assert all(t.dtype == torch.float32 for t in encoder.visual_state().values())
    assert torch.equal(encoder.visual_state()["proj"], half["visual.proj"].float())


def test_openai_style_state_dicts_load(tiny: Tiny, tmp_path: Path) -> None:
    extra = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(8), "vocab_size": torch.tensor(520)}
    extra["attn_mask"] = torch.zeros(8, 8)  # a buffer of models that open_clip has traced
    torch.save(load_file(tiny.weights) | extra, tmp_path / "w.pt")
    assert load_backbone("tiny", tmp_path / "w.pt").vision_fingerprint == load_backbone("tiny").vision_fingerprint


def test_weights_that_do_not_fill_the_architecture_are_refused_with_every_fault(tiny: Tiny, tmp_path: Path) -> None:
    state = load_file(tiny.weights)
    state.pop("visual.class_embedding")
    state["surplus"] = torch.zeros(2)
    state["visual.ln_post.bias"] = torch.zeros(3)
    state["ln_final.weight"][0] = float("nan")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(UserError) as caught:
        load_backbone("tiny", tmp_path / "w.safetensors")
    text = str(caught.value)
    assert len(caught.value.faults) == 4
    assert all(word in text for word in ("visual.class_embedding", "surplus", "visual.ln_post.bias", "ln_final.weight"))


def test_missing_and_truncated_weights(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        load_backbone("tiny", tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny.weights.read_bytes()[:-5])
    with pytest.raises(UserError, match="truncated"):
        load_backbone("tiny", cut)
    assert [f.where for f in faults_for("tiny", cut)] == [str(cut)] and faults_for("tiny") == []


def test_the_wrong_activation_is_refused(tiny: Tiny) -> None:
    entry = BACKBONES["tiny"]
    prove_activation(tiny.model, entry)
    with pytest.raises(UserError, match="QuickGELU everywhere"):
        prove_activation(tiny.model, entry.model_copy(update={"activation": "quick_gelu"}))
    with pytest.raises(UserError, match="no activation"):
        prove_activation(torch.nn.Linear(1, 1), entry)


@pytest.mark.parametrize("name", ["mini-s", "mini-l"])
def test_packaged_miniatures_equal_open_clip_called_directly(name: str) -> None:
    encoder = load_backbone(name)
    path, config_file = BACKBONES[name].file, config_path(name)
    assert path is not None and config_file is not None
    config = json.loads(config_file.read_text())
    model = open_clip.model.CLIP(
        config["embed_dim"], config["vision_cfg"], config["text_cfg"], quick_gelu=config.get("quick_gelu", False)
    )
    model.load_state_dict({key: tensor.float() for key, tensor in load_file(path).items()}, strict=True)
    model.eval().requires_grad_(False)  # as ours: torch has another attention kernel for weights that want gradients
    size = encoder.transform.size
    assert config["vision_cfg"]["image_size"] == size
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    texts = ["a photo of a red circle", "a star"]
    with torch.no_grad():
        images = model.encode_image(encoder.transform.normalise(torch.from_numpy(pixels))).numpy()
        words = model.encode_text(encoder.tokenizer(texts)).numpy()
    np.testing.assert_array_equal(encoder.encode_images(pixels), images)
    np.testing.assert_array_equal(encoder.encode_texts(texts), words)
    assert encoder.logit_scale == pytest.approx(float(model.logit_scale.exp()))
