from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from gelo.models.backbones.check import faults_for
from gelo.models.backbones.registry import BACKBONES, resolve, vision_layers
from gelo.models.backbones.transforms import OPENAI_MEAN, OPENAI_STD, Transform
from gelo.models.backbones.zoo import ACTIVATIONS
from gelo.models.faults import UserError
from tests.programs import printed_by


def _image(mode: str, width: int, height: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    if mode == "P":
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).quantize(32)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(rng.integers(0, 256, (height, width, *channels), dtype=np.uint8), mode)


@pytest.mark.parametrize("resize", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_transform_equals_open_clips_bit_for_bit(resize: str, interpolation: str) -> None:
    sizes = [(37, 53), (53, 37), (64, 64), (32, 32), (33, 32), (32, 47), (21, 90), (5, 7), (201, 100), (1, 3)]
    for i, (width, height) in enumerate(sizes):
        for mode in ("RGB", "L", "RGBA", "P"):
            image = _image(mode, width, height, i)
            ours = Transform(size=32, resize=resize, interpolation=interpolation)  # type: ignore[arg-type]
            theirs = open_clip.image_transform(32, is_train=False, resize_mode=resize, interpolation=interpolation)
            pixels = ours.to_uint8(image)
            assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
            assert torch.equal(ours.normalise(torch.from_numpy(pixels)[None])[0], theirs(image)), (mode, width, height)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_strip_is_resized_in_its_middle_to_within_a_grey_level(interpolation: str) -> None:
    ours = Transform(size=32, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))  # type: ignore[arg-type]
    theirs = open_clip.image_transform(32, False, (0, 0, 0), (1, 1, 1), interpolation=interpolation)
    for seed, (short, long) in enumerate(
        [(1, 9), (1, 500), (2, 17), (3, 300), (7, 60), (11, 95), (15, 999), (21, 400), (31, 300)]
    ):
        for mode in ("RGB", "L"):
            for image in (_image(mode, short, long, seed), _image(mode, long, short, seed)):
                expected = (theirs(image) * 255).round().permute(1, 2, 0).numpy()  # type: ignore[operator]
                assert np.abs(ours.to_uint8(image) - expected).max() <= 1, image.size


def test_normalise_wants_uint8() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Transform(size=4).normalise(torch.zeros(1, 4, 4, 3))


def test_transform_fingerprint_covers_every_field() -> None:
    base = Transform(size=64)
    half = (0.5, 0.5, 0.5)
    others = [
        base.model_copy(update=change)
        for change in (
            {"size": 65},
            {"interpolation": "bilinear"},
            {"resize": "squash"},
            {"mean": half},
            {"std": half},
            {"channels": "bgr"},
            {"antialias": False},
        )
    ]
    assert len(others) == len(Transform.model_fields)
    assert len({t.fingerprint for t in (base, *others)}) == len(others) + 1
    assert len(base.fingerprint) == 16 and base.fingerprint == Transform(size=64).fingerprint


def test_fields_that_joined_later_leave_older_fingerprints_as_they_were() -> None:
    """The value stands in caches that users have: SHA-256 of the five fields that there were at first."""
    first = {"size": 64, "interpolation": "bicubic", "resize": "shortest", "mean": OPENAI_MEAN, "std": OPENAI_STD}
    expected = hashlib.sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:16]
    assert Transform(size=64).fingerprint == expected


def test_bgr_is_rgb_read_backwards() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8))
    rgb = Transform(size=32)
    bgr = rgb.model_copy(update={"channels": "bgr"})
    np.testing.assert_array_equal(bgr.to_uint8(image), np.asarray(rgb.to_uint8(image))[:, :, [2, 1, 0]])


