"""Tables of paths and labels against the csv module and Pillow reading them by hand: a row's class, or a fault, never another class."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.prepare import readers
from gelo.tasks.prepare.formats.table import table
from gelo.tasks.prepare.general.webdataset import webdataset
from gelo.tasks.prepare.prepare import prepare
from tests.tasks.prepare.same_pictures import CLASSES, Meant, image, meant, put, read, samples, write_tar
from tests.tasks.prepare.table_faults import FAULTS

TRAIN, TEST = samples(0, 8), samples(100, 6)
MEANT: Meant = {"train": dict(TRAIN), "test": dict(TEST)}
Row = tuple[str, str, str]  # path, class, split


def pictures(root: Path, form: str = "images/{split}_{n}.png") -> list[Row]:
    """Puts all pictures where `form` says; their rows in a table."""
    rows = []
    for split, some in (("train", TRAIN), ("test", TEST)):
        for n, (content, name) in enumerate(some):
            path = form.format(split=split, n=n, name=name)
            put(root / path, content)
            rows.append((path, name, split))
    return rows


def write(path: Path, rows: list[Row], header: str = "path,label,split", delimiter: str = ",", **form: str) -> None:
    """A table in the form of its suffix, by the libraries that people write them with."""
    names = header.split(",")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row[n] for row in rows] for n, name in enumerate(names)}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=False))) + "\n" for row in rows))
    else:
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter=delimiter, lineterminator=form.get("end", "\n"))
        writer.writerows([names, *(row[: len(names)] for row in rows)])
        path.write_bytes(stream.getvalue().encode(form.get("encoding", "utf-8")))


def by_hand(path: Path) -> Meant:
    found: Meant = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["split"], {})[(path.parent / row["path"]).read_bytes()] = row["label"]
    return found


def test_a_csv_is_what_the_csv_module_reads(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", pictures(tmp_path))
    put(tmp_path / "images" / "not listed.png", image(999))
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == by_hand(tmp_path / "labels.csv") == MEANT
    assert layout.classes == tuple(sorted(CLASSES))
    assert layout.evidence == "column label of labels.csv"
    assert layout.used == {"image": "path", "label": "label", "split": "split"}
    assert layout.taken == {"train": ("train",), "test": ("test",)}
    assert [item.id for item in layout.splits["test"]] == [f"images/test_{n}.png" for n in range(6)]


def test_tables_and_tars_of_the_same_pictures_make_the_same_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, reader in (("table", table), ("webdataset", webdataset)):
        about = readers.Reader(reader, name, ("splits", "image", "label", "classes"))
        monkeypatch.setitem(readers.READERS, name, about)
    write(tmp_path / "table" / "labels.csv", pictures(tmp_path / "table"))
    for split, some in (("train", TRAIN), ("test", TEST)):
        members = [m for n, (data, name) in enumerate(some) for m in ((f"{n}.png", data), (f"{n}.cls", name.encode()))]
        write_tar(tmp_path / "webdataset" / split / "0.tar", members)
    sets = [
        prepare(f"of_{name}", tmp_path / name, tmp_path / "data", reader=name)[0] for name in ("table", "webdataset")
    ]
    for split in ("train", "test"):
        images, others = (read_chunk(dataset.chunks(split)[0])[1] for dataset in sets)
        assert images == others == [content for content, _ in MEANT[split].items()]
        assert sets[0].labels(split).tolist() == sets[1].labels(split).tolist()
    assert sets[0].card.classes == sets[1].card.classes == tuple(sorted(CLASSES))
    (tmp_path / "table" / "images" / "test_0.png").write_text("no image")
    with pytest.raises(UserError, match=r"test_0\.png"):
        prepare("other", tmp_path / "table", tmp_path / "data", reader="table")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_encodings_and_line_ends(delimiter: str, encoding: str, end: str, tmp_path: Path) -> None:
    write(tmp_path / "l.csv", pictures(tmp_path), delimiter=delimiter, encoding=encoding, end=end)
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


@pytest.mark.parametrize("file", ["l.csv", "l.tsv", "l.jsonl", "l.parquet"])
@pytest.mark.parametrize(
    "header",
    [
        "path,label,split",
        "Image Path,Class_Name, SET ",
        "file_name,category,subset",
        "left_file_name,y,Partition",
        "filepaths,labels,data set",
        "id,target,usage",
    ],
)
def test_columns_by_any_usual_name(file: str, header: str, tmp_path: Path) -> None:
    delimiter = "\t" if file.endswith("tsv") else ","
    write(tmp_path / file, pictures(tmp_path), header, delimiter)
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    write(tmp_path / "l.csv", pictures(tmp_path), "bild,art,split")
    _, faults = read(table, tmp_path)
    assert (
        "no column for the image among 'bild', 'art', 'split'; expected a column called path, image, file_name or the like; --image bild"
        in faults
    )
    assert "no column for the label" in faults
    assert meant(read(table, tmp_path, image="bild", label="art")[0]) == MEANT
    assert (
        "--label: unknown column 'arte'; expected one of art, bild, split; nearest: art"
        in read(table, tmp_path, image="bild", label="arte")[1]
    )


@pytest.mark.parametrize(
    "form",
    [
        "{split}_{n}.png",
        "images/{split}/{name}/{n}.png",
        "deep/er/{split}_{n}.jpg",
        "mit blank/{name} {split},{n}.PNG",
        "é/{split}_{n}.png",
    ],
)
@pytest.mark.parametrize("prefix", ["", "./", "/home/someone/set/", "C:\\Users\\x\\", "{root}/"])
def test_paths_of_this_and_of_other_machines(form: str, prefix: str, tmp_path: Path) -> None:
    rows = pictures(tmp_path, form)
    before = prefix.format(root=tmp_path)
    slash = "\\" if "\\" in prefix else "/"
    write(tmp_path / "l.csv", [(f"{before}{path.replace('/', slash)}", *rest) for path, *rest in rows])  # type: ignore[misc]
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


def test_a_name_in_another_unicode_form(tmp_path: Path) -> None:
    rows = pictures(tmp_path, unicodedata.normalize("NFD", "été/{split}_{n}.png"))
    write(tmp_path / "l.csv", [(unicodedata.normalize("NFC", path), *rest) for path, *rest in rows])  # type: ignore[misc]
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


@pytest.mark.parametrize("cut", ["suffix", "folder", "both"])
def test_paths_without_folder_or_suffix_are_taken_where_one_file_fits(cut: str, tmp_path: Path) -> None:
    rows = pictures(tmp_path)

    def short(path: str) -> str:
        path = path if cut == "suffix" else Path(path).name
        return path if cut == "folder" else path.removesuffix(".png")

    write(tmp_path / "l.csv", [(short(path), *rest) for path, *rest in rows], "id,label,split")  # type: ignore[misc]
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT
    assert f"{short(rows[0][0])} is taken for {rows[0][0]}" in layout.notes[0]
    put(tmp_path / ("images/test_3.jpg" if cut != "folder" else "others/test_3.png"), image(500))
    layout, faults = read(table, tmp_path)
    assert "1 images that several files fit: " in faults
    assert "test_3" in faults
    assert meant(layout)["test"] == {content: name for content, name in TEST if content != TEST[3][0]}


def test_a_tables_own_folder_comes_before_others(tmp_path: Path) -> None:
    """Kaggle's form: `train.csv` beside `train/`, `test.csv` beside `test/`, the same file names in both."""
    rows = pictures(tmp_path, "{split}/{n}.png")
    for split in ("train", "test"):
        write(
            tmp_path / f"{split}.csv",
            [(str(Path(path).stem), name, "") for path, name, of in rows if of == split],
            "id,label",
        )
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


