"""Raw LFW: pairs, folds and pictures against scikit-learn's reader of the same files; and every way in which such a tree can be wrong."""

from __future__ import annotations

import io
import random
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets._lfw import _fetch_lfw_pairs

from gelo.models.faults import UserError
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.prepare.biometric.lfw import lfw
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare.ijb_trees import loose_crop, points

SETS, EACH, SIDE = 3, 2, 12
PERSONS = ("Abel_Pacheco", "Al_Gore", "Bill_Gates", "Cher", "Di_Ana", "Ed_Burns")


def write(root: Path, images: str = "lfw", file: str = "pairs.txt") -> list[str]:
    """Three sets of two pairs of one person and two of two persons: the lines, images of their own grey in folders of persons."""
    rng = random.Random(0)
    people = root / images
    for number, name in enumerate(PERSONS):
        (people / name).mkdir(parents=True)
        for image in range(1, 5):
            pixels = np.random.default_rng(10 * number + image).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(people / name / f"{name}_{image:04d}.jpg", quality=95)
    lines = []
    for fold in range(SETS):
        one, two = PERSONS[2 * fold : 2 * fold + 2]
        lines += [f"{one}\t1\t{rng.randint(2, 4)}", f"{two}\t2\t4"]
        lines += [f"{one}\t{n}\t{two}\t{rng.randint(1, 4)}" for n in (1, 3)]
    (root / file).write_text("\n".join([f"{SETS}\t{EACH}", *lines]) + "\n")
    return lines


def rewrite(root: Path, change: Callable[[list[str]], list[str]], file: str = "pairs.txt") -> None:
    (root / file).write_text("\n".join(change((root / file).read_text().splitlines())) + "\n")


def read(root: Path) -> tuple[Layout, str]:
    tree = Tree(root)
    layout = lfw(tree)
    return layout, "\n".join(map(str, tree.faults))


def pairs_of(layout: Layout) -> list[tuple[str, str, bool, int]]:
    return [tuple(row.values()) for row in layout.tables["pairs"].to_pylist()]


def test_pairs_labels_and_pictures_are_scikit_learns(tmp_path: Path) -> None:
    write(tmp_path)
    pictures, target, _ = _fetch_lfw_pairs(
        tmp_path / "pairs.txt", tmp_path / "lfw", slice_=(slice(0, SIDE), slice(0, SIDE)), color=True
    )
    dataset, _ = prepare("mine", tmp_path, tmp_path / "data", reader="lfw")
    image = images(dataset)
    table = dataset.table("pairs").to_pylist()
    assert [row["same"] for row in table] == target.astype(bool).tolist()
    for row, theirs in zip(table, pictures, strict=True):
        for name, pixels in zip(("id_1", "id_2"), theirs, strict=True):
            ours = np.asarray(Image.open(io.BytesIO(image[row[name]])), np.float32) / 255
            np.testing.assert_array_equal(ours, pixels)
    assert [row["fold"] for row in table] == np.repeat(np.arange(SETS), 2 * EACH).tolist()
    assert dataset.card.protocols == ("verification",)
    assert not dataset.card.partial
    subjects = dict(zip(dataset.ids("test").tolist(), dataset.column("test", "subject").tolist(), strict=True))
    assert all(name.startswith(f"{person}/{person}_") for name, person in subjects.items())


def images(dataset: Dataset) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk in dataset.chunks("test"):
        found |= dict(zip(*read_chunk(chunk), strict=True))
    return found


@pytest.mark.parametrize("images", ["lfw", "lfw_funneled", "lfw-deepfunneled/lfw-deepfunneled", "."])
@pytest.mark.parametrize("above", ["", "archive"])
def test_ids_do_not_tell_where_the_folders_of_persons_lie(images: str, above: str, tmp_path: Path) -> None:
    write(tmp_path / "plain")
    expected = pairs_of(read(tmp_path / "plain")[0])
    write(tmp_path / "tree" / above, images)
    (tmp_path / "tree" / "__MACOSX" / "lfw").mkdir(parents=True)
    layout, faults = read(tmp_path / "tree")
    assert not faults
    assert pairs_of(layout) == expected
    assert layout.notes[0] == "12 pairs in 3 folds, the sets of pairs.txt"
    assert "not aligned" in layout.notes[1]


