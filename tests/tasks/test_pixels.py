"""The reading rules: one picture from every form of it, and a refusal wherever nothing says which picture a file holds."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gelo.models.backbones.transforms import Transform
from gelo.tasks.data.pixels import UnreadableError, check_image, open_image
from gelo.tasks.data.understood import Reading
from tests.programs import printed_by
from tests.tasks.pictures import encode, noise, png2, png16, tiff, twelve_bits

GREY = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
DEEP = GREY.astype(np.uint16) * 257
UNIT = GREY.astype(np.float32) / 255
COLOUR = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pytest undoes our own filter
READINGS: tuple[Reading, ...] = ("faithful", "open_clip")


def seen(data: bytes, reading: Reading = "faithful") -> NDArray[np.uint8]:
    check_image(data, reading)
    return np.asarray(open_image(data, reading))


def refusal(data: bytes, reading: Reading = "faithful") -> UnreadableError:
    for read in (check_image, open_image):
        with pytest.raises(UnreadableError) as refused:
            read(data, reading)
    return refused.value


SAME_GREY = {
    "PNG of 8 bits": encode(GREY),
    "PNG of 16": encode(DEEP),
    "TIFF of 16": encode(DEEP, "TIFF"),
    "TIFF of 16, big-endian": tiff(DEEP.astype(">u2").tobytes(), 50, 40, (16,), ">"),
    "TIFF of 16, LZW": encode(DEEP, "TIFF", compression="tiff_lzw"),
    "TIFF of 16, white is zero": tiff((65_535 - DEEP).astype("<u2").tobytes(), 50, 40, (16,), photometric=0),
    "TIFF of 8, white is zero": tiff((255 - GREY).tobytes(), 50, 40, (8,), photometric=0),
    "TIFF of 12": tiff(twelve_bits((GREY / 255 * 4095).round().astype(int)), 50, 40, (12,)),
    "PGM of 16": encode(DEEP, "PPM"),
    "PGM up to 4095": b"P5 50 40 4095\n" + (GREY / 255 * 4095).round().astype(">u2").tobytes(),
    "PGM in letters": b"P2 50 40 65535\n" + " ".join(map(str, DEEP.ravel())).encode(),
    "JPEG 2000 of 16": encode(DEEP, "JPEG2000", irreversible=False),
    "TIFF of floats": encode(UNIT, "TIFF"),
    "TIFF of floats, white is zero": tiff((1 - UNIT).astype("<f4").tobytes(), 50, 40, (32,), photometric=0, samples=3),
    "TIFF of floats, deflated": encode(UNIT, "TIFF", compression="tiff_adobe_deflate"),
    "PFM": encode(UNIT, "PPM"),
    "PNG with alpha": encode(Image.fromarray(GREY).convert("LA")),
    "PNG of 16 with alpha": png16(np.stack([DEEP, np.full_like(DEEP, 9_000)], -1)),
    "TIFF with premultiplied alpha": tiff(
        np.stack([GREY, np.full_like(GREY, 255)], -1).tobytes(), 50, 40, (8, 8), extra=1
    ),
    "palette": encode(Image.fromarray(GREY).convert("P")),
    "GIF": encode(GREY, "GIF"),
    "animated GIF": encode(GREY, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
    "animated PNG": encode(GREY, save_all=True, append_images=[Image.fromarray(255 - GREY)]),
}
SAME_COLOUR = {
    "PNG": encode(COLOUR),
    "PNG of 16": png16(COLOUR.astype(np.uint16) * 257),
    "PNG of 16 with alpha": png16(np.concatenate([COLOUR * np.uint16(257), np.full((40, 50, 1), 7, np.uint16)], -1)),
    "TIFF of 16": tiff((COLOUR * np.uint16(257)).astype("<u2").tobytes(), 50, 40, (16,) * 3, photometric=2),
    "TIFF of 16, big-endian": tiff((COLOUR * np.uint16(257)).astype(">u2").tobytes(), 50, 40, (16,) * 3, ">", 2),
    "PPM of 16": b"P6 50 40 65535\n" + (COLOUR * np.uint16(257)).astype(">u2").tobytes(),
    "TIFF of CMYK": encode(Image.fromarray(np.dstack([255 - COLOUR, np.zeros_like(GREY)]), "CMYK"), "TIFF"),
    "WebP": encode(COLOUR, "WEBP", lossless=True),
    "animated WebP": encode(
        COLOUR, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - COLOUR)]
    ),
    "two pages": encode(COLOUR, "TIFF", save_all=True, append_images=[Image.fromarray(255 - COLOUR)]),
}


@pytest.mark.parametrize("form", SAME_GREY)
def test_one_grey_picture_in_every_form(form: str) -> None:
    np.testing.assert_array_equal(seen(SAME_GREY[form]), np.stack([GREY] * 3, -1))


@pytest.mark.parametrize("form", SAME_COLOUR)
def test_one_colour_picture_in_every_form(form: str) -> None:
    np.testing.assert_array_equal(seen(SAME_COLOUR[form]), COLOUR)


def test_forms_that_lose_a_little() -> None:
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    colour = np.stack([smooth, 2 * smooth, 255 - smooth], -1)
    for image in (Image.fromarray(colour), Image.fromarray(255 - colour)):
        exact = np.asarray(image).astype(int)
        cmyk = Image.merge("CMYK", [*(ImageOps.invert(band) for band in image.split()), Image.new("L", (50, 40))])
        pair = {"save_all": True, "append_images": [ImageOps.invert(image)]}
        for data in (
            encode(cmyk, "JPEG", quality=100, subsampling=0),  # Pillow writes Adobe's marker: values upside down
            encode(image, "JPEG", quality=100, subsampling=0),
            encode(image, "MPO", quality=100, subsampling=0, **pair),
            encode(image.convert("YCbCr"), "TIFF"),
        ):
            assert np.abs(seen(data).astype(int) - exact).max() <= 3
    for low in (0, 1, 3, 128, 200, 255):  # colour of 16 bits comes as its high byte
        found = seen(png16(COLOUR * np.uint16(256) + np.uint16(low))).astype(float)
        exact = (COLOUR * 256.0 + low) / 257
        assert np.abs(found - exact).max() <= 1


def test_few_bits_reach_from_black_to_white() -> None:
    values = GREY % 4
    np.testing.assert_array_equal(seen(png2(values))[..., 0], values * 85)
    bit = Image.fromarray(GREY).convert("1", dither=0)
    np.testing.assert_array_equal(seen(encode(bit))[..., 1], np.asarray(bit) * np.uint8(255))
    np.testing.assert_array_equal(seen(encode(bit, "TIFF", compression="group4"))[..., 1], np.asarray(bit) * 255)


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint16, (3, 5)).filter(lambda values: not 0 < values.max() < 256))
def test_sixteen_bits_are_divided_by_257_and_rounded(values: NDArray[np.uint16]) -> None:
    expected = np.rint(values / 257)
    for data in (encode(values), encode(values, "TIFF"), encode(values, "PPM")):
        np.testing.assert_array_equal(seen(data)[..., 2], expected)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (3, 5), elements=st.floats(0, 1, width=32)))
def test_floats_are_multiplied_by_255_and_rounded(values: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(seen(encode(values, "TIFF"))[..., 0], np.rint(values.astype(float) * 255))


BLACK = bytes(2000)
REFUSED: dict[str, tuple[bytes, str]] = {
    "32 bits": (encode(DEEP.astype(np.int32), "TIFF"), "signed integers of 32 bits (TIFF, mode I)"),
    "32 bits without sign": (tiff(bytes(8000), 50, 40, (32,)), "unsigned integers of 32 bits (TIFF, mode I)"),
    "16 bits with sign": (tiff(bytes(4000), 50, 40, (16,), samples=2), "signed integers of 16 bits (TIFF, mode I)"),
    "8 bits with sign": (tiff(BLACK, 50, 40, (8,), samples=2), "signed integers of 8 bits (TIFF, mode L)"),
    "floats up to 255": (encode(GREY.astype(np.float32), "TIFF"), "values from 0 to 255 (TIFF, mode F)"),
    "floats below 0": (encode(UNIT - np.float32(0.25), "PPM"), "values from -0.25 to 0.75 (PPM, mode F)"),
    "no number": (encode(np.where(GREY == 7, np.nan, UNIT), "TIFF"), "values from nan to nan (TIFF, mode F)"),
    "SPIDER": (encode(UNIT, "SPIDER"), "values of which nothing says which is white (SPIDER, mode F)"),
    "IM": (encode(DEEP, "IM"), "values of which nothing says which is white (IM, mode I;16)"),
    "8 bits in 16": (encode(GREY.astype(np.uint16)), "16 bits a value, all at most 255 (PNG, mode I;16)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_stated_white_is_refused_and_said(kind: str) -> None:
    data, found = REFUSED[kind]
    error = refusal(data)
    assert str(error) == found
    assert error.expected and "open_clip" in error.remedy
    if "sign" not in kind:
        np.testing.assert_array_equal(seen(data, "open_clip"), np.asarray(Image.open(io.BytesIO(data))))


def test_a_black_picture_of_16_bits_is_one() -> None:
    assert not seen(encode(np.zeros((4, 5), np.uint16))).any()


TURNS: dict[int, Callable[[NDArray], NDArray]] = {  # what EXIF says was done to the upright picture, undone
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", TURNS)
def test_every_orientation_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    upright = TURNS[orientation](COLOUR)
    stored = Image.fromarray(COLOUR)
    for data in (
        encode(stored, exif=exif),
        encode(stored, "WEBP", lossless=True, exif=exif),
        encode(stored, "WEBP", lossless=True, xmp=xmp),
        encode(stored, "TIFF", exif=exif),
        encode(stored, "TIFF", exif=exif, compression="tiff_lzw"),
    ):
        np.testing.assert_array_equal(seen(data), upright)
    for form in ("PNG", "TIFF"):
        deep = seen(encode(Image.fromarray(DEEP), form, exif=exif))
        np.testing.assert_array_equal(deep, TURNS[orientation](np.stack([GREY] * 3, -1)))
    for form, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("MPO", {})):
        data = encode(stored, form, exif=exif, **options)
        np.testing.assert_array_equal(seen(data), TURNS[orientation](np.asarray(Image.open(io.BytesIO(data)))))
    as_stored = encode(stored, "JPEG", exif=exif)
    np.testing.assert_array_equal(seen(as_stored, "open_clip"), np.asarray(Image.open(io.BytesIO(as_stored))))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0not TIFF", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    data = encode(COLOUR, "JPEG", exif=exif)
    np.testing.assert_array_equal(seen(data), np.asarray(Image.open(io.BytesIO(data))))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["RGB", "L"]), st.integers(1, 90), st.integers(1, 90), st.sampled_from(["shortest", "squash"]),
    st.sampled_from(["bicubic", "bilinear"]), st.integers(0, 1000),
)  # fmt: skip
def test_plain_images_are_the_same_by_both_rules_and_open_clip(
    mode: str, width: int, height: int, resize: str, interpolation: str, seed: int
) -> None:
    data = encode(noise(mode, width, height, seed))
    ours = Transform(size=32, resize=resize, interpolation=interpolation)  # type: ignore[arg-type]
    theirs = open_clip.image_transform(32, is_train=False, resize_mode=resize, interpolation=interpolation)  # type: ignore[arg-type]
    faithful, as_stored = (ours.to_uint8(open_image(data, reading)) for reading in READINGS)
    np.testing.assert_array_equal(faithful, as_stored)
    if max(width, height) <= 8 * min(width, height):
        expected = theirs(Image.open(io.BytesIO(data)))  # type: ignore[operator]
        assert torch.equal(ours.normalise(torch.from_numpy(faithful)[None])[0], expected)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_odd_modes_by_both_rules(mode: str) -> None:
    form = "PNG" if mode in ("1", "P", "LA", "RGBA", "I;16") else "TIFF"
    ours = Transform(size=32)
    theirs = open_clip.image_transform(32, is_train=False)
    for seed, (width, height) in enumerate(((50, 70), (90, 33), (32, 32), (20, 31), (32, 80))):
        data = encode(noise(mode, width, height, seed), form)
        stored = Image.open(io.BytesIO(data))
        as_stored = ours.to_uint8(open_image(data, "open_clip"))
        assert torch.equal(ours.normalise(torch.from_numpy(as_stored)[None])[0], theirs(stored))  # type: ignore[operator]
        if mode not in ("I;16", "I", "F"):
            expected = theirs(stored.convert("RGB"))  # type: ignore[operator]
            faithful = ours.to_uint8(open_image(data))
            assert torch.equal(ours.normalise(torch.from_numpy(faithful)[None])[0], expected)


DDS = b"DDS " + struct.pack("<7I", 124, 0x1007, 8, 8, 32, 0, 0) + bytes(44) + struct.pack("<2I", 32, 0) + bytes(300)


def test_damage_is_named_the_same_each_time() -> None:
    assert str(refusal(DDS)) == "unreadable image (NotImplementedError: Unknown pixel format flags 0)"
    assert str(refusal(b"no image")) == str(refusal(b"")) == "unreadable image (no format that Pillow knows)"
    assert str(refusal(encode(COLOUR)[:200])).startswith("unreadable image (")
    huge = b"P5 9000 9000 255\n" + bytes(10)
    assert "9000 x 9000 pixels" in str(refusal(huge))
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    assert "no format" in str(refusal(program)), "a PostScript program is not run"


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("flags"), TypeError("tag"), AttributeError("rawmode"), struct.error("short"), RecursionError(), MemoryError(),
        AssertionError(), KeyError(320), ZeroDivisionError("by zero"), RuntimeError(object()), OSError(object()), EOFError(),
    ],
    ids=lambda error: type(error).__name__ if isinstance(error, Exception) else str(error),
)  # fmt: skip
def test_whatever_a_decoder_raises_is_one_kind(
    error: Exception, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(COLOUR)
    raised: BaseException = error

    def fail(self: object) -> None:
        raise raised

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    found = str(refusal(data, reading))
    assert re.fullmatch(r"unreadable image \(.*\S\)", found)
    assert " at 0x" not in found
    raised = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        open_image(data, reading)


def test_too_little_memory_for_turning_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    with pytest.raises(UnreadableError, match="MemoryError"):
        open_image(encode(COLOUR))


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
def test_checking_refuses_what_opening_refuses(reading: Reading) -> None:
    """Damaged files of many forms; the JPEGs are checked at an eighth of their size."""
    big = np.random.default_rng(3).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    files = [
        encode(big, "JPEG"), encode(big, "JPEG", progressive=True), encode(big, "JPEG", restart_marker_blocks=9),
        *SAME_GREY.values(), *SAME_COLOUR.values(), DDS,
    ]  # fmt: skip
    rng = np.random.default_rng(4)
    outcomes = []
    for data in files:
        for number in range(25):
            broken = bytearray(data)
            if number % 3:
                for place in rng.integers(0, len(data), 1 + number % 4):
                    broken[place] ^= 1 << int(rng.integers(0, 8))
            else:
                del broken[int(rng.integers(1, len(data))) :]
            said = []
            for read in (check_image, open_image):
                try:
                    read(bytes(broken), reading)
                except UnreadableError as error:
                    said.append(str(error))
                else:
                    said.append("")
            assert bool(said[0]) == bool(said[1]), said
            outcomes.append(bool(said[0]))
    assert 0.2 < np.mean(outcomes) < 0.9


PEAK = """
import resource, sys
import numpy as np
from PIL import Image
from gelo.models.backbones.transforms import Transform
from gelo.tasks.data.pixels import open_image
from tests.tasks.pictures import encode
files = {files}
transform = Transform(size=224)
transform.to_uint8(open_image(encode(np.zeros((300, 300, 3), np.uint8))))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in files:
    for reading in ("faithful", "open_clip"):
        assert transform.to_uint8(open_image(data, reading)).shape == (224, 224, 3)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "most"),
    [
        ("[encode(Image.new(mode, size)) for size in ((1, 60_000), (60_000, 1)) for mode in ('RGB', 'P', 'LA')]", 40),
        ("[encode(Image.new('RGB', (2_500, 2_500))) for _ in range(12)]", 100),  # 300 MB if all were held
    ],
)
def test_memory_is_that_of_one_image(files: str, most: float) -> None:
    """Peak MB beyond that of a small image."""
    assert float(printed_by(PEAK.format(files=files))) < most


def test_an_interrupt_is_no_damaged_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 makes a RuntimeError of one that comes while a class is built, as when Pillow loads a plugin."""

    class Interrupting:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def load(*args: Any, **options: Any) -> None:
        type("Plugin", (), {"size": Interrupting()})

    monkeypatch.setattr("PIL.Image.open", load)
    for look in (open_image, check_image):
        with pytest.raises(KeyboardInterrupt):
            look(b"\x89PNG")