SPLITS: dict[str, tuple[dict[str, str], str]] = {
    "a file a split": ({"train": "train.csv", "test": "test.csv"}, "images/{split}_{n}.png"),
    "a part of the name": ({"train": "labels_train_2.csv", "test": "TestLabels.csv"}, "images/{split}_{n}.png"),
    "metadata in folders": ({"train": "train/metadata.csv", "test": "test/metadata.csv"}, "{split}/{n}.png"),
    "metadata in a wrapper": ({"train": "x/Training/metadata.jsonl", "test": "x/TEST/metadata.jsonl"}, "x/{split}_{n}.png"),
    "parquet": ({"train": "train-00000-of-00001.parquet", "test": "test-00000-of-00001.parquet"}, "images/{split}_{n}.png"),
    "images in split folders": ({"train": "metadata.csv", "test": "metadata.csv"}, "{split}/{n}.png"),
    "classes in split folders": ({"train": "all.csv", "test": "all.csv"}, "set/{split}/{name}/{n}.png"),
}  # fmt: skip


@pytest.mark.parametrize("how", SPLITS)
def test_splits_by_files_and_folders(how: str, tmp_path: Path) -> None:
    files, form = SPLITS[how]
    rows = pictures(tmp_path, form)
    for file in set(files.values()):
        mine = [row for row in rows if files[row[2]] == file]
        folder = str(Path(file).parent)
        write(tmp_path / file, [(os.path.relpath(path, folder), name, "") for path, name, _ in mine], "file_name,label")
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT


