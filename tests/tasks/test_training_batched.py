"""Augmentation and resizing on tensors against Pillow: no bit differs, the largest difference is 0."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as ops

from gelo.models.backbones.transforms import Transform
from gelo.tasks.training.augment import (
    RAND_AUGMENT,
    SIGNED,
    Change,
    Pixels,
    augment,
    draw,
    gamma,
    magnitude,
    operate,
    shift,
)
from gelo.tasks.training.base import Augment
from gelo.tasks.training.batched import augmented, changed
from gelo.tasks.training.colours import hue
from gelo.tasks.training.device import same_bits
from gelo.tasks.training.resize import MOST, halves, resizable, resized, weights

SIDE = 40
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
FACTORS = st.floats(0.5, 1.5)
JITTER = {
    "adjust_brightness": "brightness_factor", "adjust_contrast": "contrast_factor", "adjust_saturation": "saturation_factor",
}  # fmt: skip


def pictures(side: int = SIDE, seed: int = 0) -> Pixels:
    """Noise; smooth; one level; one band of one level; four levels; black and white; nearly grey: (7, side, side, 3)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (side, side, 3))
    coarse = torch.from_numpy(rng.uniform(20, 220, (1, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")[0].permute(1, 2, 0).numpy()
    banded = noise.copy()
    banded[:, :, 0] = 5
    made = [
        noise,
        smooth,
        np.full_like(noise, 77),
        banded,
        noise // 64 * 64,
        noise // 128 * 255,
        smooth[..., :1] + noise % 3,
    ]
    return np.stack([each.clip(0, 255).astype(np.uint8) for each in made])


def tensor(pixels: Pixels, device: str = "cpu") -> torch.Tensor:
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous()


def pixels_of(images: torch.Tensor) -> Pixels:
    return images.permute(0, 2, 3, 1).cpu().numpy()


def by_pillow(pixels: Pixels, change: Change) -> Pixels:
    return np.stack([np.asarray(change(Image.fromarray(each))) for each in pixels])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", RAND_AUGMENT)
def test_each_operation_at_every_level(name: str, device: str) -> None:
    pixels = pictures()
    for level in range(1, 17):
        for negative in (False, True) if name in SIGNED else (False,):
            change = partial(operate, name, magnitude(name, level, SIDE, negative))
            found = pixels_of(changed(tensor(pixels, device), [[change]] * len(pixels)))
            np.testing.assert_array_equal(found, by_pillow(pixels, change), err_msg=f"level {level} {negative}")


@settings(max_examples=40, deadline=None)
@given(side=st.integers(4, 41), strength=st.floats(-1, 1), name=st.sampled_from(["shear_x", "translate_x", "rotate"]))
def test_moves_of_any_size_at_any_strength(side: int, strength: float, name: str) -> None:
    pixels = pictures(side)[:1]
    change = partial(operate, name, strength * {"shear_x": 0.3, "translate_x": side, "rotate": 44}[name])
    if name == "rotate" and change.args[1] % 360 == 0:
        return  # Pillow copies; no level is 0
    np.testing.assert_array_equal(pixels_of(changed(tensor(pixels), [[change]])), by_pillow(pixels, change))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(JITTER)), FACTORS)
def test_factors_of_any_size(name: str, factor: float) -> None:
    pixels, change = pictures(), partial(getattr(ops, name), **{JITTER[name]: factor})
    found = pixels_of(changed(tensor(pixels), [[change]] * len(pixels)))
    np.testing.assert_array_equal(found, by_pillow(pixels, change))


@settings(max_examples=20, deadline=None)
@given(exponent=st.floats(0.8, 1.8), levels=st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_tables(exponent: float, levels: list[float]) -> None:
    pixels = pictures()
    for change in (partial(gamma, exponent), partial(shift, np.array(levels))):
        found = pixels_of(changed(tensor(pixels), [[change]] * len(pixels)))
        np.testing.assert_array_equal(found, by_pillow(pixels, change))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [-0.1, 0.0, 0.06])
def test_hues_of_many_colours(factor: float) -> None:
    """Every eighth level of each band, and those beside it: Pillow's way to the circle and back."""
    levels = np.unique(np.clip(np.arange(0, 257, 8)[:, None] + [-1, 0, 1], 0, 255))
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).astype(np.uint8).reshape(1, len(levels) ** 2, -1, 3)
    found = pixels_of(hue(tensor(colours), [factor]))
    np.testing.assert_array_equal(found, by_pillow(colours, partial(ops.adjust_hue, hue_factor=factor)))
    assert colours.size / 3 == 96**3


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["none", "flip", "rand_augment", "spoof"])
@pytest.mark.parametrize("side", [SIDE, SIDE + 9])
def test_a_recipe_on_a_batch(kind: Augment, side: int, device: str) -> None:
    pixels = np.concatenate([pictures(side, seed) for seed in range(3)])
    for seed in range(3):
        expected = augment(kind, pixels, SIDE, np.random.default_rng(seed))
        drawn = draw(kind, side, SIDE, np.random.default_rng(seed), len(pixels))
        np.testing.assert_array_equal(pixels_of(augmented(tensor(pixels, device), drawn)), expected)
        own = slice(5, 17)
        np.testing.assert_array_equal(
            pixels_of(augmented(tensor(pixels[own], device), drawn.of(own))), expected[own], err_msg="a part of it"
        )
    assert kind == "none" or not np.array_equal(expected[:, :SIDE, :SIDE], pixels[:, :SIDE, :SIDE])


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(4, 70), share=st.floats(0, 1), seed=st.integers(0, 99),
    interpolation=st.sampled_from(["bicubic", "bilinear"]), resize=st.sampled_from(["shortest", "squash"]),
    channels=st.sampled_from(["rgb", "bgr"]),
)  # fmt: skip
def test_resizing_of_any_size(share: float, seed: int, **fields: object) -> None:
    transform = Transform.model_validate(fields)
    side = round(3 + share * (MOST * transform.size - 3))
    assert resizable(transform, side, side)
    rng = np.random.default_rng(seed)
    pixels = np.stack([rng.integers(0, 256, (side, side, 3)), rng.choice([0, 255], (side, side, 3))]).astype(np.uint8)
    expected = np.stack([transform.to_uint8(Image.fromarray(each)) for each in pixels])
    np.testing.assert_array_equal(pixels_of(resized(transform, torch.from_numpy(pixels))), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stored", [112, 160, 224])
def test_resizing_of_faces_to_224(stored: int, device: str) -> None:
    pixels, transform = pictures(stored), Transform(size=224)
    found = resized(transform, torch.from_numpy(pixels).to(device)).cpu()
    expected = np.stack(
        [np.asarray(Image.fromarray(each).resize((224, 224), Image.Resampling.BICUBIC)) for each in pixels]
    )
    np.testing.assert_array_equal(pixels_of(found), expected)


def test_sums_of_the_resizing_are_whole_numbers_that_float32_holds() -> None:
    """So every order of adding gives the same, TF32 too: its inputs keep 11 bits."""
    for source, target, kind in (
        (112, 224, "bicubic"),
        (448, 224, "bicubic"),
        (448, 224, "bilinear"),
        (97, 64, "bicubic"),
    ):
        for part in halves(weights(source, target, kind)):
            assert np.abs(part).max() <= 2**11 and (255 * np.abs(part).sum(1)).max() < 2**24
        assert np.abs(weights(source, target, kind).sum(1) - 2**22).max() <= source, "a row's shares are one"


def test_what_the_tensors_cannot_do_is_said() -> None:
    assert not resizable(Transform(size=64, interpolation="bilinear", resize="squash", antialias=False), 60, 60)
    assert not resizable(Transform(size=64), 129, 129), "shrunk by more than two"
    assert not resizable(Transform(size=64), 60, 61), "not square"
    assert resizable(Transform(size=64), 128, 128)


def test_a_device_that_differs_is_told_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(same_bits.__wrapped__(torch.device(device)) for device in DEVICES)
    monkeypatch.setattr("gelo.tasks.training.device.changed", lambda images, changes: changed(images, changes) + 1)
    with pytest.warns(UserWarning, match="'identity'.* on cpu differs from Pillow: images are prepared on the CPU"):
        assert not same_bits.__wrapped__(torch.device("cpu"))
    monkeypatch.setattr("gelo.tasks.training.device.resized", lambda transform, images: resized(transform, images) + 1)
    with pytest.warns(UserWarning, match="resizing on cpu differs"):
        assert not same_bits.__wrapped__(torch.device("cpu"))
