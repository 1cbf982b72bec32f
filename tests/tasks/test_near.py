"""Images that look alike: the hash against its definition written out, the search against a loop, pictures as people change them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from gelo.tasks.data import contents
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.near import DISTANCE, look_of, nearest
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import Understood
from gelo.tasks.data.write import write_dataset


def picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Blobs of all sizes, as a photograph has them: coarse noise enlarged, several times over."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC), float)
        for n in (3, 6, 12, 24)
    ]  # fmt: skip
    weighed = sum(weight * layer for weight, layer in zip((0.4, 0.3, 0.2, 0.1), layers, strict=True))
    return Image.fromarray(np.clip(weighed, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_definition(image: Image.Image) -> list[bool]:
    """imagehash.phash(image).hash, row by row: sums of cosines as the definition of the DCT-II has them."""
    pixels = image.convert("L").resize((32, 32), Image.Resampling.LANCZOS).tobytes()
    grey = [[pixels[32 * y + x] for x in range(32)] for y in range(32)]
    wave = [[math.cos(math.pi * k * (2 * n + 1) / 64) for n in range(32)] for k in range(8)]
    low = [
        4 * sum(grey[y][x] * wave[v][y] * wave[u][x] for y in range(32) for x in range(32))
        for v in range(8)
        for u in range(8)
    ]
    middle = sorted(low)
    median = (middle[31] + middle[32]) / 2
    return [value > median for value in low]


@pytest.mark.parametrize("seed", range(3))
def test_the_hash_is_that_of_its_definition(seed: int) -> None:
    look = look_of(picture(seed))
    assert look is not None
    assert [bool(look >> (63 - bit) & 1) for bit in range(64)] == by_definition(picture(seed))


def test_plain_images_have_no_hash() -> None:
    half = Image.new("RGB", (64, 64), (200, 0, 0))
    half.paste((0, 0, 90), (32, 0, 64, 64))
    for image in (Image.new("RGB", (64, 64), (220, 30, 30)), Image.new("L", (9, 9), 0), half):
        assert look_of(image) is None


def test_a_picture_is_known_again_and_others_are_not() -> None:
    for seed in range(8):
        image = picture(seed)
        changed = [
            Image.open(io.BytesIO(encoded(image, "JPEG", quality=60))),
            image.resize((80, 60), Image.Resampling.BICUBIC),
            ImageEnhance.Brightness(image).enhance(0.9),
            image.convert("L"),
        ]
        looks = np.array([look_of(each) for each in [image, *changed]], np.uint64)
        assert np.bitwise_count(looks ^ looks[0]).max() <= DISTANCE
    others = np.array([look_of(picture(seed)) for seed in range(60)], np.uint64)
    apart = np.bitwise_count(others[:, None] ^ others[None, :])[~np.eye(60, dtype=bool)]
    assert apart.min() > DISTANCE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.lists(st.integers(0, 2**64 - 1), max_size=12), st.data())
def test_the_search_finds_what_a_loop_finds(first: list[int], second: list[int], data: st.DataObject) -> None:
    for hash_ in list(first):  # neighbours, at and just above the distance
        bits = data.draw(st.sets(st.integers(0, 63), max_size=DISTANCE + 1))
        second.append(hash_ ^ sum(1 << bit for bit in bits))
    found = nearest(np.array(first, np.uint64), np.array(second, np.uint64))
    for hash_, place in zip(first, found, strict=True):
        if place < 0:
            assert all((hash_ ^ other).bit_count() > DISTANCE for other in second)
        else:
            assert (hash_ ^ second[place]).bit_count() <= DISTANCE


def test_the_search_holds_little_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2**64, 300, dtype=np.uint64) & np.uint64(0xFFFF) for _ in range(2))
    whole = nearest(first, second)
    monkeypatch.setattr("gelo.tasks.data.near._AT_ONCE", 100)
    assert ((nearest(first, second) < 0) == (whole < 0)).all()


def prepared(root: Path, near: bool) -> Dataset:
    test = [encoded(picture(seed)) for seed in range(6)] + [encoded(Image.new("RGB", (40, 40), (9, 9, 200)))]
    train = [encoded(picture(seed), "JPEG", quality=70) for seed in (2, 4, 20, 21)] + [test[0], test[-1]]
    splits = {"train": train, "test": test}
    return write_dataset(
        root, name=root.name, version="1", scale="full", classes=("a",), source="a test", licence="none", near=near,
        splits={s: [Record(f"{s}/{row}", image, 0) for row, image in enumerate(images)] for s, images in splits.items()},
        understood=lambda: Understood(reader="test", root=str(root), notes=("a note",)),
    )  # fmt: skip


def test_near_duplicates_are_told_beside_the_exact_ones(tmp_path: Path) -> None:
    understood = prepared(tmp_path / "mine", near=True).card.understood
    assert understood is not None
    exact, near = (leak for leak in understood.leaks if leak.other != leak.split)
    assert (exact.kind, exact.count, exact.first) == ("exact", 2, ("test/0 = train/4", "test/6 = train/5"))
    assert (near.kind, near.count, near.of, near.first) == ("near", 2, 7, ("test/2 = train/0", "test/4 = train/1"))
    assert understood.notes[0] == "a note"
    assert understood.notes[1].endswith("at most 4 of 64 bits apart; 2 of 13 images too plain to compare")


def test_nobody_asked(tmp_path: Path) -> None:
    one, two = prepared(tmp_path / "one", near=False), prepared(tmp_path / "two", near=True)
    assert one.card.understood is not None
    assert {leak.kind for leak in one.card.understood.leaks} == {"exact"}
    assert one.card.understood.notes == ("a note",)
    assert contents.alike(one, "test", two, "train") is None
    other = prepared(tmp_path / "other", near=True)
    leak = contents.alike(two, "test", other, "train")
    assert leak is not None
    assert (leak.split, leak.other, leak.count) == ("two/test", "other/train", 2)