def test_parts_of_one_table_are_put_together_and_have_to_be_all(tmp_path: Path) -> None:
    rows = pictures(tmp_path)
    for n in range(3):
        write(tmp_path / f"l-{n:05d}-of-00003.parquet", rows[n::3])
    assert meant(read(table, tmp_path)[0]) == MEANT
    (tmp_path / "l-00001-of-00003.parquet").unlink()
    assert "1 parts of a table are missing: 'l-00001-of-00003.parquet'" in read(table, tmp_path)[1]


def test_without_a_split_all_is_test_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "set" / "l.csv", pictures(tmp_path / "set", "images/{split}_{n}.png"), "path,label")
    layout, faults = read(table, tmp_path / "set")
    assert not faults
    assert meant(layout) == {"test": MEANT["train"] | MEANT["test"]}
    assert layout.notes == ("no column, file or folder says train or test: all images are taken for test",)
    (tmp_path / "set").rename(tmp_path / "train")
    layout, _ = read(table, tmp_path / "train")
    assert list(layout.splits) == ["train"]


def test_a_class_called_train_is_no_split(tmp_path: Path) -> None:
    for n, name in enumerate(("train", "bus", "test tube")):
        put(tmp_path / name / f"{n}.png", image(n))
    write(
        tmp_path / "l.csv",
        [(f"{name}/{n}.png", name, "") for n, name in enumerate(("train", "bus", "test tube"))],
        "path,label",
    )
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == {"test": {image(0): "train", image(1): "bus", image(2): "test tube"}}


@pytest.mark.parametrize("case", FAULTS)
def test_what_cannot_be_one_thing_is_refused(case: str, tmp_path: Path) -> None:
    files, expected = FAULTS[case]
    for name, content in files.items():
        put(tmp_path / "set" / name, content)
    layout, faults = read(table, tmp_path / "set")
    assert expected in faults
    rows = {content: label for some in meant(layout).values() for content, label in some.items()}
    assert all(label in {"x", "y", "0", "1", "01", "-1", "cat", "ids"} for label in rows.values())


