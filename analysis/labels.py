"""How adaptations and remedies are named in a row, and the one order that rows have."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd

from gelo.models.words import differing

NONE = "none"
IDENTITY = ["trial", "backbone", "task", "adaptation", "remedy", "seed"]


def labelled(described: Iterable[Any], cells: Iterable[Hashable]) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """(labels, kinds, parameters) of `{"kind": ..., ...}` objects.

    A label is the kind; where trials of one cell (the same backbone and task) and kind differ, the parameters that differ follow:
    `wise(alpha=0.5)`. Defaults that differ from task to task need no telling apart.
    """
    objects = [unstacked(item) if isinstance(item, Mapping) else {"kind": str(item)} for item in described]
    kinds = [str(item.pop("kind", NONE)) for item in objects]
    groups: dict[tuple[str, Hashable], list[dict[str, Any]]] = {}
    for kind, cell, item in zip(kinds, cells, objects, strict=True):
        groups.setdefault((kind, cell), []).append(item)
    varying: dict[str, set[str]] = {kind: set() for kind in kinds}
    for (kind, _), items in groups.items():
        names = {name for item in items for name in item}
        varying[kind] |= {name for name in names if len({plain(item.get(name)) for item in items}) > 1}
    labels = []
    for kind, item in zip(kinds, objects, strict=True):
        shown = ", ".join(f"{name}={plain(item[name])}" for name in sorted(varying[kind]) if name in item)
        labels.append(f"{kind}({shown})" if shown else kind)
    return labels, kinds, objects


def unstacked(described: Mapping[str, Any]) -> dict[str, Any]:
    """Several remedies of one trial as one object: `{"kind": "distill + wise", "distill.strength": 1.0, "wise.alpha": 0.8}`."""
    if described.get("kind") != "stack":
        return dict(described)
    members = [dict(each) for each in described.get("remedies", ())]
    fields = {f"{each['kind']}.{name}": value for each in members for name, value in each.items() if name != "kind"}
    return {"kind": " + ".join(str(each["kind"]) for each in members), **fields}


def with_settings(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The adaptation labels of rows, with the training fields (row["settings"]) in which trials that are else alike differ:
    `full(lr_backbone=1e-05)`. A kind of adaptation shows the same fields in all its rows.
    """
    listed = list(rows)
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in listed:
        cell = tuple(str(row[name]) for name in ("backbone", "task", "adaptation", "remedy", "seed"))
        alike.setdefault(cell, []).append(row)
    varying: dict[str, set[str]] = {str(row["adaptation_kind"]): set() for row in listed}
    for members in alike.values():
        varying[str(members[0]["adaptation_kind"])] |= set(differing([row["settings"] for row in members]))
    labels = []
    for row in listed:
        names = sorted(varying[str(row["adaptation_kind"])] & set(row["settings"]))
        shown = ", ".join(f"{name}={plain(row['settings'][name])}" for name in names)
        kind, bracket, inside = str(row["adaptation"]).partition("(")
        pieces = [piece for piece in (inside.removesuffix(")") if bracket else "", shown) if piece]
        labels.append(f"{kind}({', '.join(pieces)})" if pieces else kind)
    return labels


def arrange(trials: pd.DataFrame, backbones: list[str]) -> pd.DataFrame:
    """Rows in table order: baselines first, then backbone (as in the spec, others after by name), task, adaptation, remedy,
    its parameters as numbers, seed, key."""

    def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        backbone = str(row["backbone"])
        rank = backbones.index(backbone) if backbone in backbones else len(backbones)
        parameters = {
            side: tuple((name, *_sortable(value)) for name, value in sorted(row[f"{side}_parameters"].items()))
            for side in ("adaptation", "remedy")
        }
        settings = tuple((name, *_sortable(value)) for name, value in sorted(row["settings"].items()))
        return (
            not is_baseline(row), rank, backbone, row["task"], row["adaptation_kind"] != NONE,
            row["adaptation_kind"], parameters["adaptation"], settings,
            row["remedy_kind"] != NONE, row["remedy_kind"], parameters["remedy"],
            row["seed"], row["trial"],
        )  # fmt: skip

    records: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in trials.to_dict("records")]
    ranked = sorted(range(len(records)), key=lambda index: order(records[index]))
    return trials.iloc[ranked].reset_index(drop=True)


def is_baseline(row: Mapping[str, Any] | pd.Series) -> bool:
    """True for a backbone untouched: no task, no adaptation."""
    return bool(row["task"] == NONE and row["adaptation_kind"] == NONE)


def _sortable(value: Any) -> tuple[int, float, str]:
    """Numbers by size, before words."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (1, 0.0, plain(value))
    return (0, float(value), "")


def plain(value: Any) -> str:
    """A parameter's value as it stands in a label: 0.50 -> `0.5`, ["q", "v"] -> `q+v`."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "+".join(plain(item) for item in value)
    if isinstance(value, Mapping):
        return "+".join(f"{name}:{plain(item)}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)
