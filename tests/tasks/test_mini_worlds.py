"""The general miniature sets: fixed pixels, balanced classes, streams of their own, captions that say what is drawn."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gelo.models.durable import publish_bytes
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.mini import pool, vocabulary
from gelo.tasks.mini.general import BUILDERS, DRAWN, TEST, TRAIN, digit_pixels, digit_split, pixels
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.worlds import SHIFTED, WORLDS
from gelo.tasks.mini.worlds.canvas import cosine, encode, generator, sine

pytestmark = pytest.mark.slow

# First 16 hex digits of the SHA-256 over the decoded pixels of test images 0 to 11.
GOLDEN: dict[str, str] = {
    "shapes": "cf9c29e142ced42d",
    "textures": "2cd50964560025bc",
    "colours": "e664f27c41a8d79a",
    "counts": "2026df3823b87d97",
    "signs": "bc3a1cbb9592f556",
    "scripts": "c78ea3f09c395f3c",
    "scenes": "40635ed1bfad6588",
    "flags": "d38c837488ec8680",
    "shapes_shifted": "1039fc9b3a812dc4",
    "pretrain": "3b242d45696da7b3",
    "digits": "7045fc9fdbccd3e0",
}


def _digest(name: str) -> str:
    images = [pixels(name, "test", index)[0] for index in range(12)]
    return hashlib.sha256(np.stack(images).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", [*DRAWN, "shapes_shifted"])
def test_pixels_are_the_same_everywhere(name: str) -> None:
    assert _digest(name) == GOLDEN[name]


def test_pretraining_and_digit_pixels_are_the_same_everywhere() -> None:
    drawn = np.stack([pool.draw(index)[0] for index in range(24)])
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == GOLDEN["pretrain"]
    real = np.stack([digit_pixels(int(row))[0] for row in digit_split()["test"][:12]])
    assert hashlib.sha256(real.tobytes()).hexdigest()[:16] == GOLDEN["digits"]


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_sets_are_balanced_whole_and_reproducible(name: str, tmp_path: Path) -> None:
    dataset = BUILDERS[name](tmp_path / name)
    wanted = {"test": TEST} if name == "shapes_shifted" else {"train": TRAIN, "test": TEST}
    assert dataset.card.counts() == wanted
    assert dataset.card.classes == PROMPTS[name].classes
    assert 8 <= len(dataset.card.classes) <= 12
    for split in wanted:
        counts = np.bincount(dataset.labels(split), minlength=len(dataset.card.classes))
        assert counts.max() - counts.min() <= 1
        ids, images = read_chunk(dataset.chunks(split)[0])
        assert len(ids) == len(set(ids))
        picture = Image.open(io.BytesIO(images[0]))
        assert picture.format == "PNG" and picture.mode == "RGB" and picture.size == (64, 64)
    assert BUILDERS[name](tmp_path / "again" / name).fingerprint == dataset.fingerprint


def test_no_image_is_in_two_splits_or_in_the_pretraining() -> None:
    seen: dict[str, str] = {}
    for name in (*DRAWN, "shapes_shifted"):
        for split in ("train", "test", "watch"):
            for index in range(40):
                key = hashlib.sha256(pixels(name, split, index)[0].tobytes()).hexdigest()
                assert seen.setdefault(key, f"{name} {split}") == f"{name} {split}"
    drawn = {hashlib.sha256(pool.draw(index)[0].tobytes()).hexdigest() for index in range(200)}
    assert not drawn & seen.keys()
    rows = digit_split()
    assert not set(rows["train"]) & set(rows["test"])


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    for row in digit_split()["test"][:20]:
        image, label = digit_pixels(int(row))
        assert label == data.target[row]
        small = np.asarray(Image.fromarray(image).convert("L").resize((8, 8), Image.Resampling.BOX), dtype=float)
        assert np.corrcoef(small.ravel(), data.images[row].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("world", [*WORLDS.values(), SHIFTED], ids=[*WORLDS, "shapes_shifted"])
def test_every_class_draws_and_every_caption_fits(world: object) -> None:
    assert world is SHIFTED or world in WORLDS.values()
    from gelo.tasks.mini.worlds import World

    assert isinstance(world, World)
    for label, name in enumerate(world.classes):
        for wide in (False, True):
            drawing = world.draw(generator("fits", label, str(wide)), label, wide)
            assert drawing.image.shape == (64, 64, 3) and drawing.image.dtype == np.float64
            assert drawing.image.min() >= 0.0 and drawing.image.max() <= 1.0
            assert drawing.image.std() > 0.005
        for template in world.captions:
            text = template.format(name, **drawing.words)
            assert "{" not in text and (name in text or "{}" not in template)


def test_sine_agrees_with_the_library() -> None:
    x = np.linspace(-20, 20, 999)
    np.testing.assert_allclose(sine(x), np.sin(x), atol=1e-6)
    assert float(cosine(math.pi)) == pytest.approx(-1.0, abs=1e-6)


def test_png_keeps_the_pixels() -> None:
    image, _ = pixels("flags", "test", 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(image)))), image)


def test_prompts_cover_every_miniature_set() -> None:
    assert PROMPTS.keys() == BUILDERS.keys() | {"morphs", "spoofs"}
    for name in ("morphs", "spoofs"):
        assert len(PROMPTS[name].classes) == 2 and "genuine" in PROMPTS[name].classes[1]  # label 1 = bona fide


def test_merge_list_is_learnt_from_the_captions(tmp_path: Path) -> None:
    publish_bytes(tmp_path / "older", b"x")
    vocabulary.write(tmp_path / "merges.txt.gz")
    assert (tmp_path / "merges.txt.gz").read_bytes() == vocabulary.MERGES.read_bytes()
    # "ab" occurs most often, then "ab" + "c"
    assert vocabulary.learn(["abc abc abd"], 2) == [("a", "b"), ("ab", "c</w>")]


def test_bare_captions_name_every_class_once() -> None:
    texts, starts = pool.bare_captions(generator("bare"))
    assert len(texts) == sum(len(world.classes) for world in WORLDS.values())
    for start, world in zip(starts, WORLDS.values(), strict=True):
        assert all(name in texts[start + k] for k, name in enumerate(world.classes))