def test_faults_of_a_table_left_out_are_not_told(tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = [row for row in pictures(tmp_path) if row[2] == split]
        write(tmp_path / f"{split}.csv", rows, "path,label")
    put(tmp_path / "sample_submission.csv", "id,probability\n1,0.5\n")
    assert (
        "'sample_submission" in read(table, tmp_path)[1]
        or "--split sample_submission.csv=none" in read(table, tmp_path)[1]
    )
    layout, faults = read(table, tmp_path, splits={"sample_submission": ""})
    assert not faults
    assert meant(layout) == MEANT


def test_a_split_that_the_set_does_not_have(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", pictures(tmp_path))
    _, faults = read(table, tmp_path, splits={"tset": "", "train": "train"})
    assert "--split: unknown split 'tset'" in faults
    assert "nearest: test" in faults


def test_links_within_the_tree_are_read_and_others_refused(tmp_path: Path) -> None:
    rows = pictures(tmp_path / "set", "real/{split}_{n}.png")
    (tmp_path / "set" / "images").symlink_to(tmp_path / "set" / "real")
    write(tmp_path / "set" / "l.csv", [(path.replace("real", "images"), *rest) for path, *rest in rows])  # type: ignore[misc]
    layout, faults = read(table, tmp_path / "set")
    assert not faults
    assert meant(layout) == MEANT
    put(tmp_path / "secret.png", image(77))
    (tmp_path / "set" / "real" / "out.png").symlink_to(tmp_path / "secret.png")
    outside = [("real/out.png", "red", "test"), ("../secret.png", "red", "test")]
    write(tmp_path / "set" / "l.csv", [*rows, *outside])
    layout, faults = read(table, tmp_path / "set")
    assert "2 images lead out of the tree: " in faults
    assert meant(layout) == MEANT


def test_numbers_stay_unnamed_until_the_user_names_them(tmp_path: Path) -> None:
    rows = [(path, f"{CLASSES.index(name)}.0", split) for path, name, split in pictures(tmp_path)]
    write(tmp_path / "l.csv", rows)
    layout, faults = read(table, tmp_path)
    assert not faults
    assert "whole numbers without names" in layout.unnamed
    assert meant(read(table, tmp_path, classes=CLASSES)[0]) == MEANT
    mapping = {str(n): name for n, name in enumerate(CLASSES)}
    assert meant(read(table, tmp_path, classes=mapping)[0]) == MEANT


def test_a_parquet_with_class_names_and_one_with_images(tmp_path: Path) -> None:
    rows = pictures(tmp_path)
    features = {"info": {"features": {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}}}
    columns = {
        "file_name": [r[0] for r in rows],
        "label": [CLASSES.index(r[1]) for r in rows],
        "split": [r[2] for r in rows],
    }
    labelled = pa.table(columns).replace_schema_metadata({b"huggingface": json.dumps(features).encode()})
    pq.write_table(labelled, tmp_path / "metadata.parquet")
    layout, faults = read(table, tmp_path)
    assert not faults
    assert meant(layout) == MEANT
    assert layout.classes == CLASSES
    assert layout.evidence == "ClassLabel of column label of metadata.parquet"
    for content in ([b"x"], [{"bytes": b"x", "path": "a"}]):
        pq.write_table(pa.table({"image": content, "label": [0]}), tmp_path / "metadata.parquet")
        assert (
            "column image holds the images themselves; expected paths of images; --reader datasets reads it"
            in read(table, tmp_path)[1]
        )


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_neither_order_nor_names_change_what_an_image_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Rows shuffled and repeated, splits renamed, columns in another order, a class dropped, classes numbered in any order."""
    root = tmp_path_factory.mktemp("set")
    names = {
        "train": data.draw(st.sampled_from(["train", "Training", "TRN"])),
        "test": data.draw(st.sampled_from(["test", "testing", "x-test"])),
    }
    rows = pictures(root)
    gone = data.draw(st.sampled_from(["", *CLASSES]))
    order = data.draw(st.permutations(CLASSES))
    numbered = data.draw(st.booleans())
    kept = [row for row in data.draw(st.permutations(rows)) if row[1] != gone]
    again = data.draw(st.lists(st.sampled_from(kept), max_size=2))
    told = [(path, str(order.index(name)) if numbered else name, names[split]) for path, name, split in [*kept, *again]]
    columns = data.draw(st.permutations(range(3)))
    write(
        root / "l.csv",
        [tuple(row[n] for n in columns) for row in told],
        ",".join(("path", "label", "split")[n] for n in columns),
    )  # type: ignore[misc]
    layout, faults = read(table, root, **({"classes": tuple(order)} if numbered else {}))
    expected: Meant = {split: {c: n for c, n in some.items() if n != gone} for split, some in MEANT.items()}
    assert meant(layout) == expected, "the first of repeated rows stands"
    assert bool(faults) == bool(again)
    assert not faults or "listed twice" in faults


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["l.csv", "l.tsv", "l.jsonl", "l.parquet"]), st.booleans())
def test_any_bytes_end_well(tmp_path_factory: pytest.TempPathFactory, content: bytes, file: str, headed: bool) -> None:
    root = tmp_path_factory.mktemp("any")
    put(root / "a.png", image(0))
    put(root / file, (b"path,label\na.png,x\n" if headed else b"") + content)
    layout, faults = read(table, root)
    assert faults or meant(layout)["test"][image(0)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_damaged_parquet_ends_well(tmp_path_factory: pytest.TempPathFactory, seed: int, hits: int) -> None:
    root = tmp_path_factory.mktemp("damaged")
    write(root / "l.parquet", pictures(root))
    content = bytearray((root / "l.parquet").read_bytes())
    rng = random.Random(seed)
    for _ in range(hits):
        content[rng.randrange(len(content))] = rng.randrange(256)
    (root / "l.parquet").write_bytes(content)
    layout, _ = read(table, root)
    meant(layout)


@pytest.mark.parametrize("column", ["splip", "belongs_to", "fold name"])
def test_a_column_of_splits_is_one_whatever_it_is_called(tmp_path: Path, column: str) -> None:
    write(tmp_path / "l.csv", pictures(tmp_path), f"path,label,{column}")
    layout, faults = read(table, tmp_path)
    assert not faults and meant(layout) == MEANT
    assert layout.used["split"] == column


def test_a_class_called_train_makes_no_split(tmp_path: Path) -> None:
    lines = ["path,label,seen"]
    for n, seen in enumerate(("train", "car", "train", "bus")):
        put(tmp_path / "test" / f"{n}.png", image(n))
        lines.append(f"test/{n}.png,{('a', 'b')[n % 2]},{seen}")
    put(tmp_path / "l.csv", "\n".join(lines))
    layout, faults = read(table, tmp_path)
    assert not faults and {split: len(items) for split, items in layout.splits.items()} == {"test": 4}
    assert "split" not in layout.used
