"""Records to a data set on disk: shards, tables and the card, published whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gelo.models.durable import publish_folder, sha256_of
from gelo.models.faults import Fault, UserError
from gelo.tasks.data import contents
from gelo.tasks.data.card import Card, FileEntry
from gelo.tasks.data.elsewhere import held
from gelo.tasks.data.manifest import CARD, CHUNK, SHARD_ROWS, Dataset, canonical, open_dataset
from gelo.tasks.data.near import looks_of
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record, schema_for
from gelo.tasks.data.understood import Reading, Understood


def write_dataset(
    root: Path,
    *,
    name: str,
    version: str,
    scale: Literal["miniature", "full"],
    classes: Iterable[str],
    splits: Mapping[str, Iterable[Record]],
    source: str,
    licence: str,
    columns: tuple[str, ...] = (),
    tables: Mapping[str, pa.Table] | Callable[[], Mapping[str, pa.Table]] | None = None,
    partial: Callable[[], bool] = lambda: False,
    prompts: Prompts | None = None,
    protocols: tuple[str, ...] = (),
    numbered: bool = False,
    near: bool = False,
    reading: Reading = "faithful",
    undefined: Mapping[str, str] | None = None,
    understood: Callable[[], Understood | None] = lambda: None,
    elsewhere: Path | None = None,
) -> Dataset:
    """Write `root` (= `<data>/<name>`) whole: temporary neighbour, then renamed. Records are streamed, one row group in memory.

    `partial`, `understood`, and `tables` where it is a function, are asked once every record was read. numbered: ids are running
    numbers, unique without a memory of them all. near: images that look alike are looked for too, which decodes each once more. Leaks
    between and within the splits join what was understood. elsewhere: the file that the images stay in, at `Record.at`.

    Raises UserError for duplicate ids, an empty split or a label outside `classes` (`classes` may be empty: labels are then free).
    """
    classes = tuple(classes)
    faults: list[Fault] = []
    with publish_folder(root) as folder:
        written: dict[str, tuple[FileEntry, ...]] = {}
        known = contents.Contents()
        seen: set[str] | None = None if numbered else set()
        for split, records in splits.items():
            written[split] = tuple(
                _write_shards(folder, split, records, columns, len(classes), seen, faults, known, elsewhere is not None)
            )
            if not written[split]:
                faults.append(Fault(f"split {split}", "no records", "at least one"))
        entries: dict[str, FileEntry] = {}
        for table_name, table in (tables() if callable(tables) else tables or {}).items():
            pq.write_table(table, folder / f"{table_name}.parquet", compression="zstd")
            entries[table_name] = _entry(folder / f"{table_name}.parquet", table.num_rows)
        if faults:
            raise UserError(f"data set {name}", faults)
        card = Card(
            name=name, version=version, scale=scale, classes=classes, columns=columns, splits=written, tables=entries,
            source=source, licence=licence, partial=partial(), prompts=prompts, protocols=protocols,
            reading=reading, undefined=dict(undefined or {}), understood=understood(),
            elsewhere=None if elsewhere is None else _own(elsewhere, sum(e.rows for each in written.values() for e in each)),
        )  # fmt: skip
        (folder / CARD).write_bytes(canonical(_with_contents(folder, card, known, near)))
    return open_dataset(root)


def _with_contents(folder: Path, card: Card, known: contents.Contents, near: bool) -> Card:
    """The card with its table of contents, and the leaks that it shows where something is said of what was understood."""
    draft = Dataset(folder, card)
    table = known.table({split: looks_of(draft, split) for split in card.splits} if near else {})
    path = folder / f"{contents.TABLE}.parquet"
    pq.write_table(table, path, compression="zstd", use_dictionary=["split"])
    card = card.model_copy(update={"tables": {**card.tables, contents.TABLE: _entry(path, table.num_rows)}})
    if card.understood is None:
        return card
    draft = Dataset(folder, card)
    content = contents.known_of(draft)
    said = contents.said_of_looks(content)
    found = {"leaks": contents.within(draft, content), "notes": (*card.understood.notes, *([said] if said else []))}
    return card.model_copy(update={"understood": card.understood.model_copy(update=found)})


def _write_shards(
    folder: Path,
    split: str,
    records: Iterable[Record],
    columns: tuple[str, ...],
    classes: int,
    seen: set[str] | None,
    faults: list[Fault],
    known: contents.Contents,
    stay: bool,
) -> Iterator[FileEntry]:
    schema = schema_for(columns)
    stream = iter(records)
    number = 0
    pending = list(islice(stream, CHUNK))
    while pending:
        path = folder / f"{split}-{number:05d}.parquet"
        rows = 0
        with pq.ParquetWriter(path, schema, compression="none", store_schema=True) as writer:
            while pending and rows < SHARD_ROWS:
                for record in pending:
                    known.add(split, record.image)
                    if seen is not None:
                        if record.id in seen:
                            found = f"duplicate id {record.id!r}"
                            faults.append(Fault(f"split {split}", found, "ids unique within the data set"))
                        seen.add(record.id)
                    if classes and not 0 <= record.label < classes:
                        faults.append(Fault(f"id {record.id}", f"label {record.label}", f"0 to {classes - 1}"))
                by_column = {
                    "id": [r.id for r in pending],
                    "image": [held(r.image, r.at) if stay else r.image for r in pending],
                    "label": [r.label for r in pending],
                    **{name: [r.columns.get(name) for r in pending] for name in columns},
                }
                writer.write_table(pa.Table.from_pydict(by_column, schema=schema), row_group_size=CHUNK)
                rows += len(pending)
                pending = list(islice(stream, CHUNK))
        yield _entry(path, rows)
        number += 1


def _own(path: Path, rows: int) -> FileEntry:
    return _entry(path.resolve(), rows).model_copy(update={"file": str(path.resolve())})


def _entry(path: Path, rows: int) -> FileEntry:
    return FileEntry(file=path.name, bytes=path.stat().st_size, rows=rows, sha256=sha256_of(path))
