"""A miniature IJB tree: ids, tables and pixels against what was written, and every way in which such a tree can be wrong."""

from __future__ import annotations

import io
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from gelo.models.faults import UserError
from gelo.tasks.data import contents
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.prepare.biometric.ijb import ijb, templates
from gelo.tasks.prepare.biometric.official import BIOMETRIC
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare import ijb_trees
from tests.tasks.prepare.ijb_trees import MEMBERS, PAIRS, SCORES, ijb_tree, loose_crop, one_to_n, points, replace_line
from tests.tasks.prepare.test_align import interpolated, solved

IDENTIFICATION = [(10, 7, "gallery_1"), (20, 8, "gallery_2"), (30, 7, "probe"), (40, 9, "probe")]


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def images(dataset: Dataset) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk in dataset.chunks("test"):
        found |= dict(zip(*read_chunk(chunk), strict=True))
    return found


@pytest.mark.parametrize(
    ("target", "letter", "folder"), [("ijbc", "G", "IJBC"), ("ijbb", "S", "ijb/IJBB"), ("ijbc", "G", ".")]
)
def test_a_tree_is_read_as_it_was_written(target: str, letter: str, folder: str, tmp_path: Path) -> None:
    ijb_tree(tmp_path / "tree" / folder, target, letter=letter)
    with pytest.raises(UserError) as error:
        prepare(target, tmp_path / "tree", tmp_path / "data")
    expected = f"{BIOMETRIC[target].images['test']:,}"
    assert [(f.found, f.expected) for f in error.value.faults[:-1]] == [("5 images", expected)]
    dataset, _ = prepare(target, tmp_path / "tree", tmp_path / "data", allow_partial=True)
    assert dataset.ids("test").tolist() == ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert dataset.labels("test").tolist() == [0] * 5
    assert dataset.card.classes == ()
    assert dataset.card.partial
    assert rows(dataset.table("members")) == [(*member, SCORES[member[0]]) for member in MEMBERS]
    assert rows(dataset.table("pairs")) == [(one, two, label == 1) for one, two, label in PAIRS]
    assert rows(dataset.table("identification")) == IDENTIFICATION
    types = {name: dataset.table(name).schema.types for name in dataset.card.tables if name != contents.TABLE}
    assert types == {
        "members": [pa.string(), pa.int64(), pa.int64(), pa.float64()],
        "pairs": [pa.int64(), pa.int64(), pa.bool_()],
        "identification": [pa.int64(), pa.int64(), pa.string()],
    }


def test_images_are_upright_faces_of_112_by_112_pixels(tmp_path: Path) -> None:
    ijb_tree(tmp_path / "tree")
    dataset, _ = prepare("ijbc", tmp_path / "tree", tmp_path / "data", allow_partial=True)
    for name, data in images(dataset).items():
        number = int(name[0])
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (112, 112, 3)
        source = np.asarray(Image.open(io.BytesIO(loose_crop(number))))
        assert np.abs(pixels - interpolated(source, solved(points(number)))).max() <= 0.5 + 1e-3