def test_kaggles_copy_has_the_same_pairs_and_folds(tmp_path: Path) -> None:
    lines = write(tmp_path)
    layout, _ = read(tmp_path)
    rows = [",".join(line.split("\t")) + ("," if line.count("\t") == 2 else "") for line in lines]
    (tmp_path / "pairs.txt").unlink()
    (tmp_path / "pairs.csv").write_text("\r\n".join(["name,imagenum1,imagenum2,", *rows]) + "\r\n")
    (tmp_path / "matchpairsDevTest.csv").write_text("name,imagenum1,imagenum2\nCher,1,2\n")
    copied, faults = read(tmp_path)
    assert not faults
    assert pairs_of(copied) == pairs_of(layout)
    sorted_rows = sorted(rows, key=lambda row: row.count(",") != 3 or not row.endswith(","))
    (tmp_path / "pairs.csv").write_text("\n".join(["name,imagenum1,imagenum2,", *sorted_rows]))
    assert "runs of 6, 6 pairs of one kind; expected sets that show" in read(tmp_path)[1]
    (tmp_path / "pairs.csv").write_text("pair_id,fold_id,is_same,image_a,image_b\n0,1,1,a.jpg,b.jpg\n")
    assert "header 'pair_id,fold_id,is_same,image_a,image_b'; expected Kaggle's form" in read(tmp_path)[1]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", " \t\n", "\n\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_whatever_wrote_the_list_pairs_are_the_same(end: str, encoding: str, tmp_path: Path) -> None:
    lines = write(tmp_path)
    expected = pairs_of(read(tmp_path)[0])
    for separator in ("\t", " ", "   "):
        text = end.join(line.replace("\t", separator) for line in [f"{SETS}\t{EACH}", *lines]) + end
        (tmp_path / "pairs.txt").write_bytes(text.encode(encoding))
        layout, faults = read(tmp_path)
        assert not faults
        assert pairs_of(layout) == expected


