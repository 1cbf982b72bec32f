"""Small words of messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.filesize import decimal

_KINDS = {
    list: "a list",
    dict: "a mapping",
    str: "text",
    bool: "a yes or no",
    type(None): "nothing",
    int: "a number",
    float: "a number",
}


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `0 classes`, `5,000 classes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def span(seconds: float) -> str:
    """A time as people say it: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def bytes_told(many: float) -> str:
    """Bytes as people read them: `812 bytes`, `40.2 kB`, `85.1 GB`."""
    return decimal(round(many))


def legible(name: str) -> str:
    """A file's name with the bytes that are no UTF-8 as escapes, so that it can be written and printed."""
    return name.encode("utf-8", "backslashreplace").decode()


def kind_of(value: object) -> str:
    """What a value of a user's file is, in words: `a list`, `a mapping`, `nothing`."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def told_apart(labels: Sequence[str], fields: Sequence[Mapping[str, object]]) -> list[str]:
    """The labels, those that several share followed by the fields in which they differ: `lora seed 0 (epochs=3, lr=1e-05)`.

    Their order and that of the fields decide nothing.
    """
    sharing: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for label, own in zip(labels, fields, strict=True):
        sharing[label].append(own)
    differ = {label: differing(rows) for label, rows in sharing.items()}
    told = []
    for label, own in zip(labels, fields, strict=True):
        shown = ", ".join(f"{name}={own[name]}" for name in differ[label] if name in own)
        told.append(f"{label} ({shown})" if shown else label)
    return told


def differing(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Names of the fields that do not have one value in all rows, sorted; without what follows from another: a head's margin, where every
    row of one `head.kind` (or `head`) has the same."""
    names = sorted({name for row in rows for name in row})
    varying = [name for name in names if _several(rows, name)]
    return [name for name in varying if not any(_follows(rows, name, kind) for kind in _kinds(name) if kind in varying)]


def _kinds(name: str) -> list[str]:
    parent = name.rpartition(".")[0]
    return [each for each in (f"{parent}.kind", parent) if parent and each != name]


def _several(rows: Sequence[Mapping[str, object]], name: str) -> bool:
    return len({repr(row.get(name)) for row in rows}) > 1


def _follows(rows: Sequence[Mapping[str, object]], name: str, kind: str) -> bool:
    """Whether rows of one `kind` have one value of `name`."""
    apart: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        apart[repr(row.get(kind))].append(row)
    return not any(_several(alike, name) for alike in apart.values())
