"""RecordIO: what dmlc's writer writes is read back byte by byte; what is damaged is told with its file and key."""

from __future__ import annotations

import base64
import re
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz_readers import tally
from gelo.tasks.prepare.formats.recordio import MAGIC, RecordError, joined, records, unpacked
from gelo.tasks.prepare.layout import Item
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare import face_trees
from tests.tasks.prepare.face_trees import im2rec, packed, with_header, write_records

IMAGES = [face_trees.jpeg(number, 8) for number in range(9)]
PEOPLE = [IMAGES[:2], IMAGES[2:6], IMAGES[6:]]
WORD = face_trees.MAGIC


def opened(root: Path) -> tuple[Sequence[Item], int, str]:
    tree = Tree(root)
    found = records(tree, "train.rec", "train.idx")
    items, identities = found if found is not None else ([], 0)
    return items, identities, "\n".join(map(str, tree.faults))


def damage(path: Path, at: int, data: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])


def offsets(root: Path) -> dict[int, int]:
    return {int(k): int(v) for k, v in (line.split("\t") for line in (root / "train.idx").read_text().splitlines())}


# worked by hand from dmlc's writer: "abcd" + magic + "ef" is cut into a first part of 4 bytes and a last one of 2, padded by 2
CUT = WORD + b"\x04\x00\x00\x20" + b"abcd" + WORD + b"\x02\x00\x00\x60" + b"ef\0\0"


def test_a_record_in_parts_by_hand() -> None:
    assert joined(CUT) == (b"abcd" + WORD + b"ef", len(CUT))
    assert face_trees.record(b"abcd" + WORD + b"ef") == CUT
    whole = WORD + b"\x05\x00\x00\x00" + b"abcde\0\0\0"
    assert joined(whole + b"what follows") == (b"abcde", 16)


@given(st.lists(st.one_of(st.just(WORD), st.binary(max_size=9)), max_size=12).map(b"".join))
def test_any_bytes_come_back(data: bytes) -> None:
    """Magic words at the start, at the end, side by side, and at places that are no multiple of four."""
    written = face_trees.record(data)
    assert joined(written) == (data, len(written))
    assert len(written) % 4 == 0


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_an_error(data: bytes) -> None:
    for tried in (data, WORD + data):
        try:
            joined(tried)
        except RecordError as error:
            assert str(error)


# train.rec as mxnet 1.9.1 wrote it (MXIndexedRecordIO.write_idx of recordio.pack) for the images and labels of the test below
MXNET = zlib.decompress(
    base64.b85decode(
        "c-rGqzJ5-Dfq{XE0T(#n03;l_fa+wBL>bXkW#*<EfYhikFet#x!ZfqN9z-T4C8vPY0_77@(-;^)Yzd$~m?~y8T_AZN<p83A_9j$7"
        "#nh4PV8LNmAxL3W6<ECjk{zsQstt{dO-#+qEueNKa1jg_u=x(essjMB;wFX"
    )
)
MXNET_OFFSETS = (0, 40, 76, 132, 184, 232, 280, 320)


def test_a_file_that_mxnet_wrote(tmp_path: Path) -> None:
    """Header record, labels in the header and after it, and magic words where the writer cuts and where it does not."""
    images = [b"img0", b"abcd" + WORD + b"ef", WORD + WORD + b"x", b"q" + WORD + b"zz", b"12345678" + WORD]
    (tmp_path / "train.rec").write_bytes(MXNET)
    (tmp_path / "train.idx").write_text("".join(f"{key}\t{at}\n" for key, at in enumerate(MXNET_OFFSETS)))
    items, identities, faults = opened(tmp_path)
    assert (faults, identities) == ("", 2)
    assert [(item.label, item.load()) for item in items] == [(n % 2, image) for n, image in enumerate(images)]
    labels = [(n % 2, 0) if n % 2 else n % 2 for n in range(5)]
    rows = [(n + 1, packed(label, image, n + 1)) for n, (label, image) in enumerate(zip(labels, images, strict=True))]
    write_records(
        tmp_path / "ours", [(0, packed((6, 8), b"")), *rows, (6, packed((1, 2), b"")), (7, packed((1, 2), b""))]
    )
    assert (tmp_path / "ours" / "train.rec").read_bytes() == MXNET, "and the writer of these tests writes the same"
    assert (tmp_path / "ours" / "train.idx").read_bytes() == (tmp_path / "train.idx").read_bytes()


