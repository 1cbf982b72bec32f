"""Every kind of weights through `load_backbone`: the features that the library which wrote them gives."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPModel, CLIPVisionModel, CLIPVisionModelWithProjection

from gelo.models.adapt import Lora
from gelo.models.backbones import registry as specs
from gelo.models.backbones.check import faults_for, notes_for
from gelo.models.backbones.huggingface import from_open_clip
from gelo.models.backbones.registry import vision_layers
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError

from .conftest import CONFIG, SIZE, Tiny
from .layouts import open_clip_folder, openai_archive, random_clip

TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
COCA = {
    "embed_dim": 32,
    "vision_cfg": {**CONFIG["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
    "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {**TEXT, "attn_pooler_heads": 2},
    "custom_text": True,
}
SIGLIP = {
    "embed_dim": 192,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "map", "timm_proj": "none"},
    "text_cfg": {**TEXT, "vocab_size": 120, "hf_tokenizer_name": "timm/none-such", "no_causal_mask": True, "proj_bias": True,
                 "pool_type": "last", "norm_kwargs": {"eps": 1e-6}},
}  # fmt: skip
TEXTS = ["a photo of a cat", "a dog"]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tiny: Tiny, tmp_path: Path) -> Any:
    def of(name: str, config: dict[str, Any]) -> None:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(config))
        files = {**specs._config_files(), name: path}
        monkeypatch.setattr(specs, "_config_files", lambda: files)

    return of


def same(ours: NDArray[np.float32], theirs: Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(ours), theirs.float(), atol=1e-6, rtol=1e-6)


def images(encoder: Encoder, pixels: NDArray[np.uint8]) -> Tensor:
    return encoder.transform.normalise(torch.from_numpy(pixels))


def test_an_openai_archive(tiny: Tiny, register: Any, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "vocab_size": 49408}}
    for name, quick in (("tiny-openai", True), ("tiny-other", False)):
        register(name, {**config, "quick_gelu": quick})
    theirs = openai_archive(random_clip({**config, "quick_gelu": True}), tmp_path / "ViT-B-16.pt")
    direct = random_clip({**config, "quick_gelu": True}, seed=3)
    direct.load_state_dict({name: tensor.float() for name, tensor in theirs.items() if name in direct.state_dict()})
    encoder = load_backbone("tiny-openai", tmp_path / "ViT-B-16.pt")
    same(encoder.encode_images(pixels), direct.encode_image(images(encoder, pixels)))
    same(encoder.encode_texts(TEXTS), direct.encode_text(encoder.tokenizer(TEXTS)))
    (note,) = notes_for("tiny-openai", tmp_path / "ViT-B-16.pt")
    assert "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f for ViT-B-16.pt" in note
    (fault,) = faults_for("tiny-other", tmp_path / "ViT-B-16.pt")
    assert fault.found == "weights of QuickGELU" and fault.remedy == "name backbone tiny-openai"


@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
def test_a_hugging_face_folder(act: str, register: Any, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    config = {**CONFIG, "quick_gelu": act == "quick_gelu", "text_cfg": {**CONFIG["text_cfg"], "vocab_size": 49408}}
    register(f"tiny-{act}", config)
    state, described = from_open_clip(random_clip(config).state_dict(), config)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(described))
    theirs = CLIPModel.from_pretrained(tmp_path)
    for shard, kind in (("1MB", "safetensors"), ("5GB", "safetensors"), ("5GB", "bin")):
        folder = tmp_path / f"{shard}-{kind}"
        theirs.save_pretrained(folder, max_shard_size=shard)
        if kind == "bin":  # as transformers 4 wrote it, half the precision of the rest
            half = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
            (folder / "model.safetensors").unlink()
            torch.save(half, folder / "pytorch_model.bin")
            theirs.half().float()
        assert faults_for(f"tiny-{act}", folder) == [] and len(list(folder.glob("model-*"))) == (
            2 if shard == "1MB" else 0
        )
        encoder = load_backbone(f"tiny-{act}", folder)
        with torch.no_grad():
            same(encoder.encode_images(pixels), theirs.get_image_features(images(encoder, pixels)).pooler_output)
            same(encoder.encode_texts(TEXTS), theirs.get_text_features(encoder.tokenizer(TEXTS)).pooler_output)
        assert encoder.logit_scale == pytest.approx(float(theirs.logit_scale.detach().exp()))


@pytest.mark.parametrize("kind", [CLIPVisionModel, CLIPVisionModelWithProjection])
def test_a_vision_tower_alone_encodes_images_and_says_that_it_has_no_texts(
    kind: Any, tiny: Tiny, tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    own = {name: tensor for name, tensor in tiny.model.state_dict().items() if name.startswith("visual.")}
    state, described = from_open_clip(own, CONFIG)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(described))
    theirs = kind.from_pretrained(tmp_path)
    theirs.save_pretrained(tmp_path / "alone")
    encoder = load_backbone("tiny", tmp_path / "alone")
    with torch.no_grad():
        out = theirs(images(encoder, pixels))
    whole = load_backbone("tiny")
    if kind is CLIPVisionModel:
        same(encoder.encode_images(pixels), out.pooler_output)
        assert encoder.dim == CONFIG["vision_cfg"]["width"] and encoder.vision_fingerprint != whole.vision_fingerprint
        with pytest.raises(UserError, match="a vision tower that ends in a projection"):
            encoder.encode_images(pixels, projected=False)
    else:
        same(encoder.encode_images(pixels), out.image_embeds)
        assert encoder.vision_fingerprint == whole.vision_fingerprint and encoder.dim == whole.dim
    assert encoder.encode_images(pixels).shape[1] == encoder.dim
    with pytest.raises(UserError, match="a vision tower alone; expected one for texts"):
        encoder.encode_texts(["x"])
    assert np.isnan(encoder.logit_scale) and encoder.text.unasked and encoder.text_fingerprint != whole.text_fingerprint
    assert "a vision tower alone" in notes_for("tiny", tmp_path / "alone")[0]


def test_coca(register: Any, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    register("coca_tiny", COCA)
    model = random_clip(COCA)
    folder = open_clip_folder(model, COCA, tmp_path / "coca")
    assert faults_for("coca_tiny", folder) == []
    encoder = load_backbone("coca_tiny", folder)
    same(encoder.encode_images(pixels), model.encode_image(images(encoder, pixels), normalize=False))
    tokens = encoder.tokenizer(TEXTS)
    assert tokens.shape == (2, 12)
    same(encoder.encode_texts(TEXTS), model.encode_text(tokens, normalize=False))
    assert vision_layers("coca_tiny") == 3 and Lora(rank=2).faults(3, "x") == []
    trunk = encoder.encode_images(pixels, projected=False)
    same(trunk @ encoder.visual_state()["proj"].numpy(), torch.from_numpy(encoder.encode_images(pixels)))
    adapted = Lora(rank=2).apply(encoder.visual, seed=0)
    with torch.no_grad():
        for parameter in adapted.trainable().values():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        moved = adapted(images(encoder, pixels))
    torch.testing.assert_close(torch.from_numpy(encoder.with_visual(adapted.merged()).encode_images(pixels)), moved)
    assert (moved - torch.from_numpy(encoder.encode_images(pixels))).abs().max() > 1e-3
    (fault,) = faults_for("tiny", folder)
    assert "attentional pool" in fault.found and fault.remedy == "name backbone coca_tiny"


def test_siglip_without_its_tokenizer_and_with_it_beside_the_weights(register: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    register("tiny-SigLIP", SIGLIP)
    model = random_clip(SIGLIP)
    folder = open_clip_folder(model, SIGLIP, tmp_path / "siglip")
    assert faults_for("tiny-SigLIP", folder) == []
    encoder = load_backbone("tiny-SigLIP", folder)
    same(encoder.encode_images(pixels), model.encode_image(images(encoder, pixels)))
    with pytest.raises(
        UserError, match=r"no tokenizer; .*the tokenizer timm/none-such of huggingface.co.*fetch it once"
    ):
        encoder.encode_texts(TEXTS)
    with pytest.raises(UserError, match="a TimmModel without one"):
        encoder.encode_images(pixels, projected=False)
    assert vision_layers("tiny-SigLIP") is None and Lora(rank=2).faults(None, "x")
    words = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    own_tokenizer(words, folder)
    asked = load_backbone("tiny-SigLIP", folder)
    tokens = asked.tokenizer(TEXTS)
    assert tokens.shape == (2, 12) and int(tokens.max()) < 120
    same(asked.encode_texts(TEXTS), model.encode_text(tokens))
    assert asked.vision_fingerprint == encoder.vision_fingerprint and asked.text_fingerprint != encoder.text_fingerprint
    with pytest.raises(UserError, match="cannot be resized"):
        specs.resolve("tiny-SigLIP@64")


def own_tokenizer(words: list[str], folder: Path) -> None:
    """A tokenizer of letters, as Hugging Face's library writes one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


