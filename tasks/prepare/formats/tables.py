"""Tables in files: CSV of any common delimiter, JSON lines, Parquet; chosen columns as text, a batch of rows looked at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.info import from_metadata
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.scorefiles.textfile import NotTextError, arrow_input

TEXTS, ROWS, PARQUET = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".parquet",)
LINE = "(line)"  # a column of what is read: the row's line in its file, from 1; in Parquet its number, from 1
_NESTED = "\0"  # stands for a list or a mapping
_DELIMITERS = ",;\t|"
_LOOKED_AT = 1_000  # rows by which a file is judged before it is read
_AT_ONCE = 1 << 16
Rows = Iterator[tuple[int, Sequence[object]]]  # each with its line; of another width than the names where the line is


@dataclass(frozen=True, slots=True)
class Table:
    """A file of rows: names of its columns in their order, its first rows, and how chosen columns are read.

    read: column of the file -> text, null where a row has none; with `LINE`. Rows of another width are left out with a fault. names: those
    of a ClassLabel column, as Hugging Face keeps them in a schema. images: columns that hold images themselves.
    """

    path: Path
    columns: list[str]
    first: Sequence[Mapping[str, object]]
    read: Callable[[Sequence[str]], pa.Table]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: tuple[str, ...] = ()


def open_table(tree: Tree, file: str) -> Table | None:
    """The table in a file within the tree; None with a fault where it is none."""
    path = tree.path(file, "a table")
    if path is None:
        return None
    try:
        if path.suffix.lower() in PARQUET:
            return _parquet(tree, path)
        names, rows = (_csv_rows if path.suffix.lower() in TEXTS else _json_rows)(path, None)
        first = [dict(zip(names, row, strict=True)) for _, row in islice(rows, _LOOKED_AT) if len(row) == len(names)]
    except (NotTextError, csv.Error, ValueError, OSError) as error:
        _unread(tree, path, error)
        return None
    if not first:
        tree.fault(path, "no rows", "a first line that names the columns, such as path,label, and a row an image")
        return None
    return Table(path, [name for name in names if name], first, partial(_read, tree, path))


def _read(tree: Tree, path: Path, columns: Sequence[str]) -> pa.Table:
    schema = pa.schema({**dict.fromkeys(columns, pa.string()), LINE: pa.int64()})
    batches: list[pa.RecordBatch] = []
    odd: list[int] = []
    nested: list[int] = []
    try:
        names, rows = (_csv_rows if path.suffix.lower() in TEXTS else _json_rows)(path, columns)
        places = [names.index(name) for name in columns]
        while batch := list(islice(rows, _AT_ONCE)):
            odd += [line for line, row in batch if len(row) != len(names)]
            whole = [(line, row) for line, row in batch if len(row) == len(names)]
            texts = [[_text(row[place]) for _, row in whole] for place in places]
            nested += [line for (line, _), *fields in zip(whole, *texts, strict=True) if _NESTED in fields]
            arrays = [pa.array(column, pa.string()) for column in texts]
            batches.append(pa.record_batch([*arrays, pa.array([line for line, _ in whole], pa.int64())], schema))
    except (csv.Error, ValueError) as error:
        _unread(tree, path, error)
    fault_each(
        tree, path, odd, f"lines of another width than the header's {len(names)}", "a field for each name in the header"
    )
    fault_each(
        tree, path, nested, f"lines with a list or a mapping as {' or '.join(columns)}", "one image and one class a row"
    )
    table = pa.Table.from_batches(batches, schema)
    return table.filter(pc.invert(pc.is_in(table[LINE], value_set=pa.array(nested, pa.int64())))) if nested else table


def _text(value: object) -> str | None:
    """A field as text, without blanks around it; None where it is empty."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or value != value:  # nan
        return None
    return str(int(value)) if isinstance(value, bool) else str(value) if isinstance(value, int | float) else _NESTED


def _stream(path: Path) -> TextIO:
    source = arrow_input(path)
    if isinstance(source, Path):
        return path.open(encoding="ascii")
    return io.TextIOWrapper(pa.BufferReader(source), "utf-8")


def _csv_rows(path: Path, columns: Sequence[str] | None) -> tuple[list[str], Rows]:
    """The names of the header and the rows below it that are not blank."""
    stream = _stream(path)
    header = stream.readline()
    stream.seek(0)
    delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    names = [name.strip() for name in next(reader, [])]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise ValueError(f"line 1: more than one column {', '.join(twice)}")
    return names, ((reader.line_num, row) for row in reader if any(map(str.strip, row)))


def _json_rows(path: Path, columns: Sequence[str] | None) -> tuple[list[str], Rows]:
    """These keys of each object, or those of the first objects."""
    names = list(columns or dict.fromkeys(name for _, row in islice(_objects(path), _LOOKED_AT) for name in row))
    return names, ((line, [row.get(name) for name in names]) for line, row in _objects(path))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with _stream(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"line {number}: {error}") from None
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: {line.strip()[:40]!r} instead of a JSON object")
                yield number, row


def _parquet(tree: Tree, path: Path) -> Table:
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        images = tuple(column.name for column in schema if _holds_bytes(column.type))
        plain = [column.name for column in schema if not pa.types.is_nested(column.type) and column.name not in images]
        head = next(file.iter_batches(_LOOKED_AT, columns=plain), None)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(error) from None
    info = from_metadata(schema.metadata, path.name)
    names = {name: info.names(name) for name in schema.names}
    return Table(
        path, schema.names, head.to_pylist() if head else [], partial(_read_parquet, tree, path), names, images
    )


def _read_parquet(tree: Tree, path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        table = pq.read_table(path, columns=list(columns), memory_map=True)
        texts = {name: _as_text(table[name]) for name in columns}
        return pa.table({**texts, LINE: pa.array(np.arange(1, len(table) + 1))})
    except (pa.ArrowException, OSError) as error:
        _unread(tree, path, error)
        return pa.schema({**dict.fromkeys(columns, pa.string()), LINE: pa.int64()}).empty_table()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(n).type) for n in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _unread(tree: Tree, path: Path, error: Exception) -> None:
    remedy = error.remedy if isinstance(error, NotTextError) else ""
    tree.fault(path, f"unreadable ({str(error)[:160]})", "a CSV, JSON lines or a Parquet file", remedy)