def test_landmarks_are_joined_by_name_repeated_lines_and_strange_images_do_no_harm(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree")
    before = images(prepare("ijbc", tmp_path / "tree", tmp_path / "one", allow_partial=True)[0])
    path = meta / "ijbc_name_5pts_score.txt"
    content = path.read_text().splitlines()
    content += [content[2], "nobody.jpg " + " ".join(map(str, range(10))) + " 1"]
    path.write_text("\r\n".join(content[::-1]) + "\r\n\r\n")
    dataset, _ = prepare("ijbc", tmp_path / "tree", tmp_path / "two", allow_partial=True)
    assert images(dataset) == before
    assert rows(dataset.table("members")) == [(*member, SCORES[member[0]]) for member in MEMBERS]


def test_a_set_of_ones_own_may_have_names_for_ids_and_no_identification(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab", identification=False)
    for file in ("face_tid_mid", "template_pair_label"):
        path = meta / f"lab_{file}.txt"
        path.write_text(path.read_text().replace("10", "anna", 10).replace(" 40", " 007"))
    dataset, _ = prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates")
    assert dataset.card.protocols == ("templates",)
    assert not dataset.card.partial
    assert dataset.card.tables.keys() - {contents.TABLE} == {"members", "pairs"}
    assert dataset.table("members")["template"].to_pylist() == ["anna", "20", "20", "20", "30", "007"]
    assert dataset.table("members").schema.types == [pa.string(), pa.string(), pa.int64(), pa.float64()]
    assert dataset.table("pairs")["template_1"].to_pylist() == ["anna", "anna", "20", "30"]
    assert dataset.table("pairs")["template_2"].to_pylist() == ["20", "30", "007", "007"]


def test_a_set_of_ones_own_with_gallery_and_probes_is_scored_by_both_protocols(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab", letter="S")
    one_to_n(meta / "lab_1N_gallery_S2.csv", [(20, "s008")])
    layout = templates(Tree(tmp_path / "tree"))
    assert layout.protocols == ("templates", "identification")
    assert rows(layout.tables["identification"])[:2] == [(10, "7", "gallery_1"), (20, "s008", "gallery_2")]


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no pairs": (lambda m: (m / "lab_template_pair_label.txt").unlink(), "lab_template_pair_label.txt: missing"),
    "no landmarks": (lambda m: (m / "lab_name_5pts_score.txt").unlink(), "lab_name_5pts_score.txt: missing"),
    "no crops": (lambda m: shutil.rmtree(m.parent / "loose_crop"), "loose_crop: missing; expected the folder of images"),
    "no image": (lambda m: (m.parent / "loose_crop" / "4.jpg").unlink(), "loose_crop/4.jpg: missing"),
    "no image but text": (lambda m: (m.parent / "loose_crop" / "4.jpg").write_text("x"), "4.jpg: unreadable image"),
    "empty file": (lambda m: (m / "lab_template_pair_label.txt").write_text(""), "not a text of columns (Empty CSV file)"),
    "blank file": (lambda m: (m / "lab_face_tid_mid.txt").write_text("\n\n"), "lab_face_tid_mid.txt: no lines"),
    "binary": (lambda m: (m / "lab_face_tid_mid.txt").write_bytes(b"\xff\xfe \xfa 2\n"), "not a text of columns"),
    "line that is no text": (
        lambda m: (m / "lab_template_pair_label.txt").write_bytes(b"10 20 1\n10 \xf0\n10 30 0\n"), "not a text of columns ('utf-8' codec"
    ),
    "member without media": (
        lambda m: replace_line(m / "lab_face_tid_mid.txt", 2, "2.jpg 20"), "1 lines of another width: '2.jpg 20'; expected 3 columns"
    ),
    "member with empty media": (
        lambda m: replace_line(m / "lab_face_tid_mid.txt", 2, "2.jpg 20 "), "1 lines of another width: '2.jpg 20'; expected 3 columns"
    ),
    "member twice": (
        lambda m: replace_line(m / "lab_face_tid_mid.txt", 4, "3.jpg 20 509"),
        "1 lines whose image and template stood before: '3.jpg 20'",
    ),
    "image out of the tree": (
        lambda m: [replace_line(m / f"lab_{file}.txt", 1, f"../../secret.png {rest}") for file, rest in
                   (("face_tid_mid", "10 501"), ("name_5pts_score", "1 2 3 4 5 6 7 8 8 9 1"))],
        "secret.png: leads out of the tree",
    ),
    "image without landmarks": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "6.jpg 1 2 3 4 5 6 7 8 9 8 1"), "1 images without landmarks: '5.jpg'"
    ),
    "too few coordinates": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "5.jpg 1 2 3 4 5 6 7 8 9 1"), "1 lines of another width: '5.jpg 1 2 3"
    ),
    "no number": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "5.jpg 1 2 3 4 x5 6 7 8 9 8 1"), "lines whose x3 is not a finite number"
    ),
    "endless score": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "5.jpg 1 2 3 4 5 6 7 8 9 8 1e999"),
        "1 lines whose detector_score is not a finite number: '5.jpg 1 2 3 4 5 6 7 8 9 8 1e999'",
    ),
    "score not a number": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "5.jpg 1 2 3 4 5 6 7 8 9 8 nan"), "detector_score is not a finite number"
    ),
    "negative score": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "5.jpg 1 2 3 4 5 6 7 8 9 8 -1"), "1 lines with a negative detector score"
    ),
    "one point": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, f"5.jpg {'4 4 ' * 5}1"), "fix no similarity: '5.jpg'"
    ),
    "two sets of points": (
        lambda m: replace_line(m / "lab_name_5pts_score.txt", 5, "1.jpg 1 2 3 4 5 6 7 8 9 8 1"),
        "1 lines that contradict an earlier one of the image: '1.jpg'",
    ),
    "unknown template": (
        lambda m: replace_line(m / "lab_template_pair_label.txt", 2, "10 99 0"), "1 templates without members: 99"
    ),
    "template that is no number": (
        lambda m: replace_line(m / "lab_template_pair_label.txt", 2, "ten 20 0"), "lines whose template_1 is not a whole number: 'ten 20 0'"
    ),
    "label 2": (
        lambda m: replace_line(m / "lab_template_pair_label.txt", 2, "10 30 2"), "1 lines whose same is not 0 or 1: '10 30 2'"
    ),
    "label -1": (lambda m: replace_line(m / "lab_template_pair_label.txt", 2, "10 30 -1"), "is not 0 or 1: '10 30 -1'"),
    "half a label": (lambda m: replace_line(m / "lab_template_pair_label.txt", 2, "10 30"), "another width: '10 30'"),
    "half of 1:N": (lambda m: (m / "lab_1N_probe_mixed.csv").unlink(), "lab_1N_probe_mixed.csv: missing"),
    "1:N without header": (
        lambda m: (m / "lab_1N_probe_mixed.csv").write_text("30,7,a.jpg\n"), "probe_mixed.csv line 1: no column TEMPLATE_ID, SUBJECT_ID"
    ),
    "1:N unknown template": (lambda m: one_to_n(m / "lab_1N_gallery_G1.csv", [(11, 7)]), "1 templates without members: 11"),
    "1:N two subjects": (
        lambda m: one_to_n(m / "lab_1N_gallery_G1.csv", [(10, 7), (10, 8)]), "1 templates with a second subject or role: 10"
    ),
    "1:N two roles": (
        lambda m: one_to_n(m / "lab_1N_probe_mixed.csv", [(30, 7), (10, 7)]), "1 templates with a second subject or role: 10"
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_tree_is_refused_and_the_place_is_named(name: str, tmp_path: Path) -> None:
    Image.new("RGB", (90, 90)).save(tmp_path / "secret.png")
    spoil, expected = FAULTS[name]
    spoil(ijb_tree(tmp_path / "tree", "lab"))  # whole otherwise: a test above prepares it
    with pytest.raises(UserError) as error:
        prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates")
    assert expected in str(error.value)
    assert not (tmp_path / "data" / "lab_faces").exists()


def test_without_members_a_tree_has_nothing_but_that_is_told_once(tmp_path: Path) -> None:
    (ijb_tree(tmp_path) / "ijbc_face_tid_mid.txt").unlink()
    tree = Tree(tmp_path)
    assert not ijb(tree, "ijbc").splits["test"]
    assert [(Path(fault.where).name, fault.found) for fault in tree.faults] == [("ijbc_face_tid_mid.txt", "missing")]


def test_faults_of_all_files_are_told_together(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    replace_line(meta / "lab_face_tid_mid.txt", 1, "1.jpg 10 501 9")
    replace_line(meta / "lab_template_pair_label.txt", 4, "30 41 1")
    replace_line(meta / "lab_name_5pts_score.txt", 2, "2.jpg 1 2 3 4 5 6 7 8 9 8 x")
    (tmp_path / "tree" / "loose_crop" / "5.jpg").unlink()
    with pytest.raises(UserError) as error:
        prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates")
    text = str(error.value)
    for part in ("'1.jpg 10 501 9'", "templates without members: 41", "8 x'", "5.jpg: missing", "without members: 10"):
        assert part in text


def test_a_partial_set_has_no_member_pair_or_probe_that_it_lacks(tmp_path: Path) -> None:
    ijb_tree(tmp_path / "tree", "lab")
    for number in (3, 5):  # template 30 and 40 lose their only image, template 20 one of three
        (tmp_path / "tree" / "loose_crop" / f"{number}.jpg").unlink()
    dataset, _ = prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates", allow_partial=True)
    assert dataset.card.partial
    assert dataset.ids("test").tolist() == ["1.jpg", "2.jpg", "4.jpg"]
    kept = [("1.jpg", 10, 501, 0.999), ("2.jpg", 20, 502, 0.5), ("4.jpg", 20, 503, 0.0)]
    assert rows(dataset.table("members")) == kept
    assert rows(dataset.table("pairs")) == [(10, 20, True)]
    assert rows(dataset.table("identification")) == IDENTIFICATION[:2]


def test_a_set_of_ones_own_has_one_prefix(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert not templates(tree).splits["test"]
    assert "no such file; expected one file called <prefix>_face_tid_mid.txt" in str(tree.faults[0])
    ijb_trees.ijb_tree(tmp_path, "a")
    (tmp_path / "meta" / "b_face_tid_mid.txt").write_text("1.jpg 1 1\n")
    tree = Tree(tmp_path)
    templates(tree)
    assert "'a_face_tid_mid.txt', 'b_face_tid_mid.txt'" in str(tree.faults[0])


def test_a_file_full_of_faults_names_a_few_and_counts_the_rest(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path)
    (meta / "ijbc_template_pair_label.txt").write_text("10 20 1\n" + "10 20\n" * 1000 + "10 20 3\n" * 2000)
    tree = Tree(tmp_path)
    assert rows(ijb(tree, "ijbc").tables["pairs"]) == [(10, 20, True)]
    assert [fault.found.split(":")[0] for fault in tree.faults] == [
        "2,000 lines whose same is not 0 or 1",
        "1,000 lines of another width",
    ]
    assert all(len(str(fault)) < 400 and "more" in fault.found for fault in tree.faults)


WRITTEN = {
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac": lambda text: text.replace("\n", "\r").encode(),
    "Windows, twice": lambda text: text.replace("\n", "\r\r\n").encode(),
    "a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "blank lines at the end": lambda text: (text + "\n\n").encode(),
    "no end": lambda text: text.removesuffix("\n").encode(),
    "blanks in lines": lambda text: text.replace("\n", " \n").replace(" ", "  ").encode(),
    "tabs": lambda text: text.replace(" ", "\t").encode(),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", WRITTEN)
def test_whatever_wrote_the_meta_files_the_tables_are_the_same(how: str, tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    replace_line(meta / "lab_1N_probe_mixed.csv", 2, "30,s 7,img/é.jpg,1,5,6,70,80")
    replace_line(meta / "lab_1N_probe_mixed.csv", 3, '"30","s 7",frames/30.png,2,5,6,70,80')
    expected, before = prepared(tmp_path / "tree", tmp_path / "one")
    for path in meta.iterdir():
        if path.suffix == ".txt" or how not in ("blanks in lines", "tabs"):
            path.write_bytes(WRITTEN[how](path.read_text(encoding="utf-8")))
    (meta / "._lab_face_tid_mid.txt").write_bytes(b"\x00\x05\x16\x07")
    found, after = prepared(tmp_path / "tree", tmp_path / "two")
    assert found == expected
    assert after == before
    assert [row[2] for row in found["identification"]] == ["gallery_1", "gallery_2", "probe", "probe"]


def prepared(tree: Path, data: Path) -> tuple[dict[str, list[tuple[Any, ...]]], dict[str, bytes]]:
    dataset, _ = prepare("lab_faces", tree, data, reader="templates")
    return {name: rows(dataset.table(name)) for name in ("members", "pairs", "identification")}, images(dataset)


def test_blanks_round_the_fields_of_the_galleries_are_no_part_of_a_name(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    expected, _ = prepared(tmp_path / "tree", tmp_path / "one")
    path = meta / "lab_1N_gallery_G1.csv"
    path.write_text(path.read_text().replace(",", " , "))
    assert prepared(tmp_path / "tree", tmp_path / "two")[0] == expected


def test_a_quote_that_is_not_closed_swallows_no_probe(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    replace_line(meta / "lab_1N_probe_mixed.csv", 2, '30,"7,img/30.jpg,1,5,6,70,80')
    with pytest.raises(UserError, match=r"probe_mixed\.csv: not a text of columns \(quotes: unexpected end of data"):
        prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates")


def test_a_list_with_names_of_another_encoding_is_named(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    path = meta / "lab_face_tid_mid.txt"
    path.write_bytes(path.read_text().replace("2.jpg", "M\u00fcller.jpg").encode("latin-1"))
    with pytest.raises(
        UserError, match=r"line 2: invalid start byte: byte 0xfc .Windows-1252 would read 'Müller\.jpg'"
    ):
        prepare("lab_faces", tmp_path / "tree", tmp_path / "data", reader="templates")


def test_an_image_in_the_other_form_of_unicode_is_found(tmp_path: Path) -> None:
    meta = ijb_tree(tmp_path / "tree", "lab")
    composed, split = (unicodedata.normalize(form, "Zoë.jpg") for form in ("NFC", "NFD"))
    for file, form in (("face_tid_mid", composed), ("name_5pts_score", split)):
        path = meta / f"lab_{file}.txt"
        path.write_text(path.read_text().replace("2.jpg", form), encoding="utf-8")
    (tmp_path / "tree" / "loose_crop" / "2.jpg").rename(tmp_path / "tree" / "loose_crop" / split)
    found, pictures = prepared(tmp_path / "tree", tmp_path / "one")
    assert [row[0] for row in found["members"]] == ["1.jpg", composed, "3.jpg", "4.jpg", "3.jpg", "5.jpg"]
    assert composed in pictures
