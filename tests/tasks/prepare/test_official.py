"""Every official set, read from a miniature of its tree: ids, labels, class order, splits and pixels against torchvision's readers."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets as theirs

from gelo.models.faults import UserError
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.prepare.general.official import OFFICIAL
from gelo.tasks.prepare.names import identifiers_of, names_of, templates_of
from gelo.tasks.prepare.prepare import prepare
from tests.tasks.prepare import trees
from tests.tasks.prepare.trees import TREES

Pairs = list[tuple[NDArray[np.uint8], int]]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Dataset]:
    def make(name: str, tree: Callable[[Path], None] | None = None, **options: Any) -> Dataset:
        if not (tmp_path / name).exists():
            (tree or TREES[name])(tmp_path / name)
        return prepare(name, tmp_path / name, tmp_path / "data", allow_partial=True, replace=True, **options)[0]

    return make


def ours(dataset: Dataset, split: str) -> Pairs:
    images = [data for chunk in dataset.chunks(split) for data in read_chunk(chunk)[1]]
    return [(rgb(Image.open(io.BytesIO(data))), int(n)) for data, n in zip(images, dataset.labels(split), strict=True)]


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))


def same(mine: Pairs, other: Sequence[tuple[Image.Image, int]], *, ordered: bool = True) -> None:
    yours = [(rgb(other[n][0]), int(other[n][1])) for n in range(len(other))]
    if not ordered:
        mine, yours = ([*sorted(pairs, key=lambda p: (p[1], p[0].tobytes()))] for pairs in (mine, yours))
    assert [label for _, label in mine] == [label for _, label in yours]
    for (image, _), (expected, _) in zip(mine, yours, strict=True):
        np.testing.assert_array_equal(image, expected)


class Renumbered(Sequence[tuple[Image.Image, int]]):
    """torchvision numbers the classes that it finds; here each has the place of its name among all official ones."""

    def __init__(self, other: Any, name: str, classes: Sequence[str]) -> None:
        order = identifiers_of(name)
        self.other, self.place = other, [order.index(found) for found in classes]

    def __len__(self) -> int:
        return len(self.other)

    def __getitem__(self, row: Any) -> Any:
        image, label = self.other[row]
        return image, self.place[label]


def test_food101(made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("food101")
    assert len(dataset.card.classes) == 101
    for split in ("train", "test"):
        other = theirs.Food101(tmp_path / "food101", split)
        known = Renumbered(other, "food101", other.classes)
        assert [dataset.card.classes[label] for label in known.place] == ["apple pie", "cheese plate", "cheesecake"]
        same(
            ours(dataset, split), known, ordered=False
        )  # torchvision keeps the order of the JSON, ours is that of the labels
    assert dataset.ids("test")[0] == "images/apple_pie/110.jpg"


@pytest.mark.parametrize(("name", "reader"), [("cifar10", theirs.CIFAR10), ("cifar100", theirs.CIFAR100)])
def test_cifar(
    name: str, reader: Any, made: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made(name)
    monkeypatch.setattr(reader, "_check_integrity", lambda self: True)  # the sums of the real files
    monkeypatch.setitem(reader.meta, "md5", None)
    for split in ("train", "test"):
        other = reader(tmp_path / name, train=split == "train")
        assert [n.replace("_", " ") for n in other.classes] == list(dataset.card.classes)
        same(ours(dataset, split), other)


@pytest.mark.parametrize("tree", [trees.mnist, trees.mnist_gzipped])
def test_mnist(tree: Callable[[Path], None], made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("mnist", tree)
    trees.mnist(tmp_path / "plain")
    for split in ("train", "test"):
        same(ours(dataset, split), theirs.MNIST(tmp_path / "plain", train=split == "train"))


def test_stl10(made: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made("stl10")
    monkeypatch.setattr(theirs.STL10, "_check_integrity", lambda self: True)
    for split in ("train", "test"):
        other = theirs.STL10(tmp_path / "stl10", split)
        assert other.classes == list(dataset.card.classes)
        same(ours(dataset, split), other)


def test_sun397(made: Callable[..., Dataset], tmp_path: Path) -> None:
    """torchvision knows no split and no order: its labels by file are what ours must agree with."""
    other = theirs.SUN397(tmp_path / "sun397") if TREES["sun397"](tmp_path / "sun397") is None else None
    assert other is not None
    label = {
        path.relative_to(tmp_path / "sun397" / "SUN397").as_posix(): n
        for path, n in zip(other._image_files, other._labels, strict=True)
    }
    for partition in (None, 2):
        dataset = made("sun397", partition=partition)
        assert dataset.card.classes == ("abbey", "apartment building outdoor", "ball pit", "zoo")
        assert dataset.card.version == f"1, partition {partition or 1}"
        for split, file in (("train", "Training"), ("test", "Testing")):
            lines = (tmp_path / f"sun397/SUN397/{file}_{partition or 1:02d}.txt").read_text().split()
            assert [f"/{identity}" for identity in dataset.ids(split)] == lines
            assert [label[identity] for identity in dataset.ids(split)] == dataset.labels(split).tolist()


def test_stanford_cars(made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("stanford_cars")
    for split in ("train", "test"):
        other = theirs.StanfordCars(tmp_path / "stanford_cars", split)
        assert other.classes == list(dataset.card.classes)
        same(ours(dataset, split), other)


@pytest.mark.parametrize(
    ("name", "reader"), [("fgvc_aircraft", theirs.FGVCAircraft), ("flowers102", theirs.Flowers102)]
)
def test_sets_with_three_splits(
    name: str, reader: Any, made: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made(name)
    if name == "flowers102":
        monkeypatch.setattr(reader, "_check_integrity", lambda self: True)
    for split in ("train", "val", "test"):
        other = reader(tmp_path / name, split)
        same(ours(dataset, split), other)
        if name != "flowers102":  # there torchvision's wording differs from OpenAI's in three names
            assert other.classes == list(dataset.card.classes)


def test_dtd(made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("dtd")
    assert len(dataset.card.classes) == 47
    for split in ("train", "val", "test"):
        other = theirs.DTD(tmp_path / "dtd", split)
        known = Renumbered(other, "dtd", other.classes)
        assert [dataset.card.classes[label] for label in known.place] == other.classes
        same(ours(dataset, split), known)


def test_dtd_has_ten_partitions(made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("dtd", partition=3)
    other = theirs.DTD(tmp_path / "dtd", "test", partition=3)
    same(ours(dataset, "test"), Renumbered(other, "dtd", other.classes))
    with pytest.raises(UserError, match="1 to 10"):
        made("dtd", partition=11)


def test_gtsrb(made: Callable[..., Dataset], tmp_path: Path) -> None:
    """torchvision numbers the folders that it finds; the miniature has three of 43, so there only the order can agree."""
    dataset = made("gtsrb")
    same(ours(dataset, "test"), theirs.GTSRB(tmp_path / "gtsrb", "test"))
    other = theirs.GTSRB(tmp_path / "gtsrb", "train")
    folders = [0, 2, 14]
    expected = [(other[n][0], folders[other[n][1]]) for n in range(len(other))]
    same(ours(dataset, "train"), expected)


@pytest.mark.parametrize(("name", "reader"), [("country211", theirs.Country211), ("sst2", theirs.RenderedSST2)])
def test_image_folders(name: str, reader: Any, made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made(name)
    for split in ("train", "val", "test"):
        other = reader(tmp_path / name, "valid" if (name, split) == ("country211", "val") else split)
        same(ours(dataset, split), Renumbered(other, name, other.classes))


def test_imagenet_v2_takes_the_folders_number_for_its_label(made: Callable[..., Dataset]) -> None:
    dataset = made("imagenet_v2")
    assert dataset.labels("test").tolist() == [0, 0, 1, 1, 2, 2, 10, 10, 100, 100, 999, 999]
    for identity, label in zip(dataset.ids("test"), dataset.labels("test"), strict=True):
        assert identity.split("/")[0] == str(label)
    assert dataset.card.classes[0] == "tench"
    assert dataset.card.classes[999] == "toilet paper"


def test_imagenet_by_synset(made: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = made("imagenet")
    other = theirs.ImageFolder(tmp_path / "imagenet" / "val")
    same(ours(dataset, "test"), Renumbered(other, "imagenet", other.classes))
    assert sorted(set(dataset.labels("test"))) == [0, 1, 999]


def test_imagenet_flat_with_its_development_kit(made: Callable[..., Dataset]) -> None:
    """IDs 3, 1, 2, 2 are n15075141, n02119789, n01440764 twice: toilet paper, kit fox and tench."""
    dataset = made("imagenet", trees.imagenet_flat)
    assert [dataset.card.classes[label] for label in dataset.labels("test")] == [
        "toilet paper",
        "kit fox",
        "tench",
        "tench",
    ]
    assert dataset.ids("test")[0] == "ILSVRC2012_val_00000001.JPEG"


def test_files_keep_their_bytes(made: Callable[..., Dataset], tmp_path: Path) -> None:
    for name, base in (("food101", "food-101"), ("gtsrb", "gtsrb"), ("sst2", "rendered-sst2")):
        dataset = made(name)
        for chunk in dataset.chunks("test"):
            for identity, data in zip(*read_chunk(chunk), strict=True):
                assert data == (tmp_path / name / base / identity).read_bytes()


@pytest.mark.parametrize("name", TREES)
def test_every_set_says_what_its_labels_come_from(name: str, made: Callable[..., Dataset]) -> None:
    understood = made(name).card.understood
    assert understood is not None and understood.evidence


@pytest.mark.slow
def test_another_set_in_the_files_of_mnist_is_told_by_its_classes(tmp_path: Path) -> None:
    """Fashion-MNIST: MNIST's file names, 60,000 and 10,000 images of 28 x 28, ten classes; but as many images of each."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for stem, count in (("train", 60_000), ("t10k", 10_000)):
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + bytes(count * 784))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
    with pytest.raises(UserError) as error:
        prepare("mnist", tmp_path, tmp_path / "data")
    assert "split test, class '0': 1000 images; expected 980" in str(error.value)
    assert "split train, class '9': 6000 images; expected 5949" in str(error.value)


