"""The papers' augmentations: each operation against torchvision's own or a closed form, each draw against its distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import InterpolationMode, RandAugment, autoaugment
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as ops

from gelo.tasks.training.augment import (
    RAND_AUGMENT,
    SIGNED,
    augment,
    gamma,
    magnitude,
    operate,
    rand_augment,
    recolour,
    shift,
)
from gelo.tasks.training.base import Augment

THEIRS = {
    "identity": "Identity", "shear_x": "ShearX", "translate_x": "TranslateX", "rotate": "Rotate", "brightness": "Brightness",
    "colour": "Color", "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "auto_contrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip
KINDS: tuple[Augment, ...] = ("none", "flip", "rand_augment", "spoof")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(count: int, side: int) -> np.ndarray:
    """Smooth with some noise, so that no operation leaves them as they are."""
    rng = np.random.default_rng(11)
    coarse = torch.from_numpy(rng.uniform(20, 220, (count, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear").permute(0, 2, 3, 1).numpy()
    return (smooth + rng.uniform(-8, 8, smooth.shape)).astype(np.uint8)


@pytest.mark.parametrize("operation", THEIRS)
@pytest.mark.parametrize("level", [1, 9, 16])
@pytest.mark.parametrize("negative", [False, True])
def test_operations_are_torchvisions(operation: str, level: int, negative: bool) -> None:
    """Its RandAugment has the same grid of 31, operations and signs; ShearX is about the corner."""
    image = Image.fromarray(pictures(1, 56)[0])
    magnitudes, signed = RandAugment()._augmentation_space(31, (56, 56))[THEIRS[operation]]
    assert signed == (operation in SIGNED)
    strength = float(magnitudes[level].item()) if magnitudes.ndim else 0.0
    strength = -strength if signed and negative else strength
    assert magnitude(operation, level, 56, negative) == strength
    expected = autoaugment._apply_op(image, THEIRS[operation], strength, InterpolationMode.NEAREST, None)
    found = operate(operation, strength, image)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    if level == 16:
        assert np.array_equal(np.asarray(found), np.asarray(image)) == (operation == "identity")


def test_operations_by_hand() -> None:
    pixels = pictures(1, 56)[0]
    image = Image.fromarray(pixels)
    moved = np.zeros_like(pixels)
    moved[:, 6:] = pixels[:, :-6]  # level 7: 7/30 of 150/331 of 56 pixels = 5.92, cut off to 5; level 8: 6.77, to 6
    np.testing.assert_array_equal(
        np.asarray(operate("translate_x", magnitude("translate_x", 8, 56, False), image)), moved
    )
    back = np.zeros_like(pixels)
    back[:, :-6] = pixels[:, 6:]
    np.testing.assert_array_equal(
        np.asarray(operate("translate_x", magnitude("translate_x", 8, 56, True), image)), back
    )
    np.testing.assert_array_equal(np.asarray(operate("posterize", 6.0, image)), pixels & 0b11111100)
    np.testing.assert_array_equal(
        np.asarray(operate("solarize", 119.0, image)), np.where(pixels >= 119, 255 - pixels, pixels)
    )
    grey = np.asarray(operate("greyscale", 0.0, image))
    luma = pixels @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert grey.shape == pixels.shape and np.abs(grey - luma[..., None]).max() < 1
    with pytest.raises(ValueError, match="'shear_y' is none of identity, shear_x"):
        operate("shear_y", 0.1, image)


def test_the_figures_of_the_protocol_at_level_16() -> None:
    """../shared/protocols.md, 2: rotate 16 degrees, shear 0.16, shift 24 % of the width, colour 0.48, posterize 6 bits."""
    assert magnitude("rotate", 16, 224, True) == pytest.approx(-16)
    assert magnitude("shear_x", 16, 224, False) == pytest.approx(0.16)
    assert magnitude("translate_x", 16, 224, False) / 224 == pytest.approx(0.24, abs=0.005)
    assert magnitude("colour", 16, 224, False) == pytest.approx(0.48)
    assert magnitude("posterize", 16, 224, True) == 6
    assert len(RAND_AUGMENT) == 13 and not {"shear_y", "translate_y", "resized_crop"} & set(RAND_AUGMENT)


def test_rand_augment_draws_operation_level_and_sign_each_uniformly() -> None:
    rng = np.random.default_rng(0)
    drawn = [change.args for _ in range(3000) for change in rand_augment(224, rng) if isinstance(change, partial)]
    assert len(drawn) == 4 * 3000
    distinct = sum(len({name for name, _ in drawn[n : n + 4]}) == 4 for n in range(0, len(drawn), 4))
    assert (
        stats.binomtest(distinct, 3000, 13 * 12 * 11 * 10 / 13**4).pvalue > 0.01
    )  # with replacement: 60 % of four differ
    names = Counter(name for name, _ in drawn)
    assert stats.chisquare([names[name] for name in RAND_AUGMENT]).pvalue > 0.01
    degrees = [strength for name, strength in drawn if name == "rotate"]  # one degree a level
    levels = Counter(round(abs(value)) for value in degrees)
    assert set(levels) == set(range(1, 17))
    assert stats.chisquare(list(levels.values())).pvalue > 0.01
    for name in SIGNED:
        signs = [strength < 0 for operation, strength in drawn if operation == name]
        assert stats.binomtest(sum(signs), len(signs)).pvalue > 0.001
    assert all(strength >= 0 for name, strength in drawn if name not in SIGNED)


def test_half_of_the_images_are_mirrored() -> None:
    pixels = pictures(2000, 4)
    found = augment("flip", pixels, 4, np.random.default_rng(1))
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(found, pixels, strict=True)]
    assert all(m or np.array_equal(a, b) for m, a, b in zip(mirrored, found, pixels, strict=True))
    assert stats.binomtest(sum(mirrored), 2000).pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_larger_images_are_cropped_at_random_whatever_follows(kind: Augment) -> None:
    assert augment(kind, pictures(5, 73), 64, np.random.default_rng(0)).shape == (5, 64, 64, 3)


def test_crops_lie_anywhere_with_equal_chance() -> None:
    """The pixel (y, x) is (y, x, 0), so a crop tells where it lies: 33 places a side for 224 of 256, here 5 for 6 of 10."""
    places = np.stack([*np.mgrid[:10, :10], np.zeros((10, 10))], axis=-1).astype(np.uint8)
    found = augment("none", np.repeat(places[None], 2500, axis=0), 6, np.random.default_rng(2))
    np.testing.assert_array_equal(found - found[:, :1, :1], np.repeat(places[None, :6, :6], 2500, axis=0))
    corners = Counter((int(y), int(x)) for y, x, _ in found[:, 0, 0])
    assert len(corners) == 25
    assert stats.chisquare(list(corners.values())).pvalue > 0.01


def test_gamma_and_shift_as_albumentations_rounds_them() -> None:
    """Printed by albumentations 1.4.21: functional.gamma_transform and albucore.add_vector on the levels 0, 32, ..., 224."""
    ramp = Image.fromarray(np.arange(0, 256, 32, dtype=np.uint8)[None, :, None].repeat(3, axis=2))
    assert np.asarray(gamma(1.37, ramp))[0, :, 0].tolist() == [0, 14, 38, 66, 99, 134, 172, 213]
    for exponent in (0.8, 1.0, 1.8):
        found = np.asarray(gamma(exponent, ramp))[0, :, 2]
        assert np.abs(found - 255 * (np.arange(0, 256, 32) / 255) ** exponent).max() <= 1
    found = np.asarray(shift(np.array([-19.6, 0.9, 33.0]), ramp))[0]
    assert found[:, 0].tolist() == [0, 13, 45, 77, 109, 141, 173, 205]  # 19, the fraction cut off; none below 0
    assert found[:, 1].tolist() == list(range(0, 256, 32))
    assert found[:, 2].tolist() == [33, 65, 97, 129, 161, 193, 225, 255]  # none above 255


def drawn_colours(count: int) -> list[list[partial]]:
    rng = np.random.default_rng(3)
    return [[change for change in recolour(rng) if isinstance(change, partial)] for _ in range(count)]


def test_each_colour_change_comes_to_half_of_the_images_within_its_range() -> None:
    drawn = drawn_colours(3000)
    kinds = [Counter(change.func for change in changes) for changes in drawn]
    jitter = (ops.adjust_brightness, ops.adjust_contrast, ops.adjust_saturation, ops.adjust_hue)
    for kind in (gamma, shift, *jitter):
        assert stats.binomtest(sum(kind in each for each in kinds), 3000).pvalue > 0.01
    assert all(len({each[kind] for kind in jitter}) == 1 for each in kinds), "the four go together"
    patterns = Counter((gamma in each, shift in each, jitter[0] in each) for each in kinds)
    assert stats.chisquare(list(patterns.values())).pvalue > 0.01 and len(patterns) == 8  # independent of one another
    found: dict[object, list[float]] = {kind: [] for kind in (gamma, shift, *jitter)}
    for change in (change for changes in drawn for change in changes):
        found[change.func] += np.ravel(change.args[0] if change.args else list(change.keywords.values())).tolist()
    ranges = {gamma: (0.8, 1.8), shift: (-20, 20), ops.adjust_hue: (-0.1, 0.1)}
    for kind, values in found.items():
        low, high = ranges.get(kind, (0.9, 1.1))  # type: ignore[call-overload]
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.01, kind


def test_gamma_shift_jitter_in_this_order_and_the_jitters_four_in_any() -> None:
    jitter = (ops.adjust_brightness, ops.adjust_contrast, ops.adjust_saturation, ops.adjust_hue)
    orders: Counter[tuple[object, ...]] = Counter()
    for changes in drawn_colours(3000):
        names = [change.func for change in changes]
        first = [name for name in names if name in (gamma, shift)]
        assert first == sorted(first, key=[gamma, shift].index) and names[: len(first)] == first
        if len(names) > len(first):
            orders[tuple(names[len(first) :])] += 1
    assert set(orders) == set(permutations(jitter))
    assert stats.chisquare(list(orders.values())).pvalue > 0.01


@pytest.mark.parametrize("kind", ["rand_augment", "spoof"])
def test_a_batch_is_what_torchvision_makes_of_the_same_draws(kind: Augment) -> None:
    pixels = pictures(12, 40)
    found = augment(kind, pixels, 40, np.random.default_rng(9))
    rng = np.random.default_rng(9)
    if kind == "spoof":
        mirrored = rng.random(12) < 0.5
        pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
    drawn = [rand_augment(40, rng) if kind == "rand_augment" else recolour(rng) for _ in range(12)]
    expected = []
    for changes, image in zip(drawn, pixels, strict=True):
        made = Image.fromarray(image)
        for change in changes:
            assert isinstance(change, partial)
            made = change(made) if change.args else getattr(v1, change.func.__name__)(made, *change.keywords.values())
        expected.append(np.asarray(made))
    out = np.stack(expected)
    if kind == "rand_augment":
        mirrored = rng.random(12) < 0.5
        out[mirrored] = out[mirrored, :, ::-1]
    np.testing.assert_array_equal(found, out)


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_the_generator_alone_and_not_of_the_threads(kind: Augment) -> None:
    pixels = pictures(16, 40)
    before = pixels.copy()
    one = augment(kind, pixels, 36, np.random.default_rng([1, 2, 3]))
    torch.set_num_threads(2)
    np.testing.assert_array_equal(augment(kind, pixels, 36, np.random.default_rng([1, 2, 3])), one)
    assert one.dtype == np.uint8
    assert not np.array_equal(augment(kind, pixels, 36, np.random.default_rng([1, 2, 4])), one)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_a_batch_is_augmented_as_if_all_were_here(kind: Augment) -> None:
    """A process that has a slice of the batch draws for all of it."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)
    whole = augment(kind, pixels, 20, np.random.default_rng(5))
    for own in (slice(0, 4), slice(4, 12), slice(12, 12)):
        part = augment(kind, pixels[own], 20, np.random.default_rng(5), 12, own) if own.start < 12 else whole[own]
        assert np.array_equal(part, whole[own])