@pytest.mark.parametrize(("height", "width"), [(256, 256), (61, 90), (20, 31), (32, 32)])
def test_without_antialias_each_pixel_is_read_between_its_four_neighbours(height: int, width: int) -> None:
    """scipy's linear interpolation at the pixel centres, edges repeated: what OpenCV calls INTER_LINEAR."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    transform = Transform(size=32, interpolation="bilinear", resize="squash", antialias=False)
    rows = ((np.arange(32) + 0.5) * height / 32 - 0.5).clip(0, height - 1)
    columns = ((np.arange(32) + 0.5) * width / 32 - 0.5).clip(0, width - 1)
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = np.stack([map_coordinates(pixels[..., c].astype(float), grid, order=1) for c in range(3)], axis=-1)
    found = transform.to_uint8(Image.fromarray(pixels)).astype(float)
    assert np.abs(found - expected).max() <= 0.5 + 1e-3


def test_transform_refuses_unknown_settings() -> None:
    with pytest.raises(ValidationError, match="antialias=False goes with"):
        Transform(size=64, antialias=False)
    with pytest.raises(ValidationError):
        Transform(size=64, crop=0.9)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Transform(size=0)


def test_registered_backbones_agree_with_their_open_clip_configuration() -> None:
    for name in ("ViT-B/16", "ViT-L/14"):
        entry = BACKBONES[name]
        config = open_clip.get_model_config(entry.architecture)
        assert config["quick_gelu"] is (entry.activation == "quick_gelu")
        assert config["vision_cfg"]["image_size"] == entry.transform.size
        assert entry.activation in ACTIVATIONS
        tag = open_clip.get_pretrained_cfg(entry.architecture, "openai")
        assert (tag["mean"], tag["std"]) == (entry.transform.mean, entry.transform.std)
        assert (tag["interpolation"], tag["resize_mode"]) == (entry.transform.interpolation, entry.transform.resize)


def test_unknown_backbone_offers_the_nearest() -> None:
    (fault,) = faults_for("mini-x")
    assert "mini-x" in fault.found and fault.remedy == "nearest: mini-s" and "ViT-B/16" in fault.expected
    (fault,) = faults_for("ViT-B-61")
    assert "nearest: ViT-B-" in fault.remedy
    with pytest.raises(UserError, match="unknown backbone"):
        resolve("resnet")


def test_missing_weights_say_where_to_put_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GELO_WEIGHTS", str(tmp_path))
    (fault,) = faults_for("ViT-B/16")
    assert fault.found == "missing" and fault.where == str(tmp_path / "ViT-B-16.safetensors")
    assert "huggingface.co/timm/vit_base_patch16_clip_224.openai" in fault.remedy
    (fault,) = faults_for("ViT-L/14", tmp_path / "elsewhere.safetensors")
    assert fault.where == str(tmp_path / "elsewhere.safetensors")


def test_open_clip_names_take_the_transform_of_their_tag() -> None:
    siglip = resolve("ViT-B-16-SigLIP:webli")
    assert siglip.transform == Transform(size=224, resize="squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert resolve("ViT-B-32-quickgelu").activation == "quick_gelu"
    with pytest.raises(UserError, match="differ in transform"):
        resolve("ViT-H-14-quickgelu")
    with pytest.raises(UserError, match="ViT-B-16:TAG, or ViT-B/16 for the weights of OpenAI"):
        resolve("ViT-B-16")  # whose file would be that of ViT-B/16, under another activation
    with pytest.raises(UserError, match="ViT-L-14-quickgelu:openai"):
        resolve("ViT-L-14:openai")
    with pytest.raises(UserError, match="unknown open_clip tag"):
        resolve("ViT-L-14:nonsense")


def test_depth_of_the_vision_tower_is_known_without_building_it() -> None:
    assert (vision_layers("ViT-B/16"), vision_layers("ViT-L/14"), vision_layers("ViT-B-32")) == (12, 24, 12)
    assert vision_layers("RN50") is None


def test_specs_import_no_torch() -> None:
    code = (
        "import sys, gelo.models.backbones.check as s, gelo.models.adapt as a, gelo.models.remedies, gelo.models.heads as h;"
        "s.faults_for('mini-s'); s.faults_for('mini-z'); a.Lora(); h.CosFace();"
        "print([m for m in ('torch', 'open_clip', 'peft', 'ray', 'mlflow') if m in sys.modules])"
    )
    assert printed_by(code).strip() == "[]"
