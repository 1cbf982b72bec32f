"""preview.html read back as a browser reads it: every class with its label, prompt and pictures; nothing fetched, nothing run."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.preview import CLASSES, EACH, write_preview
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset


class Page(HTMLParser):
    """Text and pictures by class card, and every tag that there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cards: list[str] = []
        self.sources: list[list[str]] = []
        self.text = ""
        self.attributes: list[tuple[str, str]] = []
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._style = tag == "style"
        given = {name: value or "" for name, value in attrs}
        self.attributes += list(given.items())
        if tag == "section":
            self.cards.append("")
            self.sources.append([])
        if tag == "img":
            self.sources[-1].append(given["src"])

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if self._style:
            return
        self.text += data
        if self.cards:
            self.cards[-1] += " ".join(data.split()) + " "


def encoded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def plain(value: int) -> bytes:
    return encoded(np.full((30, 60, 3), value, np.uint8))


def made(root: Path, classes: tuple[str, ...], splits: dict[str, list[Record]], **said: Any) -> Dataset:
    return write_dataset(
        root / "mine", name="mine", version="1", scale="full", classes=classes, splits=splits, source="a test", licence="none", **said,
    )  # fmt: skip


def page(dataset: Dataset) -> Page:
    return Page(write_preview(dataset).read_text())


def test_each_class_has_its_label_its_prompt_and_pictures_of_each_split_in_turn(tmp_path: Path) -> None:
    splits = {
        split: [Record(f"{split}/{label}/{n}", plain(50 * label + n), label) for label in (0, 2) for n in range(6)]
        for split in ("train", "test")
    }
    asked = Prompts(("fox", "bird", "tomcat"), ("a sketch of a {}.", "another {}"))
    shown = page(made(tmp_path, ("red fox", "owl", "cat"), splits, prompts=asked))
    assert len(shown.cards) == 2, "classes without an image are not shown"
    assert "0 red fox a sketch of a fox." in " ".join(shown.cards[0].split())
    assert "2 cat a sketch of a tomcat." in " ".join(shown.cards[1].split())
    assert [shown.cards[1].count(f"{split}/2/{n}") for n in (0, 1, 2) for split in ("test", "train")] == [
        1,
        1,
        1,
        1,
        0,
        0,
    ]
    for place, label in enumerate((0, 2)):
        pixels = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
            for source in shown.sources[place]
        ]
        assert [abs(int(each.mean()) - 50 * label) <= 3 for each in pixels] == [True] * EACH


def test_of_many_classes_an_even_choice_with_the_first_and_the_last(tmp_path: Path) -> None:
    names = tuple(f"class {n:04d}" for n in range(1000))
    dataset = made(tmp_path, names, {"test": [Record(f"{n}", plain(n % 256), n) for n in range(1000)]})
    shown = page(dataset)
    assert len(shown.cards) == CLASSES
    assert "class 0000" in shown.cards[0] and "class 0999" in shown.cards[-1]
    assert f"{CLASSES} of 1,000 classes" in " ".join(shown.text.split())
    assert (dataset.root / "preview.html").stat().st_size < 2_000_000


def test_names_of_classes_and_files_are_text_whatever_they_hold(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", "a & b \"c\" 'd'", "{{ 7 * 7 }}")
    records = [Record(f"<img src=x onerror=alert({n})>", plain(n), n) for n in range(3)]
    shown = page(made(tmp_path, names, {"test": records}))
    assert "script" not in shown.tags and not any(name.startswith("on") for name, _ in shown.attributes)
    for name, record, card in zip(names, records, shown.cards, strict=True):
        assert name in card and record.id in card


def test_deep_images_are_shown_as_the_reading_rule_reads_them(tmp_path: Path) -> None:
    deep = [encoded(np.full((20, 20), value, np.uint16)) for value in (0, 257 * 128, 65_535)]
    shown = page(made(tmp_path, ("a",), {"test": [Record(str(n), data, 0) for n, data in enumerate(deep)]}))
    grey = [
        int(np.asarray(Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2])))).mean()) for s in shown.sources[0]
    ]
    assert grey == pytest.approx([0, 128, 255], abs=1)


def test_an_image_that_cannot_be_decoded_has_its_place_with_the_reason(tmp_path: Path) -> None:
    shown = page(made(tmp_path, ("a",), {"test": [Record("torn", plain(9)[:40], 0), Record("whole", plain(9), 0)]}))
    assert len(shown.sources[0]) == 1
    assert "torn" in shown.cards[0] and "unreadable image" in shown.cards[0]


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    shown = page(made(tmp_path, ("a", "b"), {"test": [Record(str(n), plain(n), n) for n in range(2)]}))
    assert not shown.tags & {"script", "link", "iframe", "object", "embed"}
    links = [value for name, value in shown.attributes if name in ("src", "href", "srcset", "style")]
    assert all(value.startswith("data:image/jpeg;base64,") for value in links)
    text = (tmp_path / "mine" / "preview.html").read_text()
    assert "http:" not in text and "https:" not in text and "url(" not in text


def test_prompts_that_no_protocol_asks_are_not_shown(tmp_path: Path) -> None:
    records = {"test": [Record(str(n), plain(n), n) for n in range(2)]}
    people = page(made(tmp_path / "people", ("Ada", "Bob"), records, protocols=("verification",)))
    assert "Ada" in people.cards[0] and "a photo of" not in people.text
    numbered = page(made(tmp_path / "numbered", ("0", "1"), records, undefined={"zero_shot": "labels without names"}))
    assert len(numbered.cards) == 2 and "a photo of" not in numbered.text


def test_a_set_without_classes_shows_images_and_no_prompt(tmp_path: Path) -> None:
    shown = page(made(tmp_path, (), {"test": [Record("0", plain(0), 0), Record("1", plain(9), 7)]}))
    assert "a photo of" not in shown.text and len(shown.cards) == 2