@pytest.mark.parametrize("size", [16, 64])
def test_positions_are_resized_on_request_as_open_clip_resizes_them(tiny: Tiny, size: int, tmp_path: Path) -> None:
    encoder, plain = load_backbone(f"tiny@{size}"), load_backbone("tiny")
    open_clip.add_model_config(tiny.folder / "tiny.json")
    logging.disable(logging.WARNING)
    theirs = open_clip.create_model("tiny", pretrained=str(tiny.weights), force_image_size=size).eval()
    logging.disable(logging.NOTSET)
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    with torch.no_grad():
        same(encoder.encode_images(pixels), theirs.encode_image(images(encoder, pixels)))
    assert encoder.transform.size == size and encoder.vision_fingerprint != plain.vision_fingerprint
    assert encoder.text_fingerprint == plain.text_fingerprint and encoder.config["vision_cfg"]["image_size"] == size
    assert f"position embeddings for {SIZE} pixels, resized to {size}" in notes_for(f"tiny@{size}")[0]
    # the same tensors, saved: a file of that size is read as it is, and refused where nobody asks for it
    state = {f"visual.{n}": t for n, t in encoder.visual_state().items()} | encoder.text.model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "w.safetensors")
    assert load_backbone(f"tiny@{size}", tmp_path / "w.safetensors").vision_fingerprint == encoder.vision_fingerprint
    assert notes_for(f"tiny@{size}", tmp_path / "w.safetensors") == []
    with pytest.raises(
        UserError, match=rf"pixels {size}; expected those of tiny: pixels {SIZE}; .*tiny@{SIZE} to have its position"
    ):
        load_backbone("tiny", tmp_path / "w.safetensors")
    assert (
        load_backbone(f"tiny@{SIZE}").vision_fingerprint == plain.vision_fingerprint and notes_for(f"tiny@{SIZE}") == []
    )


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_precision_is_read_as_float32(tiny: Tiny, kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    state = {name: tensor.to(kind) for name, tensor in load_file(tiny.weights).items()}
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    encoder = load_backbone("tiny", path)
    assert all(torch.equal(tensor, state[f"visual.{name}"].float()) for name, tensor in encoder.visual_state().items())


def test_values_that_are_not_finite_are_refused_in_every_format(tiny: Tiny, tmp_path: Path) -> None:
    state = load_file(tiny.weights)
    state["visual.proj"][0, 0] = float("inf")
    state["ln_final.bias"][1] = float("nan")
    theirs, described = from_open_clip(state, CONFIG)
    (tmp_path / "hf").mkdir()
    save_file(theirs, tmp_path / "hf" / "model.safetensors")
    (tmp_path / "hf" / "config.json").write_text(json.dumps(described))
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "w.pt")
    for path in (tmp_path / "hf", tmp_path / "w.pt"):
        with pytest.raises(UserError) as caught:
            load_backbone("tiny", path)
        assert sorted(fault.found.split()[0] for fault in caught.value.faults) == ["ln_final.bias", "visual.proj"]


def test_weights_are_found_by_name_in_the_folder_of_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GELO_WEIGHTS", str(tmp_path))
    assert [specs.resolve(n).weights_path().name for n in ("ViT-B/16", "ViT-L/14@336px", "ViT-L/14@448")] == [
        "ViT-B-16.safetensors",
        "ViT-L-14-336px.safetensors",
        "ViT-L-14.safetensors",
    ]
    (tmp_path / "ViT-L-14").mkdir()
    assert specs.resolve("ViT-L/14").weights_path() == tmp_path / "ViT-L-14"
    (tmp_path / "ViT-L-14.pt").touch()
    assert specs.resolve("ViT-L/14").weights_path() == tmp_path / "ViT-L-14.pt"
    (tmp_path / "ViT-L-14.safetensors").touch()
    assert specs.resolve("ViT-L/14").weights_path() == tmp_path / "ViT-L-14.safetensors"
