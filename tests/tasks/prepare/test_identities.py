"""Training sets: a .rec and folders of the same faces give the same data set; labels are those of torchvision's ImageFolder."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from gelo.models.faults import UserError
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.prepare.biometric.identities import identities
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare import face_trees
from tests.tasks.prepare.face_trees import im2rec, with_header, write_records

IMAGES = [face_trees.jpeg(number, 8) for number in range(9)]
PEOPLE = {"0010": IMAGES[:2], "7": IMAGES[2:6], "a b": IMAGES[6:]}


def folders(root: Path) -> None:
    for name, images in PEOPLE.items():
        for number, image in enumerate(images):
            path = root / name / ("more" if number == 1 else "") / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)


def said(root: Path) -> tuple[Layout, str]:
    tree = Tree(root)
    return identities(tree), "\n".join(map(str, tree.faults))


def test_a_rec_becomes_a_data_set(tmp_path: Path) -> None:
    write_records(tmp_path / "x" / "faces_x", with_header(list(PEOPLE.values())))
    (tmp_path / "x" / "faces_x" / "property").write_text("3,8,8")
    dataset, _ = prepare("mine", tmp_path / "x", tmp_path / "data", reader="identities")
    assert dataset.card.classes == ("0", "1", "2")
    assert dataset.card.protocols == ("training",)
    assert dataset.labels("train").tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert [data for chunk in dataset.chunks("train") for data in read_chunk(chunk)[1]] == IMAGES


def test_labels_are_free_without_a_header_record(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec([4, 100_000] + [7] * 7, IMAGES), "web")
    dataset, _ = prepare("mine", tmp_path, tmp_path / "data", reader="identities")
    assert dataset.card.classes == ()
    assert dataset.labels("train").tolist() == [4, 100_000] + [7] * 7


@pytest.mark.parametrize("inside", ["", "train", "imgs"])
def test_folders_are_torchvisions(inside: str, tmp_path: Path) -> None:
    folders(tmp_path / "x" / inside)
    dataset, _ = prepare("mine", tmp_path / "x", tmp_path / "data", reader="identities")
    other = ImageFolder(tmp_path / "x" / inside)
    assert list(dataset.card.classes) == other.classes
    expected = [(Path(path).relative_to(tmp_path / "x" / inside).as_posix(), label) for path, label in other.samples]
    found = list(zip(dataset.ids("train"), dataset.labels("train").tolist(), strict=True))
    assert sorted(found) == sorted(expected)
    assert [label for _, label in found] == sorted(label for _, label in found)
    by_id = dict(zip(dataset.ids("train"), [d for c in dataset.chunks("train") for d in read_chunk(c)[1]], strict=True))
    assert all(by_id[path] == (tmp_path / "x" / inside / path).read_bytes() for path, _ in expected)


def test_places_in_folders_are_those_of_the_listing(tmp_path: Path) -> None:
    folders(tmp_path)
    layout, faults = said(tmp_path)
    items = layout.splits["train"]
    assert not faults
    assert len(items) == 9
    assert [(items[n].id, items[n].label) for n in range(9)] == [(item.id, item.label) for item in items]
    assert items[-1].id == [*items][-1].id
    assert [item.id for item in items[2:4]] == [item.id for item in [*items][2:4]]


def test_a_folder_of_one_name_is_an_identity(tmp_path: Path) -> None:
    (tmp_path / "someone").mkdir()
    (tmp_path / "someone" / "1.jpg").write_bytes(IMAGES[0])
    layout, faults = said(tmp_path)
    assert (layout.classes, faults) == (("someone",), "")


def test_an_identity_without_images_keeps_its_rank(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "notes.txt").write_text("")
    layout, faults = said(tmp_path)
    assert faults == f"{tmp_path / '5'}: no images; expected at least one image of each identity"
    assert layout.classes == ("0010", "5", "7", "a b")
    assert [item.label for item in layout.splits["train"]] == [0, 0, 2, 2, 2, 2, 3, 3, 3]
    assert [layout.splits["train"][n].label for n in (1, 2)] == [0, 2]


def test_images_that_are_gone_or_outside_are_told(tmp_path: Path) -> None:
    folders(tmp_path / "x")
    layout, _ = said(tmp_path / "x")
    items = [*layout.splits["train"]]
    (tmp_path / "secret.jpg").write_bytes(IMAGES[0])
    (tmp_path / "x" / "7" / "0.jpg").unlink()
    (tmp_path / "x" / "7" / "0.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "x" / "7" / "2.jpg").unlink()
    wrong = {}
    for item in items:
        try:
            item.load()
        except OSError as error:
            wrong[item.id] = str(error)
    assert wrong == {"7/0.jpg": f"leads out of the tree, to {tmp_path / 'secret.jpg'}", "7/2.jpg": "missing"}


def test_which_record_is_taken(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES), "b")
    write_records(tmp_path, im2rec(range(9), IMAGES), "a")
    assert "several records: a, b" in said(tmp_path)[1]
    write_records(tmp_path, im2rec(range(8), IMAGES[:8]), "train")
    layout, faults = said(tmp_path)
    assert (len(layout.splits["train"]), faults) == (8, "")


@pytest.mark.parametrize(("missing", "other"), [("train.rec", "train.idx"), ("train.idx", "train.rec")])
def test_half_a_record(missing: str, other: str, tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    (tmp_path / missing).unlink()
    assert f"{missing}: missing" in said(tmp_path)[1]
    assert (tmp_path / other).exists()


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    assert "no .rec and no folders; expected train.rec with train.idx, or one folder" in said(tmp_path)[1]
    (tmp_path / "WebFace4M").mkdir()
    (tmp_path / "WebFace4M" / "data.mdb").write_bytes(b"\0" * 64)
    assert (
        "data.mdb: an LMDB file, which is not read; expected train.rec with train.idx, or one folder"
        in said(tmp_path)[1]
    )


def test_a_damaged_record_and_an_image_that_is_none_are_named(tmp_path: Path) -> None:
    people = [list(images) for images in PEOPLE.values()]
    people[2][1] = b"no image"
    write_records(tmp_path, with_header(people))
    rec = tmp_path / "train.rec"
    offset = int((tmp_path / "train.idx").read_text().splitlines()[2].split("\t")[1])
    rec.write_bytes(rec.read_bytes()[:offset] + b"\0\0\0\0" + rec.read_bytes()[offset + 4 :])
    with pytest.raises(UserError) as error:
        prepare("mine", tmp_path, tmp_path / "data", reader="identities")
    assert f"{rec} key 2: unreadable file (magic 0x00000000 in place of 0xCED7230A)" in str(error.value)
    assert f"{rec} key 8: unreadable image (no format that Pillow knows)" in str(error.value)
    dataset, _ = prepare("mine", tmp_path, tmp_path / "data", reader="identities", allow_partial=True)
    assert dataset.card.partial
    assert dataset.ids("train").tolist() == [f"{n:06d}" for n in (0, 2, 3, 4, 5, 6, 8)]
    assert dataset.labels("train").tolist() == [0, 1, 1, 1, 1, 2, 2]


def test_a_known_set_is_checked_against_its_counts(tmp_path: Path) -> None:
    write_records(tmp_path, with_header(list(PEOPLE.values())))
    with pytest.raises(UserError) as error:
        prepare("casia_webface", tmp_path, tmp_path / "data")
    assert "classes: 3; expected 10572" in str(error.value)
    assert "split train: 9 images; expected 490,623" in str(error.value)
    dataset, _ = prepare("casia_webface", tmp_path, tmp_path / "data", allow_partial=True)
    assert dataset.card.partial
