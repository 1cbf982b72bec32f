"""The data set format: what is written comes back, and every flaw of a folder is named at once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gelo.models.faults import Fault, UserError
from gelo.tasks.data.manifest import CARD, CHUNK, Dataset, open_dataset, read_chunk
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset

PAIRS = pa.table({"id_1": ["r0"], "id_2": ["r1"], "same": [True], "fold": [0]})


def png(index: int) -> bytes:
    pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def records(count: int, start: int = 0, label: int | None = None) -> Iterator[Record]:
    for index in range(start, start + count):
        yield Record(f"r{index}", png(index), index % 3 if label is None else label, {"subject": f"s{index % 5}"})


def write(root: Path, **changes: Any) -> Dataset:
    given: dict[str, Any] = {
        "name": root.name, "version": "1", "scale": "miniature", "classes": ("a", "b", "c"), "columns": ("subject",),
        "splits": {"train": records(CHUNK + 7), "test": records(5, start=1000)}, "tables": {"pairs": PAIRS},
        "source": "a test", "licence": "Apache-2.0",
    }  # fmt: skip
    return write_dataset(root, **(given | changes))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write(tmp_path / "toy")


def faults_of(root: Path, *, verify: bool = False) -> tuple[Fault, ...]:
    with pytest.raises(UserError) as refused:
        open_dataset(root, verify=verify)
    return refused.value.faults


def edit_card(root: Path, **changes: Any) -> None:
    card = json.loads((root / CARD).read_text())
    (root / CARD).write_text(json.dumps(card | changes))


def test_round_trip(dataset: Dataset) -> None:
    again = open_dataset(dataset.root, verify=True)
    assert again.card == dataset.card
    assert again.card.counts() == {"train": CHUNK + 7, "test": 5}
    written = list(records(CHUNK + 7))
    assert again.ids("train").tolist() == [record.id for record in written]
    assert again.labels("train").tolist() == [record.label for record in written]
    assert again.column("train", "subject").tolist() == [record.columns["subject"] for record in written]
    assert again.table("pairs").equals(PAIRS)
    chunks = again.chunks("train")
    assert [(c.index, c.first, c.rows) for c in chunks] == [(0, 0, CHUNK), (1, CHUNK, 7)]
    read = [pair for chunk in chunks for pair in zip(*read_chunk(chunk), strict=True)]
    assert read == [(record.id, record.image) for record in written], "the original bytes, untouched"


def test_a_row_group_is_a_chunk(dataset: Dataset) -> None:
    file = pq.ParquetFile(dataset.root / "train-00000.parquet")
    assert [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)] == [CHUNK, 7]


def test_equal_content_gives_equal_bytes_and_fingerprint_and_any_change_another(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one" / "toy"), write(tmp_path / "two" / "toy")
    assert one.fingerprint == two.fingerprint
    assert (one.root / "train-00000.parquet").read_bytes() == (two.root / "train-00000.parquet").read_bytes()
    changes: list[dict[str, Any]] = [
        {"version": "2"}, {"classes": ("a", "b", "d")}, {"tables": {}}, {"splits": {"train": records(5, label=1)}},
        {"splits": {"train": records(5, label=2)}},
    ]  # fmt: skip
    prints = [write(tmp_path / str(n) / "toy", **change).fingerprint for n, change in enumerate(changes)]
    assert len({one.fingerprint, *prints}) == 1 + len(changes)


def test_unknown_split_and_table_are_answered_with_the_known_ones(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="no split 'dev'; expected one of test, train"):
        dataset.chunks("dev")
    with pytest.raises(UserError, match="no table 'members'; expected one of pairs"):
        dataset.table("members")


def test_writing_refuses_duplicates_bad_labels_and_empty_splits_all_at_once(tmp_path: Path) -> None:
    splits = {"train": [*records(3), *records(1)], "test": records(1, start=2), "dev": [], "more": records(1, 50, 3)}
    with pytest.raises(UserError) as refused:
        write(tmp_path / "toy", splits=splits)
    assert [(fault.where, fault.found) for fault in refused.value.faults] == [
        ("split train", "duplicate id 'r0'"),
        ("split test", "duplicate id 'r2'"),
        ("split dev", "no records"),
        ("id r50", "label 3"),
    ]
    assert list(tmp_path.iterdir()) == [], "nothing is left, whole or partial"


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Record]:
        yield from records(CHUNK + 1)
        raise RuntimeError("the source ended early")

    with pytest.raises(RuntimeError, match="ended early"):
        write(tmp_path / "toy", splits={"train": broken()})
    assert list(tmp_path.iterdir()) == []


def test_missing_data_set(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path / "toy")
    assert fault.where == str(tmp_path / "toy" / CARD)
    assert fault.found == "missing"
    assert fault.remedy


def test_missing_and_truncated_files_are_all_named(dataset: Dataset) -> None:
    train, test, pairs = (dataset.root / f for f in ("train-00000.parquet", "test-00000.parquet", "pairs.parquet"))
    whole = train.stat().st_size
    train.write_bytes(train.read_bytes()[:-100])
    test.unlink()
    pairs.write_bytes(b"")
    found = {fault.where: fault for fault in faults_of(dataset.root)}
    assert found.keys() == {str(train), str(test), str(pairs)}
    assert found[str(train)].found == f"{whole - 100} bytes (truncated?)"
    assert found[str(train)].expected == f"{whole} bytes"
    assert found[str(test)].found == "missing"
    assert all(str(dataset.root) in fault.remedy for fault in found.values())


def test_a_flipped_bit_is_found_by_hash(dataset: Dataset) -> None:
    path = dataset.root / "train-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (fault,) = faults_of(dataset.root, verify=True)
    assert (fault.where, fault.found) == (str(path), "SHA-256 differs from dataset.json")


def test_a_file_that_is_not_parquet(dataset: Dataset) -> None:
    path = dataset.root / "test-00000.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    (fault,) = faults_of(dataset.root)
    assert fault.where == str(path)
    assert "not a Parquet file" in fault.found


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["subject"]),
        lambda table: table.rename_columns(["id", "image", "class", "subject"]),
        lambda table: table.set_column(2, "label", table.column("label").cast(pa.float64())),
    ],
)
def test_a_wrong_schema(dataset: Dataset, change: Any) -> None:
    path = dataset.root / "test-00000.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    card = json.loads((dataset.root / CARD).read_text())
    card["splits"]["test"][0]["bytes"] = path.stat().st_size
    (dataset.root / CARD).write_text(json.dumps(card))
    (fault,) = faults_of(dataset.root)
    assert fault.where == str(path)
    assert fault.found.startswith("columns ")
    assert "'label', 'subject'" in fault.expected


def test_a_wrong_number_of_rows(dataset: Dataset) -> None:
    card = json.loads((dataset.root / CARD).read_text())
    card["splits"]["test"][0]["rows"] = 6
    edit_card(dataset.root, splits=card["splits"])
    (fault,) = faults_of(dataset.root)
    assert (fault.found, fault.expected) == ("5 rows", "6 rows")


def test_a_damaged_card_names_every_key(dataset: Dataset) -> None:
    edit_card(dataset.root, format=2, scale="huge", colour="red")
    where = {fault.where.rsplit(" ", 1)[-1] for fault in faults_of(dataset.root)}
    assert where == {"format", "scale", "colour"}
    (dataset.root / CARD).write_text('{"format": 1,')
    (fault,) = faults_of(dataset.root)
    assert str(dataset.root / CARD) in fault.where


def test_an_unknown_column_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    edit_card(dataset.root, columns=["subject", "mood"])
    (fault,) = faults_of(dataset.root)
    assert "mood" in fault.found
    assert "subject" in fault.expected
