"""The miniature's reference images: balanced, captioned, told apart by their prompts, and none of them in what is scored."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gelo.models.backbones.zoo import load_backbone
from gelo.tasks.data.catalogue import ENTRIES, datasets_for
from gelo.tasks.data.contents import shared
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.data.near import looks_of, nearest
from gelo.tasks.mini.reference import AGAIN, CLASSES, DRAWN, EACH, NAMED, record
from gelo.tasks.mini.worlds import WORLDS
from gelo.tasks.protocols import asked
from gelo.tasks.training.source import SplitSource

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference(small_world: Path) -> Dataset:
    return open_dataset(small_world / "data" / "reference")


def test_it_holds_every_skill_but_faces_in_equal_parts_with_captions(reference: Dataset) -> None:
    assert reference.card.counts() == {"train": 1760, "val": 440}
    assert NAMED.keys() == WORLDS.keys() - {"people"} and len(set(CLASSES)) == len(CLASSES) == 88
    for split, each in EACH.items():
        assert (np.bincount(reference.labels(split)) == each).all()
        captions = reference.column(split, "caption")
        for label, caption in zip(reference.labels(split)[:176], captions, strict=False):
            world = WORLDS[DRAWN[label][0]]
            assert any(_fits(caption, template, world.classes[DRAWN[label][1]]) for template in world.captions), caption


def _fits(caption: str, template: str, name: str) -> bool:
    """Whether a caption is a template with the class in it, whatever its other words are."""
    left = template.replace("{}", name)
    pieces = [piece for part in left.split("{") for piece in [part.rpartition("}")[2]]]
    return caption.startswith(pieces[0]) and all(piece in caption for piece in pieces)


def test_its_pixels_are_the_same_everywhere() -> None:
    drawn = [np.asarray(Image.open(io.BytesIO(record("train", index).image))) for index in range(0, 1760, 97)]
    assert hashlib.sha256(np.stack(drawn).tobytes()).hexdigest()[:16] == "0a34d2874eccbaab"


@pytest.mark.parametrize("name", ["mini-s", "mini-l"])
def test_the_prompts_of_its_classes_tell_its_images_apart(name: str, reference: Dataset, tmp_path: Path) -> None:
    base = load_backbone(name)
    source = SplitSource(reference, "val", base.transform, tmp_path)
    text = source.classifier(base)
    assert text.shape == (base.dim, 88)
    features = base.encode_images(source.take(np.arange(440)))
    assert ((features @ text.numpy()).argmax(1) == source.labels).mean() > 0.9


def test_no_suite_scores_it() -> None:
    assert all("reference" not in [e.name for e in datasets_for("miniature", suite)] for suite in asked())


def test_none_of_its_images_is_in_a_data_set_that_is_scored(reference: Dataset, small_world: Path) -> None:
    for name, entry in ENTRIES.items():
        if entry.scale != "miniature" or entry.beside or name == "reference":
            continue
        other = open_dataset(small_world / "data" / name)
        for split in other.card.splits:
            assert not any(shared(reference, own, other, split) for own in EACH), (name, split)


def test_none_of_its_images_looks_like_a_general_test_image(reference: Dataset, small_world: Path) -> None:
    """As tasks/data/near.py has it; the draws that did were drawn anew. Faces look like none of them."""
    own = {split: _looks(reference, split) for split in EACH}
    for name in (*(name for name in NAMED if name != "numerals"), "shapes_shifted", "digits"):
        other = _looks(open_dataset(small_world / "data" / name), "test")
        for split, looks in own.items():
            assert (nearest(looks, other) < 0).all(), (name, split)
    assert (nearest(own["val"], own["val"]) >= 0).all(), "it is found where it is"
    assert {split: max(rows) < EACH[split] * 88 for split, rows in AGAIN.items()} == {"train": True, "val": True}


def _looks(dataset: Dataset, split: str) -> np.ndarray:
    return np.array([look for look in looks_of(dataset, split) if look is not None], np.uint64)
