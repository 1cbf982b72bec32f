"""A Hugging Face `datasets` folder (save_to_disk) or Parquet files with an image column: read through pyarrow alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.faults import unknown
from tasks.prepare.tree import Item, Layout, Tree

IMAGE, LABEL = "image", "label"
SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}


def hub(tree: Tree) -> Layout:
    """Columns `image` (a struct with bytes, or bytes) and `label` (a class number or a name).

    Splits: folders of `save_to_disk`, or the beginning of a Parquet file's name (`train-00000-of-00002.parquet`). Class names come
    from the features that `datasets` writes; else the sorted labels stand for themselves.
    """
    tables: dict[str, list[tuple[Path, pa.Table]]] = {}
    for path in sorted(p for p in tree.root.rglob("*") if p.suffix in (".arrow", ".parquet") and p.is_file()):
        named = path.name if path.suffix == ".parquet" else path.parent.name
        split = SPLITS.get(named.split("-")[0].split(".")[0], "test")
        table = _read(tree, path)
        if table is not None:
            tables.setdefault(split, []).append((path, table))
    if not tables:
        tree.fault(tree.root, "no .arrow or .parquet file", "a datasets folder saved to disk, or Parquet files")
    schemas = [table.schema for rows in tables.values() for _, table in rows]
    lacking = [column for column in (IMAGE, LABEL) if any(column not in schema.names for schema in schemas)]
    for column in lacking:
        tree.faults.append(unknown(str(tree.root), column, schemas[0].names, "column"))
    if lacking or not schemas:
        return Layout((), {})
    values = {value for rows in tables.values() for _, table in rows for value in table[LABEL].unique().to_pylist()}
    if None in values:
        tree.fault(tree.root, f"{LABEL} is empty in some rows", "a label in every row")
        return Layout((), {})
    names = _class_names(schemas[0])
    order = list(range(len(names))) if names else sorted(values)
    splits = {
        split: [item for path, table in rows for item in _items(split, path, table, order)]
        for split, rows in tables.items()
    }
    return Layout(names or tuple(str(value) for value in order), splits)


def _items(split: str, path: Path, table: pa.Table, order: list[Any]) -> list[Item]:
    place = {value: row for row, value in enumerate(order)}

    def load(row: int) -> bytes:
        value = table[IMAGE][row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        return data if isinstance(data, bytes) else b""

    return [
        Item(f"{split}/{path.stem}/{row:06d}", place.get(value, -1), f"{path} row {row}", lambda row=row: load(row))  # type: ignore[misc]
        for row, value in enumerate(table[LABEL].to_pylist())
    ]


def _read(tree: Tree, path: Path) -> pa.Table | None:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path, memory_map=True)
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        tree.fault(path, f"unreadable ({error})", "an Arrow stream or a Parquet file")
        return None


def _class_names(schema: pa.Schema) -> tuple[str, ...]:
    """The names that `datasets` keeps in the schema's metadata for a ClassLabel column; () where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(features[LABEL]["names"])
    except (KeyError, TypeError, ValueError):
        return ()
