"""The samples of webdataset tars: members that share a name up to its first dot, an image and a label among them.

The rule is that of webdataset/webdataset: webdataset/tariterators.py (`base_plus_ext`, `group_by_keys`), where the members of one sample
have to follow each other; here they may stand anywhere in their tar.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.formats.tarred import Member, members
from gelo.tasks.prepare.tree import IMAGES, Tree

LABEL = "cls"
SCHEMA = pa.schema(
    {
        "tar": pa.dictionary(pa.int32(), pa.string()),
        "name": pa.string(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "text": pa.string(),
    }
)
_META = re.compile(r"__[^/]*__($|/)")  # what webdataset itself passes over
_TEXT, _JSON = 1 << 12, 1 << 20  # bytes of a label and of a JSON document


@dataclass
class Samples:
    """What the tars of a set hold, one after the other; image, label: what the user calls them, "" for the usual.

    seen: how many members there are of each suffix. keys: of the JSON documents, the first ones. The lists name samples with a fault.
    """

    tree: Tree
    image: str = ""
    label: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    keys: dict[str, None] = field(default_factory=dict)
    total: int = 0
    twice: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def read(self, tar: str) -> pa.Table:
        """The whole samples of one tar within the tree, as `SCHEMA` says, in the order in which they begin."""
        path = self.tree.path(tar, "a tar of the set")
        found: dict[str, dict[str, Member]] = {}
        for member in members(self.tree, path, tar) if path is not None else ():
            key, suffix = split_key(member.name)
            if not suffix or _META.match(member.name):
                self.tree.leave(f"{tar}: {member.name}", "no part of a sample")
            elif suffix in found.setdefault(key, {}):
                self.twice.append(f"{tar}: {member.name}")
            else:
                found[key][suffix] = member
                self.seen[suffix] += 1
        self.total += len(found)
        rows: list[tuple[str, str, int, int, str]] = []
        if path is not None:
            with path.open("rb") as stream:
                for key, parts in found.items():
                    image, text = self._image(f"{tar}: {key}", parts), self._text(f"{tar}: {key}", parts, stream)
                    if image is not None and text:
                        rows.append((tar, image.name, image.offset, image.size, text))
        columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
        return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], SCHEMA)

    def tell(self, where: Path) -> None:
        """The faults of all samples read, one a kind."""
        of = f"of {self.total:,} samples"
        image = f"a .{self.image}" if self.image else "an image (.jpg, .png, .webp, ...)"
        label = f"a member or JSON key {self.label!r}" if self.label else f"a .{LABEL}"
        there = ", ".join(f"{count:,} .{suffix}" for suffix, count in self.seen.most_common(8)) or "no members at all"
        if self.seen and all(is_image(suffix) for suffix in self.seen):
            instead = "tars of class folders: unpack them, then --reader folder"
        elif self.keys:
            instead = f"--label KEY takes it from the JSON, which has {', '.join(list(self.keys)[:12])}"
        else:
            instead = f"there are {there}; --label SUFFIX takes one that holds class names, which captions are not"
        tell = partial(fault_each, self.tree, where)
        tell(self.twice, "members twice in their tar", "each once")
        tell(
            self.several,
            f"{of} have several images",
            "one image a sample",
            "say which: --image SUFFIX, such as --image jpg",
        )
        tell(
            self.bare, f"{of} without an image", f"{image} in each", f"there are {there}; --image SUFFIX takes another"
        )
        tell(self.unlabelled, f"{of} without a label", f"{label} in each", instead)
        tell(self.unread, f"{of} have a label that is no text of at most 4 KiB", "a number or a name")

    def used(self) -> dict[str, str]:
        """Where images and labels were taken from, for `Layout.used`."""
        images = [self.image] if self.image else [suffix for suffix in self.seen if is_image(suffix)]
        label = self.label or LABEL
        return {
            "image": ", ".join(f".{suffix}" for suffix in images),
            "label": f".{label}" if label in self.seen else f"{label} in .json",
        }

    def notes(self) -> list[str]:
        """What else is in the tars."""
        unread = sorted(
            {f".{suffix}" for suffix in self.seen} - {*self.used()["image"].split(", "), self.used()["label"]}
        )
        return [f"members of the tars that are not read: {', '.join(unread[:12])}"] if unread else []

    def _image(self, shown: str, parts: dict[str, Member]) -> Member | None:
        if self.image:
            names = [suffix for suffix in parts if suffix == self.image]
        else:
            names = [suffix for suffix in parts if is_image(suffix)]
        if len(names) == 1:
            return parts[names[0]]
        if names:
            self.several.append(f"{shown} ({', '.join(f'.{name}' for name in names)})")
        else:
            self.bare.append(shown)
        return None

    def _text(self, shown: str, parts: dict[str, Member], stream: BinaryIO) -> str:
        """The label as it stands in the tar; "" with a fault."""
        member = parts.get(self.label.lower() or LABEL)
        document = parts.get("json")
        if member is None and document is not None:
            content = _document(stream, document)
            if not self.keys:
                self.keys |= dict.fromkeys(content)
            value = content.get(self.label) if self.label else None
            text = str(value).strip() if isinstance(value, str | int | float) else ""
        elif member is not None:
            text = _plain(stream, member)
            if not text:
                self.unread.append(shown)
                return ""
        else:
            text = ""
        if not text:
            self.unlabelled.append(shown)
        return text


def split_key(name: str) -> tuple[str, str]:
    """`a/b.seg.PNG` -> (a/b, seg.png): the file's own name up to its first dot, and what follows in lower case; "" without a dot."""
    folder, slash, own = name.rpartition("/")
    stem, _, suffix = own.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()


def is_image(suffix: str) -> bool:
    """Whether a member of this suffix, all that follows the first dot, is an image."""
    return f".{suffix.rpartition('.')[2]}" in IMAGES


def _bytes(stream: BinaryIO, member: Member, most: int) -> bytes:
    if member.size > most:
        return b""
    stream.seek(member.offset)
    return stream.read(member.size)


def _plain(stream: BinaryIO, member: Member) -> str:
    try:
        text = _bytes(stream, member, _TEXT).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _document(stream: BinaryIO, member: Member) -> dict[str, Any]:
    try:
        content = json.loads(_bytes(stream, member, _JSON))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
