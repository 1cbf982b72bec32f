"""What `gelo show` says of a data set: what `prepare` said, of older cards what they can say, and the same for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from gelo.models.faults import UserError
from gelo.sweeps.terminal.dataset import about, as_json, sentences
from gelo.sweeps.terminal.preparation import prepare_one, show_one
from gelo.tasks.data.manifest import CARD, open_dataset
from gelo.tasks.prepare.prepare import Wanted
from tests.tasks.prepare.plain import tree


@pytest.fixture
def own(tmp_path: Path) -> Path:
    tree(tmp_path / "photos", {"Training": 3, "held_out": 2})
    (tmp_path / "photos" / "held_out").rename(tmp_path / "photos" / "testing")
    (tmp_path / "photos" / "__MACOSX").mkdir()
    (tmp_path / "photos" / "testing" / "notes.txt").write_text("by hand")
    return tmp_path


def prepared(root: Path, **how: object) -> list[str]:
    console = Console(width=300)
    with console.capture() as shown:
        prepare_one(
            Wanted("mine", root / "photos", "folder", **how),
            root / "data",
            console,
            replace=True,
            dry_run=False,
            preview=False,
        )  # type: ignore[arg-type]
    return shown.get().splitlines()


def shown(root: Path, name: str = "mine", **how: bool) -> str:
    console = Console(width=300)
    with console.capture() as text:
        show_one(
            name,
            root / "data",
            console,
            near=how.get("near", False),
            preview=how.get("preview", False),
            as_json=how.get("json", False),
        )
    return text.get()


def test_show_says_what_prepare_said(own: Path) -> None:
    lines = prepared(own)
    assert shown(own).splitlines()[1:] == lines[1:]
    text = "\n".join(lines)
    for part in (
        "test: 12 images, 6 classes (in the source: testing)", "train: 18 images, 6 classes (in the source: Training)",
        "classes by names of the class folders", "0: a photo of a black.", "left out, no image by its content: 1 file: testing/notes.txt",
        "__MACOSX", "pixels: faithful",
    ):  # fmt: skip
        assert part in text


def test_json_has_all_that_the_lines_say(own: Path) -> None:
    prepared(own)
    found = json.loads(shown(own, json=True))
    assert found["images"] == {"test": 12, "train": 18}
    assert found["classes"] == ["black", "blue", "green", "red", "white", "yellow"]
    assert found["prompts"] == {"classes": found["classes"], "templates": ["a photo of a {}."]}
    assert found["understood"]["splits"] == {"test": ["testing"], "train": ["Training"]}
    assert found["leaks"] == [] and found["leaks_checked"] and not found["partial"]


def test_a_card_of_an_older_gelo_says_what_it_can(own: Path) -> None:
    prepared(own)
    path = own / "data" / "mine" / CARD
    card = json.loads(path.read_text())
    for key in ("understood", "reading"):
        card.pop(key)
    card["tables"].pop("contents")
    path.write_text(json.dumps(card))
    text = shown(own)
    assert "test: 12 images, 6 classes" in text and "pixels: open_clip" in text
    assert "leaks not checked: prepared by an older gelo" in text
    assert "leaks not checked" in shown(own, near=True)
    assert as_json(about(open_dataset(own / "data" / "mine")))["leaks_checked"] is False


def test_near_duplicates_are_looked_for_when_asked(own: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (8, 8)), np.ones((16, 16))).astype(np.uint8)
    for split, quality in (("Training", 95), ("testing", 60)):
        Image.fromarray(smooth).convert("RGB").save(own / "photos" / split / "red" / "same.jpg", quality=quality)
    prepared(own)
    assert "nearly the same" not in shown(own)
    text = shown(own, near=True)
    assert (
        "1 of 13 images of test stands in train too, nearly the same to the eye: testing/red/same.jpg = Training/red/same.jpg"
        in text
    )
    assert "perceptual hashes at most 4 of 64 bits apart" in text


def test_the_contact_sheet_is_made_again_when_asked(own: Path) -> None:
    prepared(own)
    sheet = own / "data" / "mine" / "preview.html"
    assert not sheet.exists()
    assert "look at it" in shown(own, preview=True) and sheet.exists()
    sheet.unlink()
    assert json.loads(shown(own, preview=True, json=True))["preview"] == str(sheet) and sheet.exists()


@pytest.mark.slow
def test_a_set_that_gelo_draws_is_made_and_says_that_it_is_a_miniature(own: Path) -> None:
    assert "MINIATURE: generated toy data" in shown(own, "shapes")


@pytest.mark.parametrize(
    ("name", "remedy"), [("food101", "gelo prepare food101 --from DIR"), ("mein", "nearest: mine")]
)
def test_a_set_that_is_not_there_says_how_to_get_it(own: Path, name: str, remedy: str) -> None:
    prepared(own)
    with pytest.raises(UserError, match=remedy):
        shown(own, name)


def test_what_gives_pause_comes_last(own: Path) -> None:
    (own / "photos" / "testing" / "red" / "again.png").write_bytes(
        (own / "photos" / "Training" / "red" / "red0.png").read_bytes()
    )
    prepared(own)
    last = list(sentences(about(open_dataset(own / "data" / "mine"))))[-1]
    assert last[1].startswith("WARNING: 1 of 13 images of test stands in train too")
