"""Which architecture weights are of: told by shapes alone, compared with models that open_clip builds, and by configurations."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from gelo.models.backbones.check import faults_for
from gelo.models.backbones.fit import fitting, of_config, of_shapes, unlike
from gelo.models.backbones.huggingface import from_open_clip
from gelo.models.backbones.registry import configurations, resolve
from gelo.models.backbones.wrapped import Shape
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import UserError

from .layouts import open_clip_folder

SOME = ("ViT-B-32-quickgelu", "ViT-B-16", "ViT-L-14-336", "ViT-H-14", "ViT-bigG-14", "RN50", "coca_ViT-L-14", "ViT-B-16-SigLIP",
        "ViT-SO400M-14-SigLIP-384", "EVA02-B-16", "ViT-L-14-CLIPA")  # fmt: skip


def shapes_of(architecture: str) -> dict[str, Shape]:
    logging.disable(logging.WARNING)
    try:
        with torch.device("meta"):
            model = open_clip.create_model(architecture, pretrained=None, device="meta")
    finally:
        logging.disable(logging.NOTSET)
    return {name: Shape(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SOME)
def test_shapes_tell_the_architecture(architecture: str) -> None:
    found, configs = of_shapes(shapes_of(architecture)), configurations()
    assert found["tower"] and not unlike(found, of_config(configs[architecture]))
    fits = fitting(found, configs)
    same = {
        name.removesuffix("-quickgelu").replace("-378", "-384") for name in fits
    }  # 384 pixels make 27 patches of 14, as 378
    assert architecture in fits and same == {architecture.removesuffix("-quickgelu")}


def written(architecture: str, path: Path, leave: str = "-") -> Path:
    """A file of these shapes whose numbers take no room: its header, and a hole where they would be."""
    shapes, end = {name: shape for name, shape in fake(architecture).items() if not name.startswith(leave)}, 0
    header = {}
    for name, shape in shapes.items():
        size = 4 * int(torch.Size(shape).numel())
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return path


def fake(architecture: str) -> dict[str, Shape]:
    """What `of_shapes` reads of a CLIP of these widths, quicker than building it."""
    config = open_clip.get_model_config(architecture)
    see, read, dim = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    width, patch = see["width"], see["patch_size"]
    out = {
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.positional_embedding": ((see["image_size"] // patch) ** 2 + 1, width),
        "visual.ln_post.weight": (width,),
        "visual.proj": (width, dim),
        "token_embedding.weight": (read["vocab_size"], read["width"]),
        "positional_embedding": (read["context_length"], read["width"]),
        "text_projection": (read["width"], dim),
    }
    out |= {f"visual.transformer.resblocks.{n}.mlp.c_fc.weight": (4 * width, width) for n in range(see["layers"])}
    out |= {
        f"transformer.resblocks.{n}.mlp.c_fc.weight": (4 * read["width"], read["width"]) for n in range(read["layers"])
    }
    return {name: Shape(shape) for name, shape in out.items()}


@pytest.mark.parametrize(
    ("of", "given", "found", "remedy"),
    [
        (
            "ViT-L-14",
            "ViT-B/16",
            "width 1024, patch 14, layers 24, features 768",
            "they fit ViT-L/14 or ViT-L-14:TAG: name that backbone",
        ),
        ("ViT-B-16", "ViT-L/14", "width 768, patch 16", "they fit ViT-B/16 or ViT-B-16:TAG: name that backbone"),
        ("ViT-B-32", "ViT-B/16", "patch 32", "they fit ViT-B/32 or ViT-B-32:TAG: name that backbone"),
        ("ViT-H-14", "ViT-B/16", "width 1280", "they fit ViT-H-14:TAG or ViT-H-14-quickgelu: name that backbone"),
        (
            "ViT-L-14-336",
            "ViT-L/14",
            "pixels 336",
            "they fit ViT-L/14@336px or ViT-L-14-336:TAG: name that backbone, or name ViT-L/14@224 to have",
        ),
        (
            "ViT-L-14",
            "ViT-L/14@336px",
            "pixels 224",
            "they fit ViT-L/14 or ViT-L-14:TAG: name that backbone, or name ViT-L/14@336 to have",
        ),
        ("ViT-B-16-plus-240", "ViT-B/16", "width 896", "they fit ViT-B-16-plus-240: name that backbone"),
    ],
)
def test_a_misfit_names_what_fits(tmp_path: Path, of: str, given: str, found: str, remedy: str) -> None:
    (fault,) = faults_for(given, written(of, tmp_path / "w.safetensors"))
    assert found in fault.found and remedy in fault.remedy and str(tmp_path) in fault.where, fault
    assert faults_for({"ViT-L-14": "ViT-L/14", "ViT-B-16": "ViT-B/16", "ViT-L-14-336": "ViT-L/14@336px"}.get(of, f"{of}-x"),
                      tmp_path / "w.safetensors") == [] or of not in ("ViT-L-14", "ViT-B-16", "ViT-L-14-336")  # fmt: skip


def test_weights_of_no_architecture_of_open_clips_are_told_by_what_differs(tmp_path: Path) -> None:
    shapes = fake("ViT-B-16")
    (tmp_path / "w.safetensors").write_bytes(b"")
    path = written("ViT-B-16", tmp_path / "w.safetensors", leave="visual.transformer.resblocks.3")
    assert shapes
    (fault,) = faults_for("ViT-B/16", path)
    assert (
        fault.found == "weights of layers 11" and fault.expected == "those of ViT-B/16: layers 12" and not fault.remedy
    )
    save_file({"a.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    (fault,) = faults_for("ViT-B/16", tmp_path / "x.safetensors")
    assert fault.found == "no vision tower of CLIP's: a.weight"


@pytest.fixture
def tiny_folder(tiny: Any, tmp_path: Path) -> tuple[Any, Path, dict[str, Any]]:
    config = json.loads((tiny.folder / "tiny.json").read_text())
    return tiny, open_clip_folder(tiny.model, config, tmp_path / "own"), config


@pytest.mark.parametrize(
    ("change", "found", "wanted"),
    [
        ({"quick_gelu": True}, "weights of QuickGELU", "plain GELU"),
        ({"vision_cfg": {"head_width": 8}}, "head width 8", "head width 16"),
        ({"vision_cfg": {"pool_type": "avg"}}, "pool type avg", "pool type tok"),
        ({"text_cfg": {"heads": 4}}, "text heads 4", "text heads 2"),
    ],
)
def test_what_shapes_do_not_tell_a_configuration_beside_them_does(
    tiny_folder: tuple[Any, Path, dict[str, Any]], tmp_path: Path, change: dict[str, Any], found: str, wanted: str
) -> None:
    tiny, folder, config = tiny_folder
    assert faults_for("tiny", folder) == []
    merged = {
        key: {**value, **change.get(key, {})} if isinstance(value, dict) else change.get(key, value)
        for key, value in config.items()
    }
    open_clip_folder(tiny.model, merged, folder)
    if "pool_type" not in str(change):  # which transformers has no word for
        state, described = from_open_clip(tiny.model.state_dict(), merged)
        (tmp_path / "theirs").mkdir()
        save_file(state, tmp_path / "theirs" / "model.safetensors")
        (tmp_path / "theirs" / "config.json").write_text(json.dumps(described))
    for place in (folder, folder / "open_clip_model.safetensors", tmp_path / "theirs"):
        if place.exists():
            (fault,) = faults_for("tiny", place)
            assert found in fault.found and wanted in fault.expected
            with pytest.raises(UserError, match=found):
                load_backbone("tiny", place)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ViT-B/16@230", "nearest: ViT-B/16@224"),
        ("ViT-B/16@0", "nearest: ViT-B/16@16"),
        ("ViT-L/14@336px@448", None),
        ("RN50-quickgelu:openai@256", "cannot be resized"),
        ("ViT-B/17@224", "nearest: ViT-B/16"),
        ("ViT-B/16@x", "nearest: ViT-B/16"),
    ],
)
def test_sizes_on_request(name: str, found: str | None) -> None:
    if found is None:
        assert resolve(name).transform.size == 448 and resolve(name).weights_path().name == "ViT-L-14-336px.safetensors"
        return
    with pytest.raises(UserError, match=found):
        resolve(name)


def test_images_that_the_weights_were_not_trained_on_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LAION's L/14 of 400M and of 2B have equal shapes and activations, and other means."""
    path = written("ViT-L-14", tmp_path / "open_clip_model.safetensors")
    half = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": open_clip.get_model_config("ViT-L-14"), "preprocess_cfg": half}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert faults_for("ViT-L-14:laion2b_s32b_b82k", path) == []
    (fault,) = faults_for("ViT-L-14:laion400m_e32", tmp_path)
    assert fault.found == "weights for images of mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5)"
    assert fault.expected.startswith("for ViT-L-14:laion400m_e32: mean (0.481") and fault.remedy.endswith(
        "ViT-L-14:TAG"
    )
    assert faults_for("ViT-L-14:laion400m_e32", written("ViT-L-14", tmp_path / "ViT-L-14.safetensors")) == [], (
        "a name of gelo's"
    )
    half["resize_mode"] = "squash"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (fault,) = faults_for("ViT-L-14:laion2b_s32b_b82k", path)
    assert fault.found == "weights for images of resize squash"


@pytest.mark.parametrize("name", ["CLIPImageProcessor", "SiglipImageProcessor"])
def test_a_preprocessor_of_transformers_is_understood(name: str, tmp_path: Path) -> None:
    import transformers

    from gelo.models.backbones.preprocess import unlike_transform
    from gelo.models.backbones.transforms import Transform

    getattr(transformers, name)().save_pretrained(tmp_path)
    clip, siglip = Transform(size=224), Transform(size=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    right, wrong = (clip, siglip) if name.startswith("CLIP") else (siglip, clip)
    assert unlike_transform(tmp_path, True, right) == []
    assert [field for field, *_ in unlike_transform(tmp_path, True, wrong)] == ["mean", "std"]
