"""CSVs of labelled images: every problem told at once by line, paths of any machine, nothing read as what it is not."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from gelo.models.faults import UserError
from gelo.tasks.prepare.biometric.attacks import morphs, spoofs
from gelo.tasks.prepare.layout import Asked
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare.attack_checks import partial, refused, rows
from tests.tasks.prepare.attack_trees import photograph, put, table


def test_every_problem_of_a_csv_is_told_at_once_by_line(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for n in range(9):
        put(root / f"{n}.png", photograph("warp", 0))
    (root / "8.png").write_text("a text file where an image should be")
    table(
        root / "test.csv",
        ["0.png,bonafide,", "1.png,Bona-fide,bona_fide", "2.png,attack,print", "3.png,real,", "4.png,live,", "5.png,real,",
         "6.png,attack,", "7.png,attack,live", "0.png,bonafide,", "2.png,bonafide,", ",attack,print", "7.png,attack,a b",
         "7.png,bonafide,print", "7.png,attack,print,more", "8.png,attack,print", "gone.png,attack,print", "../x.png,attack,print"],
        "image_path,label,attack",
    )  # fmt: skip
    put(tmp_path / "x.png", (root / "0.png").read_bytes())
    text = refused("mine", root, reader="morphs")
    for expected in (
        "test.csv: label 'real' in 2 lines: 5, 7; expected bonafide or attack",
        "test.csv: label 'live' in 1 lines: 6",
        "attack '' with label 'attack' in 1 lines: 8; expected the name of the attack",
        "attack 'live' with label 'attack' in 1 lines: 9",
        "2 images listed twice: '0.png (lines 2 and 10)', '2.png (lines 4 and 11, as bona fide and as attack)'",
        "empty image_path in 1 lines: 12",
        "metric name piece 'a b' in 1 lines: 13; expected letters, digits and _ - . : only, up to 80",
        "attack 'print' with label 'bonafide' in 1 lines: 14; expected empty or bona_fide",
        "another number of fields than the header in 1 lines: 15",
        "gone.png: missing",
        "../x.png: leads out of the tree",
    ):
        assert expected in text
    assert set(rows(partial("mine", root, reader="morphs"), "test")) == {"0.png", "1.png"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"image_path;label\n0.png;bonafide\n", "no column label in 'image_path;label'"),
        (b"image_path;label\n0.png;bonafide\n", "its columns are separated by ';': save it with ','"),
        (b"image_path\tlabel\n0.png\tbonafide\n", "its columns are separated by '\\t': save it with ','"),
        (b"image_path,label\n0.png,bonafide\nM\xfcller.png,attack\n", "line 3: invalid start byte: byte 0xfc (Windows-1252 would read 'M"),
        (b"PK\x03\x04\x14\x00xl/workbook.xml", "no CSV (an Excel workbook (.xlsx)); expected a CSV with the columns"),
        (b"0.png,bonafide\n", "no column image_path"),
        (b"image_path,label,atack\n0.png,attack,print\n", "unknown column 'atack'"),
        (b"image_path,label,label\n0.png,attack,attack\n", "a column twice"),
        (b"image_path,label\n", "no images"),
        (b"", "no column image_path in ''"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "no CSV"),
        (b'image_path,label\n"0.png,bonafide\n', "no CSV"),
        (b"image_path,label\nelsewhere/0.png,bonafide\nhere/1.png,attack\n", "none of its images is there, such as elsewhere/0.png"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_such_csv_is_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    put(root / "0.png", photograph("warp", 0))
    (root / "test.csv").write_bytes(content)
    assert expected in refused("mine", root, reader="morphs")


def test_paths_may_count_from_the_csv_or_the_root_be_absolute_or_of_another_machine(tmp_path: Path) -> None:
    for case, written in (("own", "../{}"), ("root", "{}"), ("absolute", "{root}/{}"), ("strange", "/srv/them/x/{}")):
        root = tmp_path / case
        for name in ("live/0.png", "fake/1.png"):
            put(root / name, photograph("warp", 0))
        said = [written.format(name, root=root) for name in ("live/0.png", "fake/1.png")]
        table(root / "Protocols" / "test.csv", [f"{said[0]},bonafide", f"{said[1]},attack"])
        assert set(rows(partial("mine", root, reader="morphs"), "test")) == {"live/0.png", "fake/1.png"}, case
    put(tmp_path / "strange" / "Protocols" / "live" / "0.png", b"")
    put(tmp_path / "strange" / "Protocols" / "fake" / "1.png", b"")
    text = refused("other", tmp_path / "strange", reader="morphs")
    assert "/srv/them/x/live/0.png may be Protocols/live/0.png and live/0.png" in text


def test_a_hundred_mutated_csvs_end_in_a_set_or_in_faults(tmp_path: Path) -> None:
    """Each is read right or refused with words: what is prepared holds no image with a label that its line does not say."""
    root = tmp_path / "tree"
    for n in range(4):
        put(root / f"{n}.png", photograph("warp", 0))
    whole = b"image_path,label,attack\n0.png, bonafide,\n1.png,attack,print\n2.png,bonafide,\n3.png,attack,mask\n"
    truth = {"0.png": 1, "1.png": 0, "2.png": 1, "3.png": 0}
    draw = random.Random(0)
    read = 0
    for case in range(100):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(content))
            match draw.randrange(3):
                case 0:
                    content[at] = draw.randrange(256)
                case 1:
                    del content[at : at + draw.randint(1, 9)]
                case _:
                    content[at:at] = bytes(draw.choices(b',"\n\r\x00 abe_', k=draw.randint(1, 3)))
        (root / "test.csv").write_bytes(content)
        try:
            dataset, _ = prepare("mine", root, tmp_path / "data", reader="morphs", replace=True)
        except UserError:
            continue
        read += 1
        got = rows(dataset, "test")
        assert all(truth[identity] == row[0] for identity, row in got.items()), (case, bytes(content))
    assert 0 < read < 100


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", " \n", "\n,\n"])
def test_whatever_wrote_a_csv_it_is_the_same_list(end: str, encoding: str, tmp_path: Path) -> None:
    for name in ("ä.png", "b.png"):
        put(tmp_path / "tree" / name, photograph("warp", 0))
    text = end.join(["image_path,label,attack", "ä.png,bonafide,", '"b.png",attack,print', ""])
    (tmp_path / "tree" / "test.csv").write_bytes(text.encode(encoding))
    assert rows(partial("mine", tmp_path / "tree", reader="morphs"), "test") == {
        "ä.png": (1, "bona_fide"),
        "b.png": (0, "print"),
    }


def test_paths_of_windows_are_read_with_slashes(tmp_path: Path) -> None:
    for case, written in (("relative", "{}"), ("absolute", "C:\\Users\\me\\set\\{}"), ("dotted", ".\\{}")):
        root = tmp_path / case
        for name in ("live/0.png", "fake/1.png"):
            put(root / name, photograph("warp", 0))
        lines = [written.format("live\\0.png") + ",bonafide", written.format("fake\\1.png") + ",attack"]
        table(root / "test.csv", lines)
        assert set(rows(partial("mine", root, reader="morphs"), "test")) == {"live/0.png", "fake/1.png"}, case


def test_a_name_in_the_other_form_of_unicode_is_found_and_has_one_id(tmp_path: Path) -> None:
    composed, split = (unicodedata.normalize(form, "José/é_1.png") for form in ("NFC", "NFD"))
    for disk, listed in ((composed, split), (split, composed)):
        root = tmp_path / str(disk == split)
        put(root / disk, photograph("warp", 0))
        put(root / "b_1.png", photograph("warp", 0))
        table(root / "test.csv", [f"{listed},bonafide,Zo\u00eb", "b_1.png,attack,b"], "image_path,label,video")
        assert rows(partial("mine", root, reader="spoofs"), "test")[composed][:3] == (1, "bona_fide", "Zo\u00eb")


def test_what_a_list_is_taken_for_is_told(tmp_path: Path) -> None:
    for name in ("a_1.png", "b_1.png", "c_1.png", "d_1.png"):
        put(tmp_path / name, photograph("warp", 0))
    header = "image_path,label,subject"
    table(tmp_path / "train.csv", ["a_1.png,bonafide,s", "b_1.png,attack,s"], header)
    table(tmp_path / "test.csv", ["c_1.png,bonafide,t", "d_1.png,attack,t"], header)
    put(tmp_path / "._test.csv", b"\x00\x05\x16\x07")
    layout = spoofs(tree := Tree(tmp_path))
    assert not tree.faults
    assert layout.evidence == "labels bonafide and attack of test.csv, train.csv"
    assert layout.used == {"image": "image_path", "label": "label", "subject": "subject"}
    assert layout.taken == {"train": ("train.csv",), "test": ("test.csv",)}
    assert layout.notes[0].startswith("train: 2 frames of 2 videos (1 bona fide, 1 attacks), by folder and stem")


def test_a_list_called_as_a_split_is_no_attack(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.png", photograph("warp", 0))
    table(tmp_path / "training.csv", ["a.png,bonafide", "b.png,attack"])
    table(tmp_path / "gan.csv", ["a.png,bonafide", "c.png,attack"])
    tree = Tree(tmp_path)
    morphs(tree)
    assert [str(fault).replace(f"{tmp_path}/", "") for fault in tree.faults] == [
        "training.csv: called as a list of the train split is; expected train.csv, test.csv, or the name of an attack; "
        "rename it, or --split training=train"
    ]
    (tmp_path / "gan.csv").rename(tmp_path / "held_back.csv")
    for role, split in (("train", "train"), ("val", "dev"), ("test", "test")):
        tree = Tree(tmp_path, asked=Asked({"training": role, "held_back": ""}))
        for reader in (morphs, spoofs):
            assert list(reader(tree).splits) == [split]
            assert not tree.faults
        assert tree.left == {"left out by --split": ["held_back.csv"] * 2}


def test_splits_of_a_column_and_of_folders_may_be_said(tmp_path: Path) -> None:
    for n in range(4):
        put(tmp_path / "a" / f"{n}.png", photograph("warp", 0))
    lines = ["0.png,bonafide,v0,Fold A", "1.png,attack,v1,Fold A", "2.png,bonafide,v2,Fold B", "3.png,attack,v3,Fold C"]
    table(tmp_path / "a" / "all.csv", lines, "image_path,label,video,split")
    tree = Tree(tmp_path / "a", asked=Asked({"Fold A": "test", "Fold B": "val", "Fold C": ""}))
    layout = spoofs(tree)
    assert not tree.faults
    assert {split: [item.id for item in items] for split, items in layout.splits.items()} == {
        "dev": ["2.png"],
        "test": ["0.png", "1.png"],
    }
    assert tree.left == {"split Fold C, left out by --split": ["3.png"]}
    for place in ("Set 1/d/bona_fide/v/0.png", "Set 1/d/print/v/0.png", "Set 2/d/print/w/0.png"):
        put(tmp_path / "b" / place, photograph("warp", 0))
    tree = Tree(tmp_path / "b", asked=Asked({"Set 1": "test", "Set 2": ""}))
    assert {item.id for item in spoofs(tree).splits["test"]} == {"Set 1/d/bona_fide/v/0.png", "Set 1/d/print/v/0.png"}
    assert not tree.faults