def test_images_are_found_by_their_numbers_not_by_how_many_there_are(tmp_path: Path) -> None:
    write(tmp_path)
    expected = pairs_of(read(tmp_path)[0])
    used = {name for row in expected for name in row[:2]}
    for path in sorted((tmp_path / "lfw").rglob("*.jpg")):
        if str(path.relative_to(tmp_path / "lfw")) not in used:
            path.unlink()  # scikit-learn would now take other files
    (tmp_path / "lfw" / "Cher" / "._Cher_0001.jpg").write_bytes(b"x")
    layout, faults = read(tmp_path)
    assert not faults
    assert pairs_of(layout) == expected
    (tmp_path / "lfw" / "Cher" / "Cher_0002.jpg").rename(tmp_path / "lfw" / "Cher" / "Cher_2.PNG")
    assert any(name == "Cher/Cher_2.PNG" for row in pairs_of(read(tmp_path)[0]) for name in row[:2])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list": (lambda r: (r / "pairs.txt").unlink(), "no pairs.txt; expected pairs.txt beside the folders"),
    "no persons": (lambda r: shutil.rmtree(r / "lfw"), "no folders of persons, such as Abel_Pacheco"),
    "two copies": (lambda r: shutil.copytree(r / "lfw", r / "lfw_funneled"), "folders of persons in 'lfw', 'lfw_funneled'"),
    "a pair too few": (lambda r: rewrite(r, lambda lines: lines[:-1]), "11 pairs; expected 12: line 1 says 3 sets of 2 + 2"),
    "another count": (lambda r: rewrite(r, lambda lines: ["3 3", *lines[1:]]), "12 pairs; expected 18"),
    "no counts": (lambda r: rewrite(r, lambda lines: lines[1:]), "pairs.txt line 1: 'Abel_Pacheco 1 "),
    "view 1": (lambda r: rewrite(r, lambda lines: ["6", *lines[1:]]), "'6': one set, as LFW's View 1"),
    "one fold": (lambda r: rewrite(r, lambda lines: ["1 6", *lines[1:]]), "'1 6'; expected two or more sets"),
    "a set of one kind": (
        lambda r: rewrite(r, lambda lines: [*lines[:3], *lines[5:7], *lines[3:5], *lines[7:]]),
        "4 pairs of the other kind than their set has there: 'line 4: Bill_Gates 1 ",
    ),
    "unknown name": (
        lambda r: shutil.rmtree(r / "lfw" / "Cher"), "1 names without a folder of images: 'Cher'; expected those of pairs.txt"
    ),
    "missing image": (
        lambda r: (r / "lfw" / "Cher" / "Cher_0004.jpg").unlink(), "1 images missing: 'Cher/Cher_0004'"
    ),
    "number beyond": (lambda r: rewrite(r, lambda lines: [*lines[:1], "Cher\t1\t900", *lines[2:]]), "'Cher/Cher_0900'"),
    "image twice": (
        lambda r: shutil.copy(r / "lfw" / "Cher" / "Cher_0002.jpg", r / "lfw" / "Cher" / "Cher_0002.png"),
        "2 images of one number: 'Cher/Cher_0002.jpg', 'Cher/Cher_0002.png'",
    ),
    "with itself": (
        lambda r: rewrite(r, lambda lines: [*lines[:1], "Cher\t1\t1", *lines[2:]]), "1 pairs of an image with itself: 'line 2'"
    ),
    "pair twice": (lambda r: rewrite(r, lambda lines: [*lines[:2], lines[1], *lines[3:]]), "1 pairs that stood before: 'line 3'"),
    "two names alike": (
        lambda r: rewrite(r, lambda lines: [*lines[:3], "Cher\t1\tCher\t2", *lines[4:]]), "1 lines of another form: 'line 4: Cher 1 Cher 2'"
    ),
    "number in words": (lambda r: rewrite(r, lambda lines: [*lines[:1], "Cher\tone\t2", *lines[2:]]), "'line 2: Cher one 2'"),
    "number zero": (lambda r: rewrite(r, lambda lines: [*lines[:1], "Cher\t0\t2", *lines[2:]]), "'line 2: Cher 0 2'"),
    "long number": (lambda r: rewrite(r, lambda lines: [*lines[:1], f"Cher\t{'9' * 5000}\t2", *lines[2:]]), "1 lines of another form"),
    "five fields": (lambda r: rewrite(r, lambda lines: [*lines[:1], "a\t1\tb\t2\t3", *lines[2:]]), "'line 2: a 1 b 2 3'"),
    "empty": (lambda r: (r / "pairs.txt").write_text(""), "pairs.txt line 1: ''"),
    "a workbook": (lambda r: (r / "pairs.txt").write_bytes(b"PK\x03\x04\x00 xl/workbook.xml"), "an Excel workbook (.xlsx)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_tree_is_refused_and_the_place_is_named(name: str, tmp_path: Path) -> None:
    spoil, expected = FAULTS[name]
    write(tmp_path)
    spoil(tmp_path)
    assert expected in read(tmp_path)[1]
    with pytest.raises(UserError):
        prepare("mine", tmp_path, tmp_path / "data", reader="lfw")
    assert not (tmp_path / "data" / "mine").exists()


def test_the_folder_of_persons_given_alone_is_told_where_the_list_is(tmp_path: Path) -> None:
    write(tmp_path)
    assert (
        f"no pairs.txt; expected pairs.txt beside the folders of persons, or beside the folder that holds them; --from {tmp_path}"
        in (read(tmp_path / "lfw")[1])
    )


def test_a_partial_set_has_no_pair_that_it_lacks(tmp_path: Path) -> None:
    write(tmp_path)
    whole = pairs_of(read(tmp_path)[0])
    shutil.rmtree(tmp_path / "lfw" / "Cher")
    dataset, _ = prepare("mine", tmp_path, tmp_path / "data", reader="lfw", allow_partial=True)
    assert dataset.card.partial
    kept = [tuple(row.values()) for row in dataset.table("pairs").to_pylist()]
    assert kept == [row for row in whole if "Cher" not in row[0] + row[1]]
    assert set(dataset.ids("test").tolist()) == {name for row in kept for name in row[:2]}


def test_names_in_the_two_forms_of_unicode_are_one_person(tmp_path: Path) -> None:
    write(tmp_path)
    composed, split = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    for path in sorted((tmp_path / "lfw" / "Cher").iterdir()):
        path.rename(path.with_name(path.name.replace("Cher", split)))
    (tmp_path / "lfw" / "Cher").rename(tmp_path / "lfw" / split)
    rewrite(tmp_path, lambda lines: [line.replace("Cher", composed) for line in lines])
    layout, faults = read(tmp_path)
    assert not faults
    assert {item.columns["subject"] for item in layout.splits["test"]} >= {composed}
    assert any(name.startswith(f"{composed}/{composed}_000") for name, *_ in pairs_of(layout))
    prepare("mine", tmp_path, tmp_path / "data", reader="lfw")


def test_landmarks_align_raw_faces(tmp_path: Path) -> None:
    write(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "lfw").rglob("*.jpg"))):
        path.write_bytes(loose_crop(number % 3))
    used = [item.id for item in read(tmp_path)[0].splits["test"]]
    header = "id," + ",".join(f"{axis}{n}" for n in range(1, 6) for axis in "xy")
    rows = [f"{name},{','.join(map(str, points(0).ravel().tolist()))}" for name in used]
    (tmp_path / "points.csv").write_text("\n".join([header, *rows]))
    dataset, _ = prepare("mine", tmp_path, tmp_path / "data", reader="lfw", landmarks=tmp_path / "points.csv")
    assert {Image.open(io.BytesIO(data)).size for data in images(dataset).values()} == {(112, 112)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_shuffled_lines_are_a_fault_or_the_same_pairs_in_the_same_folds(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("lfw")
    lines = write(root)
    before = {(*row[:3], row[3]) for row in pairs_of(read(root)[0])}
    draw = random.Random(seed)
    blocks = [lines[start : start + EACH] for start in range(0, len(lines), EACH)]
    if draw.random() < 0.5:
        for block in blocks:
            draw.shuffle(block)
        moved = [line for block in blocks for line in block]
    else:
        moved = draw.sample(lines, len(lines))
    (root / "pairs.txt").write_text("\n".join([f"{SETS} {EACH}", *moved]))
    layout, faults = read(root)
    kinds = [line.count("\t") for line in moved]
    if kinds == [line.count("\t") for line in lines]:
        assert not faults
        fold = {line: place // (2 * EACH) for place, line in enumerate(moved)}
        assert sorted(row[3] for row in pairs_of(layout)) == sorted(fold.values())
        if all(fold[line] == place // (2 * EACH) for place, line in enumerate(lines)):
            assert set(pairs_of(layout)) == before
    else:
        assert "of the other kind than their set has there" in faults
        assert not layout.splits
