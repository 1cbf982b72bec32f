"""CSVs of labelled images: every problem told at once by line, paths of any machine, nothing read as what it is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from models.faults import UserError
from tasks.prepare.prepare import prepare
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
        "'a b': letters, digits and _ - . : only in 1 lines: 13",
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
