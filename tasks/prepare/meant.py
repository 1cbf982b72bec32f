"""Which reader a folder is probably meant for, said where another one found none of its own files in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePath

from gelo.tasks.prepare.litter import is_litter
from gelo.tasks.prepare.tree import IMAGES

_LOOKED_AT = 20_000  # files: enough to know what kind of folder it is
_TABLES = (".csv", ".tsv", ".jsonl")
_KINDS = {  # the files that tell of a reader, the surest first
    "datasets": (".arrow", ".parquet"),
    "webdataset": (".tar",),
    "identities": (".rec",),
    "pairs": (".bin",),
    "table": _TABLES,
    "folder": IMAGES,
}
_OWN = {**_KINDS, "identities": (".rec", *IMAGES), "table": (*_TABLES, ".parquet"), "lfw": IMAGES}
_PACKED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


def meant(root: Path, reader: str) -> str:
    """What lies below `root` and the reader of such files; "" where files of `reader`'s own kind are there, or of nobody's."""
    names = list(islice(_names(root), _LOOKED_AT))
    kinds = Counter(PurePath(name).suffix.lower() for name in names)
    if any(kinds[suffix] for suffix in _OWN.get(reader, _TABLES)):
        return ""
    few = ", ".join(f"{n:,} {suffix}" for suffix, n in kinds.most_common(4) if suffix)
    for other, suffixes in _KINDS.items():
        if any(kinds[suffix] for suffix in suffixes):
            return f"there are {few}: --reader {other}"
    packed = next((name for name in names if name.lower().endswith(_PACKED)), "")
    return f"unpack {packed} first" if packed else ""


def _names(root: Path) -> Iterator[str]:
    for _, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        yield from (name for name in sorted(names) if not is_litter(name))
