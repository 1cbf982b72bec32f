"""Which column is the image and which the label: told by features or by the only name that fits, else asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gelo.tasks.prepare.hub.reader import hub
from tests.tasks.prepare.hub_trees import CELL, described, features, parquet, rows
from tests.tasks.prepare.same_pictures import CLASSES, meant, samples
from tests.tasks.prepare.same_pictures import read as read_with

TEST = samples(0, 8)
MEANT = {"test": dict(TEST)}
CELLS = pa.array([{"bytes": data, "path": None} for data, _ in TEST], CELL)
NAMES = pa.array([name for _, name in TEST])
NUMBERS = pa.array([CLASSES.index(name) for _, name in TEST])
COARSE = {"names": ["warm", "cold"], "_type": "ClassLabel"}


def read(root: Path, table: pa.Table | None = None, **asked: Any) -> tuple[Any, str]:
    if table is not None:
        parquet(root / "test.parquet", table)
    return read_with(hub, root, **asked)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("img", "label"),
        ("jpg", "cls"),
        ("image", "category"),
        ("png", "fine_label"),
        ("Image", "Label"),
        ("webp", "target"),
        ("scan", "class"),
    ],
)
def test_columns_are_found_by_their_features_whatever_they_are_called(image: str, label: str, tmp_path: Path) -> None:
    layout, faults = read(tmp_path, rows(TEST, image=image, label=label))
    assert faults == ""
    assert layout.used == {"image": image, "label": label}
    assert meant(layout) == MEANT
    bare = pa.table({image: CELLS, label: NAMES, "__key__": NAMES, "width": NUMBERS})
    assert meant(read(tmp_path, bare)[0]) == MEANT, "by type and name"


def test_columns_that_nothing_tells_are_asked_for(tmp_path: Path) -> None:
    layout, faults = read(tmp_path, described(pa.table({"a": CELLS, "b": NUMBERS}), {"b": features(CLASSES)["label"]}))
    assert faults == "", "the only struct of bytes and path, the only ClassLabel"
    assert layout.used == {"image": "a", "label": "b"}
    _, faults = read(tmp_path, pa.table({"images": [data for data, _ in TEST], "sort": NAMES}))
    assert (
        "no column that is called or described as the image; expected one of images (binary), sort (string); nearest: images"
        in faults
    )
    assert "no column that is called or described as the label" in faults
    assert meant(read(tmp_path, image="images", label="sort")[0]) == MEANT
    _, faults = read(tmp_path, image="imges", label="lable")
    assert "--image: unknown column 'imges'" in faults
    assert "--label: unknown column 'lable'" in faults
    assert "as image and as label" in read(tmp_path, image="sort", label="sort")[1]


def test_several_columns_that_fit_are_listed_with_what_they_are(tmp_path: Path) -> None:
    both = {**features(CLASSES, "img", "fine_label"), "coarse_label": COARSE}
    table = described(
        pa.table({"img": CELLS, "fine_label": NUMBERS, "coarse_label": pa.array([n % 2 for n in range(8)])}), both
    )
    layout, faults = read(tmp_path, table)
    assert not any(layout.splits.values())
    assert (
        "2 columns could each be the label: fine_label (ClassLabel of 4 names), coarse_label (ClassLabel of 2 names)"
        in faults
    )
    assert "choose: --label fine_label" in faults
    assert meant(read(tmp_path, label="fine_label")[0]) == MEANT
    assert read(tmp_path, label="coarse_label")[0].classes == ("warm", "cold")
    two = pa.table({"image": CELLS, "label": NUMBERS, "mask": CELLS})
    two = described(two, {**features(CLASSES), "mask": {"_type": "Image"}})
    assert "2 columns could each be the image: image (Image), mask (Image)" in read(tmp_path, two)[1]
    assert meant(read(tmp_path, image="image")[0]) == MEANT
    named = pa.table({"image": CELLS, "label": NUMBERS, "class_name": NAMES})
    assert "label (int64), class_name (string)" in read(tmp_path, named)[1]
    assert meant(read(tmp_path, label="class_name")[0]) == MEANT


def test_features_of_dataset_info_count_where_the_file_has_none(tmp_path: Path) -> None:
    table = pa.table({"a": [data for data, _ in TEST], "b": NUMBERS})
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": features(CLASSES, "a", "b")}))
    layout, faults = read(tmp_path, table)
    assert faults == ""
    assert meant(layout) == MEANT
    assert layout.evidence == "dataset_info.json: ClassLabel of b"
    (tmp_path / "dataset_info.json").unlink()
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"default": {"features": features(CLASSES, "a", "b")}}))
    assert meant(read(tmp_path)[0]) == MEANT


def test_every_file_has_the_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet", rows(samples(50, 4), label="lbl"))
    _, faults = read(tmp_path, rows(TEST))
    assert "1 files that do not have one column 'lbl', as train.parquet has: 'test.parquet'" in faults
    (tmp_path / "train.parquet").unlink()
    twice = pa.Table.from_arrays([CELLS, NUMBERS, NUMBERS], names=["image", "label", "label"])
    assert "do not have one column 'label'" in read(tmp_path, twice)[1]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (pa.array([1.5] * 8), "column 'image': of type double"),
        (pa.array([[[0.5]]] * 8), "column 'image': arrays of double in 2 dimensions"),
        (pa.array([[1, 2]] * 8, pa.list_(pa.uint8())), "arrays of uint8 in 1 dimensions"),
        (pa.array([{"url": "x"}] * 8), "column 'image': of type struct"),
    ],
)
def test_images_of_other_types_are_refused_by_their_type(cells: pa.Array, words: str, tmp_path: Path) -> None:
    assert words in read(tmp_path, pa.table({"image": cells, "label": NAMES}))[1]


def test_a_column_without_a_name_is_none(tmp_path: Path) -> None:
    parquet(tmp_path / "test.parquet", rows(samples(0, 4)).rename_columns(["", "label"]))
    assert "no column that is called or described as the image" in read_with(hub, tmp_path)[1]
