"""A new user's own images: prepared and scored in two commands, mistakes answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import Gelo

pytestmark = pytest.mark.slow


def pictures(root: Path) -> None:
    for split, first in (("train", 0), ("test", 100)):
        for k, (name, colour) in enumerate((("red things", 0), ("blue things", 2))):
            for n in range(8):
                rng = np.random.default_rng(first + 10 * k + n)
                pixels = rng.integers(0, 60, (80, 100, 3), dtype=np.uint8)
                pixels[..., colour] = 220
                path = root / split / name / f"{n}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def test_a_folder_of_images_is_prepared_scored_and_cached(gelo: Gelo, tmp_path: Path) -> None:
    pictures(tmp_path / "my photos")
    said = gelo("prepare", "mine", "--from", "my photos", "--reader", "folder")
    assert said.code == 0
    assert "mine prepared: 16 test, 16 train, 2 classes" in said.text
    assert "was there already" in gelo("prepare", "mine", "--from", "my photos", "--reader", "folder").text
    listed = gelo("prepare", "--list").text
    assert "food101" in listed
    assert "mine" in listed
    scored = gelo("evaluate", "mini-s", "--dataset", "mine", "--suite", "general", "--json")
    assert scored.code == 0
    values = {name: value for result in json.loads(scored.out) for name, value in result["values"].items()}
    assert values["probe/mine/top1"] == 1.0
    assert values["zero_shot/mine/top1"] >= 0.75, "mini-s knows its colours"
    listed = gelo("cache").text
    for kind in ("decoded", "embeddings"):
        assert any(kind in line and "mine" in line for line in listed.splitlines())
    assert "4 entries removed" in gelo("cache", "--limit", "0").text
    assert "mine" not in gelo("cache").text


def test_mistakes_are_answered_at_once(gelo: Gelo) -> None:
    gelo("prepare").refused("NAME", "--from")
    gelo("prepare", "fodd101", "--from", "nowhere").refused("2 faults", "nearest: food101", "no such folder")
    gelo("evaluate", "mini-s", "--dataset", "mien").refused("unknown data set 'mien'")
    gelo("evaluate", "mini-s", "--dataset", "faces", "--suite", "general").refused(
        "sets that zero_shot, probe can score"
    )