def test_labels() -> None:
    labels, image = unpacked(packed(7, b"image"))
    assert (labels, image) == ((7.0,), b"image")
    labels, image = unpacked(packed((7, 8, 9.5), b"image"))
    assert (labels, image) == ((7.0, 8.0, 9.5), b"image")
    with pytest.raises(RecordError, match="4,294,967,295 labels in 29 bytes"):
        unpacked(struct.pack("<IfQQ", 0xFFFFFFFF, 0, 0, 0) + b"image")
    with pytest.raises(RecordError, match="23 bytes, less than its header"):
        unpacked(packed(7, b"")[:-1])


@pytest.mark.parametrize("several", [True, False])
def test_with_a_header_record(several: bool, tmp_path: Path) -> None:
    write_records(tmp_path, with_header(PEOPLE, several))
    items, identities, faults = opened(tmp_path)
    assert (faults, identities, len(items)) == ("", 3, 9)
    assert [item.label for item in items] == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert [item.load() for item in items] == IMAGES
    assert [item.id for item in items] == [f"{n:06d}" for n in range(9)]
    assert items[4].where == f"{tmp_path / 'train.rec'} key 5"
    assert [item.id for item in items[-2:]] == ["000007", "000008"]
    assert items[-1].id == "000008"
    with pytest.raises(IndexError):
        items[9]


def test_without_a_header_record_key_0_is_an_image(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec([5, 0, 2, 7, 7, 1, 1, 1, 3], IMAGES))
    items, identities, faults = opened(tmp_path)
    assert (faults, identities) == ("", 0)
    assert [item.label for item in items] == [5, 0, 2, 7, 7, 1, 1, 1, 3]
    assert [item.load() for item in items] == IMAGES


def test_an_image_of_several_labels_at_key_0_is_no_header_record(tmp_path: Path) -> None:
    write_records(tmp_path, [(0, packed((3, 1), IMAGES[0])), (1, packed((4, 1), IMAGES[1]))])
    items, identities, faults = opened(tmp_path)
    assert (faults, identities, [item.label for item in items]) == ("", 0, [3, 4])


def test_items_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    """im2rec with a shuffled list: neither keys nor offsets ascend; here the records lie in the order 4, 0, 3, 1, 2."""
    rows = im2rec([0, 1, 2, 3, 4], IMAGES[:5])
    write_records(tmp_path, [rows[key] for key in (4, 0, 3, 1, 2)])
    items, _, faults = opened(tmp_path)
    assert not faults
    assert [(item.label, item.load()) for item in items] == list(enumerate(IMAGES[:5]))


def test_a_large_record_and_an_index_that_leaves_records_out(tmp_path: Path) -> None:
    large = np.random.default_rng(0).bytes(700_001)
    write_records(tmp_path, im2rec([0, 1, 2], [large, IMAGES[0], large + WORD * 3 + large]))
    lines = (tmp_path / "train.idx").read_text().splitlines(keepends=True)
    (tmp_path / "train.idx").write_text(lines[0] + lines[2])
    items, _, faults = opened(tmp_path)
    assert not faults
    assert [item.load() for item in items] == [large, large + WORD * 3 + large]


def test_records_are_read_from_many_threads(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    items, _, _ = opened(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: (items[n % 9].label, items[n % 9].load()), range(2_000)))
    assert found == [(n % 9, IMAGES[n % 9]) for n in range(2_000)]


@pytest.mark.slow
def test_the_list_of_items_is_never_in_memory(tmp_path: Path) -> None:
    """20,000 records of 1 kB: what is traced while they pass is the index, 16 bytes a record, and one record."""
    image = bytes(1_000)
    write_records(tmp_path, ((key, packed(0, image)) for key in range(20_000)))
    tracemalloc.start()
    items, _, _ = opened(tmp_path)
    assert sum(len(item.load()) for item in items) == 20_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # a block of the index is 1 MiB


