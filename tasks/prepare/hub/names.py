"""What the names of Parquet and Arrow files say: which split they hold, of which configuration, and whether all parts are there.

Forms: `data/train-00000-of-00002-<hash>.parquet` (push_to_hub), `<config>/<split>/0000.parquet` (the hub's refs/convert/parquet),
`<set>-train-00000-of-00002.arrow` (the cache of huggingface/datasets: src/datasets/naming.py), and what people write by hand.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from gelo.tasks.prepare.splits import is_role, role_of

_PART_OF = re.compile(r"^(?P<base>.*?)[-_.]?(?P<index>\d+)-of-(?P<count>\d+)(-[0-9a-f]{8,})?$")
_RUNNING = re.compile(r"^(?P<base>.*?)[-_.]?(?P<index>\d{3,})$")
_SPARK = re.compile(r"^part[-_.]?\d")  # of Spark and Dask: what follows is no number of ours
_NEUTRAL = ("", "data", "dataset", "part", "shard", "file", "chunk", "batch")
_NAMED = 8
NAMELESS = "data"  # what a split is called that nothing names


@dataclass(frozen=True, slots=True)
class Stem:
    """A file's name without number and suffix; index and count where it is one part of several, count 0 where the name does not say."""

    base: str
    index: int | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """config: the folder above the split. split: the split's name in the source."""

    config: str
    split: str


def stems(files: Iterable[PurePosixPath]) -> dict[PurePosixPath, Stem]:
    """Each file's stem. Running numbers without a count are parts where a folder has them from 0 or 1 on: `val2017` is a name."""
    found: dict[PurePosixPath, Stem] = {}
    running: dict[tuple[PurePosixPath, str], dict[PurePosixPath, int]] = defaultdict(dict)
    for file in files:
        stem = file.name.rpartition(".")[0]
        if match := _PART_OF.match(stem):
            found[file] = Stem(match["base"], int(match["index"]), int(match["count"]))
        elif _SPARK.match(stem):
            found[file] = Stem("part")
        else:
            found[file] = Stem(stem)
            if match := _RUNNING.match(stem):
                running[file.parent, match["base"]][file] = int(match["index"])
    for (_, base), numbers in running.items():
        if min(numbers.values()) <= 1:
            found |= {file: Stem(base, index) for file, index in numbers.items()}
    return found


def said(file: PurePosixPath, base: str, given: Container[str]) -> Said:
    """Split and configuration of a file by its own name, else by the nearest folder that is a split; `given`: names that the user uses.

    A name that speaks against its folder (`train/test.parquet`) is called by both, which is no split's name.
    """
    folders = list(file.parts[:-1])
    if base in given or role_of(base):
        at = next((n for n in range(len(folders), 0, -1) if is_role(folders[n - 1])), None)
        if at is None:
            return Said(_config(folders[:-1] if folders and folders[-1] == base else folders), base)
        agree = base in given or role_of(folders[at - 1]) == role_of(base)
        return Said(_config(folders[: at - 1]), base if agree else "/".join([*folders[at - 1 :], base]))
    for at in range(len(folders), 0, -1):
        if folders[at - 1] in given or role_of(folders[at - 1]):
            return Said(_config(folders[: at - 1]), folders[at - 1])
    if base.lower() in _NEUTRAL or (folders and folders[-1] == base):
        return Said(_config(folders[:-1]), folders[-1] if folders else NAMELESS)
    return Said(_config(folders), base)


def told_apart(
    files: Iterable[PurePosixPath], of: Mapping[PurePosixPath, Stem], split: str
) -> dict[str, list[PurePosixPath]]:
    """The files of one split name by what they are parts of: one entry under that name, or one each where two sets of parts share it,
    as `test.parquet` and `test-00000-of-00002.parquet` do: they may be the same rows twice."""
    families: dict[str, list[PurePosixPath]] = defaultdict(list)
    files = list(files)
    for file in files:
        stem = of[file]
        parts = f"-*-of-{stem.count:05d}" if stem.count else "-*" if stem.index is not None else file.suffix
        families[str(file.parent / f"{stem.base}{parts}")].append(file)
    apart = len(families) > 1 and any(of[file].base == split for file in files)
    return dict(families) if apart else {split: files}


def missing(files: Iterable[PurePosixPath], of: Mapping[PurePosixPath, Stem]) -> tuple[list[str], int, list[str]]:
    """The first parts that are not there, how many they are, and parts that are there twice or beyond their count, by name."""
    groups: dict[tuple[PurePosixPath, str, int, str], list[int]] = defaultdict(list)
    for file in files:
        stem = of[file]
        if stem.index is not None:
            groups[file.parent, stem.base, stem.count, file.suffix].append(stem.index)
    lacking: list[str] = []
    count_lacking, odd = 0, []
    for (folder, base, count, suffix), numbers in groups.items():
        there = set(numbers)
        first = 0 if 0 in there or (count and max(there) < count) else 1
        wanted = range(first, first + count if count else max(there) + 1)
        count_lacking += len(wanted) - sum(number in wanted for number in there)
        few = islice((number for number in wanted if number not in there), _NAMED)
        lacking += [_part(folder, base, number, count, suffix) for number in few]
        odd += [
            _part(folder, base, number, count, suffix)
            for number in sorted(there)
            if numbers.count(number) > 1 or number not in wanted
        ]
    return lacking[:_NAMED], count_lacking, odd


def _part(folder: PurePosixPath, base: str, number: int, count: int, suffix: str) -> str:
    joined = f"{base}-" if base else ""
    return str(folder / (f"{joined}{number:05d}-of-{count:05d}{suffix}" if count else f"{joined}{number:04d}{suffix}"))


def _config(folders: list[str]) -> str:
    return "/".join(folders) or "."
