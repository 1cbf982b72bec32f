"""Labels of several files: the same picture has the same class name however the files number their classes, or nothing is read."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gelo.tasks.prepare.hub.reader import hub
from gelo.tasks.prepare.layout import Layout
from tests.tasks.prepare.hub_trees import CELL, arrow, described, features, parquet, rows, save_dict
from tests.tasks.prepare.same_pictures import CLASSES, Sample, meant, samples
from tests.tasks.prepare.same_pictures import read as read_with

TRAIN, TEST = samples(0, 12), samples(100, 8)
MEANT = {"train": dict(TRAIN), "test": dict(TEST)}
BACK = CLASSES[::-1]


def read(root: Path, **asked: Any) -> tuple[Layout, str]:
    return read_with(hub, root, **asked)


def write(root: Path, train: pa.Table, test: pa.Table) -> Path:
    parquet(root / "train.parquet", train)
    parquet(root / "test.parquet", test)
    return root


def plain(samples: Sequence[Sample], labels: Sequence[Any], kind: pa.DataType | None = None) -> pa.Table:
    """Labels that nothing describes."""
    return pa.table(
        {
            "image": pa.array([{"bytes": data, "path": None} for data, _ in samples], CELL),
            "label": pa.array(labels, kind),
        }
    )


def numbers(samples: Sequence[Sample], names: Sequence[str] = CLASSES) -> list[int]:
    return [names.index(name) for _, name in samples]


def test_numbers_go_through_the_names_of_their_own_file(tmp_path: Path) -> None:
    layout, faults = read(write(tmp_path, rows(TRAIN), rows(TEST, BACK)))
    assert faults == ""
    assert meant(layout) == MEANT
    assert layout.classes == CLASSES
    assert layout.notes == (
        f"labels were matched by name: 0 is {CLASSES[0]!r} in train.parquet and {BACK[0]!r} in test.parquet",
    )
    save_dict(tmp_path / "saved", {"train": rows(TRAIN), "test": rows(TEST, BACK)})
    assert meant(read(tmp_path / "saved")[0]) == MEANT


def test_text_is_matched_with_names(tmp_path: Path) -> None:
    assert meant(read(write(tmp_path, rows(TRAIN, BACK), rows(TEST, None)))[0]) == MEANT
    decomposed = [(data, name.replace("é", "e\u0301")) for data, name in TEST]
    layout, faults = read(write(tmp_path, rows(TRAIN, None), rows(decomposed, None)))
    assert faults == ""
    assert meant(layout) == MEANT
    strange = [(data, "purple") for data, _ in TEST]
    assert (
        "8 rows of test.parquet beyond its names: 'purple'"
        in read(write(tmp_path, rows(TRAIN), rows(strange, None)))[1]
    )


@pytest.mark.parametrize("test_names", [CLASSES[:3], (*CLASSES, "purple"), ("violet", *CLASSES[1:])])
def test_files_that_list_other_names_are_refused_unless_all_are_given(
    test_names: tuple[str, ...], tmp_path: Path
) -> None:
    some = [(data, name) for data, name in TEST if name in test_names]
    write(tmp_path, rows(TRAIN), rows(some, test_names))
    strange = sorted({*test_names} ^ {*CLASSES}, key=lambda name: name not in CLASSES)[0]
    layout, faults = read(tmp_path)
    assert not any(layout.splits.values())
    assert f"{strange!r} is not in both" in faults
    assert "--classes FILE" in faults
    everything = (*BACK, "purple", "violet")
    layout, faults = read(tmp_path, classes=everything)
    assert faults == ""
    assert layout.classes == everything
    assert meant(layout) == {"train": MEANT["train"], "test": dict(some)}


def test_numbers_without_names(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", plain(TRAIN, numbers(TRAIN)), plain(TEST, numbers(TEST)))
    layout, faults = read(bare)
    assert faults == ""
    assert layout.unnamed
    assert meant(read(bare, classes=CLASSES)[0]) == MEANT
    assert meant(read(bare, classes={str(n): name for n, name in enumerate(CLASSES)})[0]) == MEANT
    beside = write(tmp_path / "beside", rows(TRAIN), plain(TEST, numbers(TEST)))
    assert "'test.parquet': numbers that nothing names, beside the ClassLabel of train.parquet" in read(beside)[1]
    assert meant(read(beside, classes=CLASSES)[0]) == MEANT
    mixed = write(tmp_path / "mixed", rows(TRAIN, None), plain(TEST, numbers(TEST)))
    assert "labels are numbers in 'test.parquet' and names in 'train.parquet'" in read(mixed)[1]


def test_names_that_are_their_own_numbers_are_no_names(tmp_path: Path) -> None:
    """ClassLabel(num_classes=4) calls its classes 0 to 3."""
    own = tuple(map(str, range(4)))
    listed = [(data, str(CLASSES.index(name))) for data, name in TEST]
    write(tmp_path, rows([(data, str(CLASSES.index(name))) for data, name in TRAIN], own), rows(listed, own))
    layout, faults = read(tmp_path)
    assert faults == ""
    assert "--classes" in layout.unnamed
    layout, faults = read(tmp_path, classes=CLASSES)
    assert not layout.unnamed
    assert meant(layout) == MEANT


def test_names_given_by_the_user(tmp_path: Path) -> None:
    write(tmp_path, rows(TRAIN), rows(TEST))
    assert meant(read(tmp_path, classes=BACK)[0]) == MEANT, "by name, in the order that is asked for"
    assert read(tmp_path, classes=BACK)[0].classes == BACK
    german = ("rot", "grün", "blaue Katze", "Sommer")
    assert read(tmp_path, classes=german)[0].classes == german
    renamed = dict(zip(CLASSES, german, strict=True))
    assert read(tmp_path, classes=renamed)[0].classes == german
    assert "3 names; expected 4, as many as the ClassLabel of train.parquet" in read(tmp_path, classes=german[:3])[1]
    write(tmp_path, rows(TRAIN), rows(TEST, BACK))
    assert "--classes: names by number" in read(tmp_path, classes=german)[1], "which numbers?"


def test_a_description_that_contradicts_the_data_is_refused(tmp_path: Path) -> None:
    write(tmp_path, rows(TRAIN), rows(TEST))
    names = "".join(f"          '{n}': {name}\n" for n, name in enumerate(BACK))
    card = "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n      class_label:\n"
    card += f"        names:\n{names}---\n"
    (tmp_path / "README.md").write_text(card)
    assert f"0 is {CLASSES[0]!r} in train.parquet and {BACK[0]!r} in README.md" in read(tmp_path)[1]
    write(tmp_path, plain(TRAIN, numbers(TRAIN, BACK)), plain(TEST, numbers(TEST, BACK)))
    layout, faults = read(tmp_path)
    assert faults == ""
    assert meant(layout) == MEANT
    assert layout.evidence == "README.md: ClassLabel of label"


@pytest.mark.parametrize("word", ["no", "1", "null", "1e3"])
def test_class_names_of_readme_stay_the_words_that_they_are(word: str, tmp_path: Path) -> None:
    parquet(tmp_path / "test.parquet", plain(TEST, [n % 2 for n in range(len(TEST))]))
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n- config_name: default\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n"
        f"          '0': {word}\n          '1': yes\n---\n"
    )
    assert read(tmp_path)[0].classes == (word, "yes")


def test_hidden_and_missing_labels_are_one_line_a_split(tmp_path: Path) -> None:
    some = plain(TEST, [-1] * len(TEST))
    write(tmp_path, rows(TRAIN), described(some, features(CLASSES)))
    layout, faults = read(tmp_path)
    assert "label -1 in 8 rows of test: hidden labels" in faults
    assert "--split test=none" in faults
    assert faults.count("\n") == 0
    assert meant(layout) == {"train": MEANT["train"]}
    assert read(tmp_path, splits={"test": ""})[1] == ""
    parquet(tmp_path / "validation.parquet", rows(TEST))
    assert "--split test=none, and score validation: --split validation=test" in read(tmp_path)[1]
    layout, faults = read(tmp_path, splits={"test": "", "validation": "test"})
    assert faults == ""
    assert meant(layout) == MEANT
    (tmp_path / "validation.parquet").unlink()
    holes = [None if n % 4 == 0 else number for n, number in enumerate(numbers(TEST))]
    write(tmp_path, rows(TRAIN), described(plain(TEST, holes, pa.int64()), features(CLASSES)))
    layout, faults = read(tmp_path)
    assert "no label in 2 of 8 rows of test" in faults
    assert meant(layout)["test"] == {data: name for n, (data, name) in enumerate(TEST) if n % 4}
    write(tmp_path, rows(TRAIN), plain(TEST, [None] * len(TEST), pa.null()))
    assert "no label in 8 rows of test" in read(tmp_path)[1]
    write(tmp_path, rows(TRAIN, None), rows([(data, "") for data, _ in TEST], None))
    assert "no label in 8 rows of test" in read(tmp_path)[1]


def test_numbers_beyond_the_names_are_counted(tmp_path: Path) -> None:
    write(tmp_path, rows(TRAIN), described(plain(TEST, [7, 9, 9, 0, 1, 2, 3, 0]), features(CLASSES)))
    layout, faults = read(tmp_path)
    assert (
        "ClassLabel of test.parquet: labels in 3 rows of test.parquet beyond its names: 7, 9; expected 0 to 3" in faults
    )
    assert not any(layout.splits.values())


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint16(), pa.int32(), pa.uint64(), pa.dictionary(pa.int8(), pa.int64())]
)
def test_whole_numbers_of_any_width(kind: pa.DataType, tmp_path: Path) -> None:
    write(
        tmp_path,
        *(
            described(
                plain(some, numbers(some)).set_column(
                    1,
                    "label",
                    pa.array(numbers(some)).cast(kind)
                    if not pa.types.is_dictionary(kind)
                    else pa.array(numbers(some)).dictionary_encode(),
                ),
                features(CLASSES),
            )
            for some in (TRAIN, TEST)
        ),
    )
    assert meant(read(tmp_path)[0]) == MEANT


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string()), pa.string_view()]
)
def test_names_in_any_form_of_text(kind: pa.DataType, tmp_path: Path) -> None:
    tables = [plain(some, [name for _, name in some]) for some in (TRAIN, TEST)]
    cast = [
        table.set_column(
            1,
            "label",
            table["label"].dictionary_encode() if pa.types.is_dictionary(kind) else table["label"].cast(kind),
        )
        for table in tables
    ]
    write(tmp_path / "parquet", *cast)
    arrow(tmp_path / "arrow/train.arrow", cast[0], 20)
    arrow(tmp_path / "arrow/test.arrow", cast[1], 20)
    for form in ("parquet", "arrow"):
        assert meant(read(tmp_path / form)[0]) == MEANT


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([0.5] * 8, pa.float64(), "column 'label': of type double"),
        ([1.0] * 8, pa.float32(), "column 'label': of type float"),
        ([[0, 1]] * 8, pa.list_(pa.int64()), "several labels a row"),
        ([{"a": 1}] * 8, pa.struct([("a", pa.int64())]), "of type struct"),
    ],
)
def test_labels_that_are_no_classes_are_refused_by_their_type(
    labels: list[Any], kind: pa.DataType, words: str, tmp_path: Path
) -> None:
    parquet(tmp_path / "test.parquet", plain(TEST, labels, kind))
    assert words in read(tmp_path)[1]


def test_yes_and_no_are_numbers_without_names(tmp_path: Path) -> None:
    parquet(tmp_path / "test.parquet", plain(TEST, [n % 2 == 1 for n in range(8)]))
    layout, faults = read(tmp_path)
    assert faults == ""
    assert layout.unnamed
    assert read(tmp_path, classes=("real", "fake"))[0].classes == ("real", "fake")


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.data())
def test_a_picture_keeps_its_class_name_or_nothing_is_read(source: random.Random, data: st.DataObject) -> None:
    """Orders of names by file, files without names, shuffled rows, shards, dropped classes, names of splits."""
    dropped = data.draw(st.sampled_from([None, *CLASSES]))
    forms = st.sampled_from(["names", "text", "numbers", "other names"])
    names = {
        "train": data.draw(st.sampled_from(["train", "training", "Train_full", "x"])),
        "test": data.draw(st.sampled_from(["test", "TESTING", "y"])),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for split, some in (("train", TRAIN), ("test", TEST)):
            kept = [sample for sample in some if split == "train" or sample[1] != dropped]
            source.shuffle(kept)
            shards = data.draw(st.integers(1, 3))
            for n in range(shards):
                form = data.draw(forms) if data.draw(st.booleans()) else "names"
                order = source.sample(CLASSES, len(CLASSES))
                own = {
                    "names": rows(kept[n::shards], order),
                    "text": rows(kept[n::shards], None),
                    "numbers": plain(kept[n::shards], numbers(kept[n::shards], order)),
                    "other names": rows(kept[n::shards], [*order, "purple"]),
                }[form]
                parquet(root / f"{names[split]}-{n:05d}-of-{shards:05d}.parquet", own)
        layout, faults = read(root)
        if not faults and not layout.unnamed:
            assert meant(layout) == {
                "train": MEANT["train"],
                "test": {k: v for k, v in MEANT["test"].items() if v != dropped},
            }
        elif faults:
            assert not any(layout.splits.values())