def broken(root: Path, key: int) -> tuple[list[int], str]:
    """Keys whose item does not load, and what the one of `key` says."""
    items, _, faults = opened(root)
    assert not faults
    said: dict[int, str] = {}
    for item in items:
        try:
            item.load()
        except RecordError as error:
            said[int(item.where.rpartition(" ")[2])] = str(error)
            assert item.label == 0
    return sorted(said), said[key]


@pytest.mark.parametrize(
    ("shift", "data", "said"),
    [
        (0, b"\x00\x00\x00\x00", "magic 0x00000000 in place of 0xCED7230A"),
        (0, struct.pack("<I", 0x3ED7230A), "magic 0x3ED7230A in place of"),
        (4, b"\xff\xff\xff\x1f", "runs past the next record"),
        (4, b"\x08\x00\x00\x00", "8 bytes, less than its header of 24"),
        (4, b"\x18\x00\x00\x20", "broken sequence of parts|magic"),
        (4, b"\x18\x00\x00\x60", "part 1 has flag 3: a broken sequence of parts"),
        (4, b"\x18\x00\x00\x80", "part 1 has flag 4"),
        (8, b"\xff\xff\xff\x7f", "labels in"),
        (12, struct.pack("<f", 1.5), "label 1.5, a whole number below"),
        (12, struct.pack("<f", -1), "label -1, a whole number"),
        (12, struct.pack("<f", np.nan), "label nan"),
        (12, struct.pack("<f", np.inf), "label inf"),
        (12, struct.pack("<f", 2.0**24), "label 1.67772e\\+07, a whole number below 16,777,216"),
    ],
)
def test_one_damaged_record_is_told_and_the_others_are_read(shift: int, data: bytes, said: str, tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    damage(tmp_path / "train.rec", offsets(tmp_path)[4] + shift, data)
    keys, message = broken(tmp_path, 4)
    assert keys == [4]
    assert re.search(said, message), message


def test_a_label_beyond_the_identities(tmp_path: Path) -> None:
    rows = with_header(PEOPLE, several=False)
    rows[3] = (3, packed(3, IMAGES[2]))
    write_records(tmp_path, rows)
    assert broken(tmp_path, 3) == ([3], "label 3, a whole number below 3 is needed")


def test_a_sequence_of_parts_that_stops(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec([0, 1, 2], [IMAGES[0], b"abcd" + WORD + b"ef", IMAGES[1]]))
    at = offsets(tmp_path)[1] + 8 + 28  # header and "abcd" are the first part: the last part's head
    damage(tmp_path / "train.rec", at + 4, b"\x02\x00\x00\x00")
    assert broken(tmp_path, 1) == ([1], "part 2 has flag 0: a broken sequence of parts")
    damage(tmp_path / "train.rec", at + 4, b"\x02\x00\x00\x40")
    assert "runs past the next record" in broken(tmp_path, 1)[1]


def test_a_truncated_rec(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    whole, at = (tmp_path / "train.rec").read_bytes(), offsets(tmp_path)
    (tmp_path / "train.rec").write_bytes(whole[: at[8] + 100])
    assert "runs past the end of the file (truncated?)" in broken(tmp_path, 8)[1]
    (tmp_path / "train.rec").write_bytes(whole[: at[6] + 5])
    items, _, faults = opened(tmp_path)
    assert f"3 offsets beyond the end of train.rec, first key 6; expected offsets below {at[6] + 5:,}" in faults
    assert [item.load() for item in items] == IMAGES[:6]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            struct.pack("<I", 0x3ED7230A) + bytes(40),
            "magic 0x3ED7230A of dmlc before 12 April 2015; expected magic 0xCED7230A",
        ),
        (b"\x89PNG" + bytes(40), "magic 0x474E5089; expected"),
        (b"", "train.rec: empty"),
    ],
)
def test_another_file_than_a_rec(data: bytes, said: str, tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    (tmp_path / "train.rec").write_bytes(data)
    items, _, faults = opened(tmp_path)
    assert said in faults
    assert not items


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0\t0\n1\tx\n", r"train.idx line 2: 1\tx; expected lines of key, tab and byte offset"),
        ("0\t0\n1 300\n", "line 2: 1 300"),
        ("0\t0\n1\t-8\n", "line 2"),
        ("0\t0\n1\t0x10\n", "line 2"),
        ("0\t0\n1\n", "line 2: 1"),
        ("0\t0\n1\t\n", "line 2"),
        ("0\t0\n1\t2\t3\n", "line 2"),
        ("0\t0\n1\t99999999999999999999\n", "line 2"),
        ("0\t0\n1\t9223372036854775808\n", "line 2"),
        ("0\t0\n1.0\t5\n", "line 2"),
        ('0\t0\n"1"\t5\n', "line 2"),
        ("0\t0\n\x00\t5\n", "line 2"),
        ("", "empty"),
        ("0\t0\n7\t300\n7\t600\n", "1 keys given twice, first 7"),
        ("7\t300\n0\t0\n7\t600\n", "1 keys given twice, first 7"),
        ("0\t0\n2\t300\n1\t300\n", "1 offsets given twice, first by the keys 1 and 2"),
        ("0\t9223372036854775807\n", "1 offsets beyond the end"),
    ],
)
def test_a_malformed_index(text: str, said: str, tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    (tmp_path / "train.idx").write_text(text)
    items, _, faults = opened(tmp_path)
    assert said.replace("\\t", "\t") in faults
    assert not items


def test_line_ends_of_windows_and_blank_lines(tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    text = (tmp_path / "train.idx").read_text()
    (tmp_path / "train.idx").write_bytes(text.replace("\n", "\r\n").encode() + b"\r\n")
    items, _, faults = opened(tmp_path)
    assert not faults
    assert [item.load() for item in items] == IMAGES


def test_an_index_that_was_cut_short(tmp_path: Path) -> None:
    """Without a header record by the bytes that are left; with one by the keys that it promises."""
    write_records(tmp_path, im2rec(range(9), IMAGES))
    text = (tmp_path / "train.idx").read_text()
    (tmp_path / "train.idx").write_text("".join(text.splitlines(keepends=True)[:7]))
    items, _, faults = opened(tmp_path)
    rest = (tmp_path / "train.rec").stat().st_size - int(text.splitlines()[7].split("\t")[1])
    assert f"{rest:,} bytes after the last record of train.idx; expected none (is the .idx truncated?)" in faults
    assert len(items) == 7
    write_records(tmp_path, with_header(PEOPLE))
    lines = (tmp_path / "train.idx").read_text().splitlines(keepends=True)
    (tmp_path / "train.idx").write_text("".join(lines[:8]))
    items, identities, faults = opened(tmp_path)
    assert "7 of the keys 1 to 9 are in the index; expected all of them" in faults
    assert "0 of the identities' keys 10 to 12 are in the index" in faults
    assert (len(items), identities) == (7, 0)


@pytest.mark.parametrize(
    "labels", [(0, 3), (10, 9), (10.5, 13), (float("nan"), 13), (10,), (2.0**24, 2.0**24 + 4), (10, float("inf"))]
)
def test_a_header_record_that_counts_nothing(labels: tuple[float, ...], tmp_path: Path) -> None:
    rows = with_header(PEOPLE)
    write_records(tmp_path, [(0, packed(labels, b"")), *rows[1:]])
    items, _, faults = opened(tmp_path)
    assert "key 0: labels " in faults
    assert not items


@pytest.mark.parametrize("missing", ["train.rec", "train.idx"])
def test_a_missing_file(missing: str, tmp_path: Path) -> None:
    write_records(tmp_path, im2rec(range(9), IMAGES))
    (tmp_path / missing).unlink()
    assert f"{missing}: missing" in opened(tmp_path)[2]


@pytest.mark.slow
def test_damaged_files_end_in_a_refusal_or_a_right_read() -> None:
    for seed, kind in enumerate(("rec", "idx")):
        outcomes, _ = tally(kind, 200, seed=200 + seed)
        assert set(outcomes) <= {"refused", "read"}
        assert outcomes["refused"] > 50


def test_the_magic_word() -> None:
    assert MAGIC == 0xCED7230A == int.from_bytes(WORD, "little")
