"""Folders as huggingface/datasets and huggingface_hub write them, made by hand: the same few pictures in each of their forms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.tasks.prepare.same_pictures import CLASSES, Sample

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def features(names: Sequence[str], image: str = "image", label: str = "label") -> dict[str, Any]:
    """As dataset_info.json and the schema's metadata have them."""
    return {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}


def described(table: pa.Table, about: Mapping[str, Any]) -> pa.Table:
    return table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": about}}).encode()})


def rows(
    samples: Iterable[Sample], names: Sequence[str] | None = CLASSES, image: str = "image", label: str = "label"
) -> pa.Table:
    """A table of an Image and a ClassLabel column; names None: of an Image and a text column that nothing describes."""
    listed = list(samples)
    cells = pa.array([{"bytes": data, "path": None} for data, _ in listed], CELL)
    if names is None:
        return pa.table({image: cells, label: pa.array([name for _, name in listed], pa.string())})
    labels = pa.array([names.index(name) for _, name in listed], pa.int64())
    return described(pa.table({image: cells, label: labels}), features(names, image, label))


def parquet(path: Path, table: pa.Table, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)


def arrow(path: Path, table: pa.Table, batch: int = 5, *, as_file: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (pa.ipc.new_file if as_file else pa.ipc.new_stream)(str(path), table.schema) as sink:
        sink.write_table(table, batch)


def save_to_disk(
    folder: Path, table: pa.Table, split: str | None = None, shards: int = 1, stated: Mapping[str, int] | None = None
) -> None:
    """A Dataset; stated: rows by split of the set that it was taken from."""
    names = [f"data-{n:05d}-of-{shards:05d}.arrow" for n in range(shards)]
    each = -(-len(table) // shards)
    for n, name in enumerate(names):
        arrow(folder / name, table.slice(n * each, each))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "0",
        "_format_type": None,
        "_split": split,
    }
    (folder / "state.json").write_text(json.dumps(state))
    metadata = table.schema.metadata or {}
    about = json.loads(metadata[b"huggingface"])["info"] if metadata else {"features": {}}
    splits = {name: {"name": name, "num_examples": count} for name, count in (stated or {}).items()}
    (folder / "dataset_info.json").write_text(json.dumps({**about, **({"splits": splits} if splits else {})}))


def save_dict(folder: Path, tables: Mapping[str, pa.Table], **options: Any) -> None:
    """A DatasetDict."""
    for split, table in tables.items():
        save_to_disk(folder / split, table, **{"split": split, **options})
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(tables)}))


def cached(
    folder: Path, tables: Mapping[str, pa.Table], name: str = "pets", config: str = "default", **stated: int
) -> Path:
    """The cache of load_dataset; stated: other rows than there are."""
    place = folder / f"ns___{name}" / config / "0.0.0" / "63b5f82c221bf36c"
    for split, table in tables.items():
        arrow(place / f"{name}-{split}.arrow", table)
    splits = {split: {"name": split, "num_examples": stated.get(split, len(table))} for split, table in tables.items()}
    about = json.loads(next(iter(tables.values())).schema.metadata[b"huggingface"])["info"]
    said = {**about, "builder_name": "parquet", "dataset_name": name, "config_name": config, "splits": splits}
    (place / "dataset_info.json").write_text(json.dumps(said))
    (folder / f"{name}.lock").touch()
    return place


def snapshot(
    hub: Path, revision: str, tables: Mapping[str, pa.Table], name: str = "datasets--ns--pets", main: bool = True
) -> Path:
    """A revision in the cache of huggingface_hub: links into blobs."""
    place = hub / name / "snapshots" / revision
    place.mkdir(parents=True)
    for path, table in tables.items():
        blob = hub / name / "blobs" / f"{revision[:8]}{abs(hash(path)):x}"
        parquet(blob, table)
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).symlink_to(Path(*[".."] * (len(Path(path).parts) + 1), "blobs", blob.name))
    (hub / name / "refs").mkdir(exist_ok=True)
    if main:
        (hub / name / "refs" / "main").write_text(revision)
    return place
