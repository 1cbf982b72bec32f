"""What the files beside the data say of it: `state.json`, `dataset_dict.json`, `dataset_info.json`.

Formats: huggingface/datasets: src/datasets/arrow_dataset.py (`save_to_disk`), src/datasets/info.py.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gelo.tasks.prepare.tree import Tree

STATE, DICT, INFO = "state.json", "dataset_dict.json", "dataset_info.json"
INFOS, CARD = "dataset_infos.json", "README.md"
BESIDE = (STATE, DICT, INFO, INFOS, CARD)
IMAGE, LABEL = "Image", "ClassLabel"
_LARGEST = 1 << 26  # bytes of a file that is read whole


@dataclass(frozen=True, slots=True)
class Info:
    """where: the file that says it, within the tree. features: the type and class names of columns, as `datasets` writes them. rows: of
    each split."""

    where: str = ""
    config: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def names(self, column: str) -> tuple[str, ...]:
        """Class names of a column in the order of their numbers, in composed Unicode; () where nothing says them."""
        feature = self.features.get(column)
        names = feature.get("names") if isinstance(feature, Mapping) and feature.get("_type") == LABEL else None
        return tuple(unicodedata.normalize("NFC", str(name)) for name in names) if isinstance(names, list) else ()

    def of_type(self, kind: str) -> list[str]:
        """Columns that are said to be of a type."""
        return [
            name
            for name, feature in self.features.items()
            if isinstance(feature, Mapping) and feature.get("_type") == kind
        ]


@dataclass(frozen=True, slots=True)
class State:
    """files: the Arrow files of a saved Dataset. split: what it was taken from, or "". view: whether its rows are chosen by indices."""

    files: tuple[str, ...]
    split: str
    view: bool


def read_info(tree: Tree, path: Path) -> Info:
    """A `dataset_info.json`; an empty one, with a fault where it is damaged."""
    loaded = read_json(tree, path, "the description that `datasets` writes") if path.is_file() else None
    return info_from(os.path.relpath(path, tree.root), loaded) if isinstance(loaded, dict) else Info()


def read_state(tree: Tree, path: Path) -> State | None:
    """A saved Dataset's `state.json`; None with a fault where it does not say which files there are."""
    loaded = read_json(tree, path, "the state that `save_to_disk` writes")
    listed = loaded.get("_data_files") if isinstance(loaded, dict) else None
    names = [one.get("filename") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        tree.fault(path, "no list of files", "_data_files, as `save_to_disk` writes it", "save the Dataset again")
        return None
    assert isinstance(loaded, dict)
    view = any(loaded.get(key) for key in ("_indices_data_files", "_indices_files", "_indices"))
    return State(tuple(map(str, names)), str(loaded.get("_split") or ""), view)


def read_json(tree: Tree, path: Path, what: str) -> Any:
    """None with a fault where the file is not JSON."""
    try:
        return json.loads(read_text(tree, path))
    except (ValueError, RecursionError) as error:
        tree.fault(path, f"not JSON ({str(error)[:120]})", what)
        return None


def from_metadata(metadata: Mapping[bytes, bytes] | None, where: str) -> Info:
    """What `datasets` keeps in an Arrow schema's metadata."""
    try:
        loaded = json.loads((metadata or {})[b"huggingface"])["info"]
        return info_from(where, loaded)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        return Info()


def info_from(where: str, said: dict[str, Any]) -> Info:
    features, splits = said.get("features"), said.get("splits")
    listed = (
        splits
        if isinstance(splits, list)
        else [{"name": k, **v} for k, v in splits.items() if isinstance(v, dict)]
        if isinstance(splits, dict)
        else []
    )
    rows = {
        str(one["name"]): int(one["num_examples"])
        for one in listed
        if isinstance(one, dict) and "name" in one and str(one.get("num_examples", "")).isdecimal()
    }
    columns = {str(name): _plain(feature) for name, feature in features.items()} if isinstance(features, dict) else {}
    for one in features if isinstance(features, list) else ():
        if isinstance(one, dict) and "name" in one:
            columns[str(one["name"])] = _from_yaml(one)
    return Info(where, str(said.get("config_name", "")), columns, rows)


def _plain(feature: Any) -> Any:
    """A list of one feature, as `datasets` writes sequences, is of no use as an image or a label."""
    return feature if isinstance(feature, dict) else {"_type": "List"}


def _from_yaml(one: dict[str, Any]) -> dict[str, Any]:
    """`{name: label, dtype: {class_label: {names: {'0': cat}}}}` in the words of `dataset_info.json`."""
    kind = one.get("dtype")
    if kind == "image":
        return {"_type": IMAGE}
    if not isinstance(kind, dict) or not isinstance(kind.get("class_label"), dict):
        return {"_type": "Value" if isinstance(kind, str) else "List"}
    names = kind["class_label"].get("names")
    if isinstance(names, dict) and all(str(number).isdecimal() for number in names):
        by_number = {int(number): name for number, name in names.items()}
        names = [by_number[n] for n in range(len(by_number))] if set(by_number) == set(range(len(by_number))) else None
    return {"_type": LABEL, "names": names}


def read_text(tree: Tree, path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        tree.fault(path, f"not text ({error})", "a text file in UTF-8")
        return "{}" if path.suffix == ".json" else ""
