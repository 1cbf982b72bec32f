"""A configuration: the files of each split, what is said of them, and whether all of them are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from gelo.models.faults import Fault
from gelo.tasks.prepare.counted import fault_each
from gelo.tasks.prepare.hub.info import Info
from gelo.tasks.prepare.hub.names import Stem, missing
from gelo.tasks.prepare.tree import Tree


@dataclass(frozen=True, slots=True)
class Stated:
    """The rows that some splits have together, as `where` says; why: what else than a loss would explain other numbers."""

    where: str
    splits: tuple[str, ...]
    rows: int
    why: str = ""


@dataclass
class Config:
    """One configuration: the files of each split by the split's name in the source, what is said of them, and its faults.

    folder: within the repository. kind: what wrote it. default: whether README.md means this one where nobody chooses.
    """

    name: str
    folder: str
    kind: str
    splits: dict[str, list[PurePosixPath]]
    info: Info = field(default_factory=Info)
    infos: dict[str, Info] = field(default_factory=dict)  # of splits that have their own
    stated: list[Stated] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    default: bool = False

    def said_of(self, split: str) -> Info:
        return self.infos.get(split, self.info)

    def files(self) -> set[PurePosixPath]:
        return {file for files in self.splits.values() for file in files}


def check_parts(tree: Tree, config: Config, of: Mapping[PurePosixPath, Stem]) -> None:
    """Faults for parts that the names of others count and that are not there, and for parts that are there twice."""
    for split, files in config.splits.items():
        lacking, count, odd = missing(files, of)
        where = tree.root / config.folder
        if count:
            more = f" and {count - len(lacking):,} more" if count > len(lacking) else ""
            tree.fault(
                where,
                f"{count:,} parts of {split} are missing: {', '.join(lacking)}{more}",
                "all parts that the names count",
                "download them again",
            )
        fault_each(
            tree,
            where,
            odd,
            f"parts of {split} are there twice, or beyond their count",
            "each part once",
            "move the older ones away",
        )
