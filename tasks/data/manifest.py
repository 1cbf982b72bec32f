"""dataset.json: what a data set folder holds. Written whole, read with every fault at once, hashed into a fingerprint.

A data set is `<data>/<name>/` with `dataset.json`, `<split>-00000.parquet` shards (row groups of `CHUNK` records), protocol tables
and, beside these, the table `contents` (tasks/data/contents.py). The row group is the unit of everything after it: decoded, embedded and
resumed one `Chunk` at a time, so that a feature never depends on which other images shared its batch.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from gelo.models.durable import sha256_of
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.untrusted import read_json
from gelo.tasks.data import bounded, contents
from gelo.tasks.data.card import Card, FileEntry
from gelo.tasks.data.elsewhere import opened
from gelo.tasks.data.records import PROTOCOL_COLUMNS, schema_for

CARD = "dataset.json"
CHUNK = 128  # records of a row group = images of one encoder batch
SHARD_ROWS = 64 * CHUNK


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row group: `index` counts chunks within the split, `first` the records before it. elsewhere: the file that its images stay in."""

    split: str
    index: int
    path: str
    row_group: int
    first: int
    rows: int
    elsewhere: str = ""


@dataclass(frozen=True)
class Dataset:
    """A prepared data set on disk. Open with `open_dataset`, which checks it."""

    root: Path
    card: Card

    @property
    def name(self) -> str:
        return self.card.name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the card; the card holds the hash of every file."""
        return hashlib.sha256(canonical(self.card)).hexdigest()[:16]

    @property
    def elsewhere(self) -> str:
        """The file that the images stay in; "" where the shards hold them."""
        return self.card.elsewhere.file if self.card.elsewhere is not None else ""

    def chunks(self, split: str) -> list[Chunk]:
        """The row groups of one split in order. Raises UserError for an unknown split."""
        chunks: list[Chunk] = []
        first = 0
        for shard in self._shards(split):
            for group, start in enumerate(range(0, shard.rows, CHUNK)):
                rows = min(CHUNK, shard.rows - start)
                path = str(self.root / shard.file)
                chunks.append(Chunk(split, len(chunks), path, group, first, rows, self.elsewhere))
                first += rows
        return chunks

    def column(self, split: str, name: str) -> np.ndarray:
        """One column of one split, (N,): ids and protocol columns as object arrays of str, labels as int64."""
        pieces = [
            pq.ParquetFile(self.root / shard.file).read(columns=[name]).column(0) for shard in self._shards(split)
        ]
        return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks]).to_numpy()

    def ids(self, split: str) -> np.ndarray:
        return self.column(split, "id")

    def labels(self, split: str) -> np.ndarray:
        return self.column(split, "label")

    def records(self, split: str, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """These records of one split, counted from 0, in the order asked for. Row groups are read whole, one at a time."""
        chunks = self.chunks(split)
        by_chunk: dict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(numbers):
            by_chunk[bisect_right(chunks, number, key=lambda chunk: chunk.first) - 1].append(place)
        found: dict[int, dict[str, Any]] = {}
        for index, places in by_chunk.items():
            chunk = chunks[index]
            table = pq.ParquetFile(chunk.path).read_row_group(chunk.row_group, columns=list(columns))
            rows = table.take([numbers[place] - chunk.first for place in places]).to_pylist()
            if self.elsewhere and "image" in columns:
                rows = [{**row, "image": opened(self.elsewhere).image(row["image"])} for row in rows]
            found.update(zip(places, rows, strict=True))
        return [found[place] for place in range(len(numbers))]

    def table(self, name: str) -> pa.Table:
        """A protocol table, such as `pairs` or `templates`. Raises UserError when the data set has none of that name."""
        if name not in self.card.tables:
            known = [table for table in self.card.tables if table != contents.TABLE]
            raise UserError(
                f"data set {self.name}",
                Fault(str(self.root / CARD), f"no table {name!r}", f"one of {', '.join(known) or '(none)'}"),
            )
        return pq.read_table(self.root / self.card.tables[name].file)

    def _shards(self, split: str) -> tuple[FileEntry, ...]:
        if split not in self.card.splits:
            raise UserError(
                f"data set {self.name}",
                Fault(str(self.root / CARD), f"no split {split!r}", f"one of {', '.join(self.card.splits)}"),
            )
        return self.card.splits[split]


def read_chunk(chunk: Chunk) -> tuple[list[str], list[bytes]]:
    """Ids and encoded images of one chunk."""
    table = pq.ParquetFile(chunk.path).read_row_group(chunk.row_group, columns=["id", "image"])
    images = table.column("image").to_pylist()
    if chunk.elsewhere:
        images = [opened(chunk.elsewhere).image(held) for held in images]
    return table.column("id").to_pylist(), images


def open_dataset(root: Path, *, verify: bool = False) -> Dataset:
    """Read the card and check the files against it (presence, size, schema; with `verify` their SHA-256 too).

    Raises UserError with every fault found.
    """
    path = root / CARD
    if not path.is_file():
        raise UserError(
            f"data set {root.name}",
            Fault(str(path), "missing", "a prepared data set", f"gelo prepare {root.name} --from DIR"),
        )
    try:
        card = Card.model_validate(read_json(path, f"data set {root.name}"))
    except ValidationError as error:
        faults = [
            Fault(f"{path}: {'.'.join(map(str, e['loc']))}", str(e.get("input", ""))[:60], e["msg"])
            for e in error.errors()
        ]
        raise UserError(f"data set {root.name}", faults) from None
    dataset = Dataset(root, card)
    if card.name != root.name:
        expected = f"the folder's own name, {root.name!r}: a data set keeps the name that it was prepared under"
        raise UserError(
            f"data set {root.name}",
            Fault(
                str(path),
                f"the card of {card.name!r}",
                expected,
                f"rename the folder to {card.name}, or prepare {root.name} anew",
            ),
        )
    strays = [name for name in card.columns if name not in PROTOCOL_COLUMNS]
    if strays:
        raise UserError(
            f"data set {card.name}", [unknown(f"{path}: columns", name, PROTOCOL_COLUMNS, "column") for name in strays]
        )
    faults = list(_check_files(dataset, verify))
    if faults:
        raise UserError(f"data set {card.name}", faults)
    return dataset


def _check_files(dataset: Dataset, verify: bool) -> Iterator[Fault]:
    card = dataset.card
    again = f"delete {dataset.root} and prepare the data set again"
    schema = schema_for(card.columns)
    if card.elsewhere is not None:
        yield from _changed(Path(card.elsewhere.file), card.elsewhere, verify, again)
    for entry, expected in [(e, schema) for shards in card.splits.values() for e in shards] + [
        (e, None) for e in card.tables.values()
    ]:
        path = dataset.root / entry.file
        changed = list(_changed(path, entry, verify, again))
        if changed:
            yield from changed
            continue
        try:
            file = bounded.parquet(path, whole=expected is None)
        except (pa.ArrowInvalid, OSError) as error:
            yield Fault(str(path), f"not a Parquet file ({error})", "a Parquet shard", again)
            continue
        if file.metadata.num_rows != entry.rows:
            yield Fault(str(path), f"{file.metadata.num_rows} rows", f"{entry.rows} rows", again)
        if expected is not None and not file.schema_arrow.remove_metadata().equals(expected):
            yield Fault(
                str(path),
                f"columns {file.schema_arrow.names}",
                f"{expected.names} with the types of tasks/data/records.py",
                again,
            )


def _changed(path: Path, entry: FileEntry, verify: bool, again: str) -> Iterator[Fault]:
    """What is wrong with a file whatever is in it: at most one fault."""
    if not path.is_file():
        yield Fault(str(path), "missing", f"{entry.bytes} bytes", again)
    elif path.stat().st_size != entry.bytes:
        yield Fault(str(path), f"{path.stat().st_size} bytes (truncated?)", f"{entry.bytes} bytes", again)
    elif verify and sha256_of(path) != entry.sha256:
        yield Fault(str(path), "SHA-256 differs from dataset.json", entry.sha256[:16] + "...", again)


def canonical(card: Card) -> bytes:
    joined = (
        "prompts",
        "protocols",
        "reading",
        "undefined",
        "understood",
        "elsewhere",
    )  # later: left out where a card says nothing of it
    empty = {name for name in joined if getattr(card, name) == Card.model_fields[name].default}
    content = card.model_dump(mode="json", exclude=empty)
    return json.dumps(content, sort_keys=True, indent=1).encode()