def test_every_set_of_the_paper_has_a_reader_a_tree_and_prompts() -> None:
    assert set(TREES) == set(OFFICIAL)
    for name, official in OFFICIAL.items():
        assert all("{}" in template for template in templates_of(name))
        if name in ("flowers102", "gtsrb", "country211", "mnist", "imagenet", "imagenet_v2"):
            assert len(names_of(name)) == official.classes


def test_names_and_templates_are_those_of_an_independent_source() -> None:
    """clip_benchmark (LAION) keeps its own copy; `make setup` installs it without what it depends on."""
    source = Path(pytest.importorskip("clip_benchmark").__file__).parent / "datasets"
    names = json.loads((source / "en_classnames.json").read_text())
    templates = json.loads((source / "en_zeroshot_classification_templates.json").read_text())
    called = {
        "stanford_cars": "cars",
        "flowers102": "flowers",
        "sst2": "renderedsst2",
        "imagenet": "imagenet1k",
        "imagenet_v2": "imagenet1k",
    }
    for name in OFFICIAL:
        other = called.get(name, name)
        assert [t.replace("{c}", "{}") for t in templates[other]] == list(templates_of(name))
        if other in names and name != "sst2":
            assert names[other] == list(names_of(name))
    assert list(open_clip.IMAGENET_CLASSNAMES) == names["imagenet1k"]
