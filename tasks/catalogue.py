"""Every data set as one entry: what it measures, at which scale, and where it comes from.

A sweep names a collection (`miniature`, `paper`); the collection says which data sets belong to which suite. Counts and class numbers are
those of `docs/protocols.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from models.durable import is_done
from models.faults import Fault, UserError, unknown
from tasks.manifest import Dataset, open_dataset

Protocol = Literal["zero_shot", "probe", "verification", "templates", "morph", "spoof", "training"]
Scale = Literal["miniature", "full"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One data set: its protocols, and `builder` ("module:name" of a BUILDERS table) when gelo can make it itself."""

    name: str
    scale: Scale
    protocols: tuple[Protocol, ...]
    classes: int = 0
    test_images: int = 0
    builder: str = ""

    def build(self, root: Path) -> Dataset:
        """Make the data set at `root`. Raises UserError when it can only be prepared from an official download."""
        if not self.builder:
            raise UserError(
                f"data set {self.name}",
                Fault(str(root), "not prepared", "a prepared data set", "prepare its official download"),
            )
        builders: dict[str, Callable[[Path], Dataset]] = import_module(self.builder).BUILDERS
        return builders[self.name](root)


_MINI_GENERAL = ("shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits")
_PAPER_GENERAL = (
    ("food101", 101, 25_250), ("cifar10", 10, 10_000), ("cifar100", 100, 10_000), ("sun397", 397, 19_850), ("stanford_cars", 196, 8_041),
    ("fgvc_aircraft", 100, 3_333), ("dtd", 47, 1_880), ("mnist", 10, 10_000), ("flowers102", 102, 6_149), ("stl10", 10, 8_000),
    ("gtsrb", 43, 12_630), ("country211", 211, 21_100), ("sst2", 2, 1_821),
)  # fmt: skip

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        *(Entry(name, "miniature", ("zero_shot", "probe"), builder="tasks.mini.general") for name in _MINI_GENERAL),
        Entry("shapes_shifted", "miniature", ("zero_shot",), builder="tasks.mini.general"),
        Entry("faces", "miniature", ("training",), builder="tasks.mini.faces"),
        *(Entry(name, "miniature", ("verification",), builder="tasks.mini.faces") for name in ("pairs", "pose", "age")),
        Entry("templates", "miniature", ("templates",), builder="tasks.mini.faces"),
        Entry("morphs", "miniature", ("training", "morph"), classes=2, builder="tasks.mini.morphs"),
        Entry("spoofs", "miniature", ("training", "spoof"), classes=2, builder="tasks.mini.spoofs"),
        *(Entry(name, "full", ("zero_shot", "probe"), classes, images) for name, classes, images in _PAPER_GENERAL),
        Entry("imagenet_v2", "full", ("zero_shot",), 1_000, 10_000),
        *(Entry(name, "full", ("verification",)) for name in ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")),
        *(Entry(name, "full", ("templates",)) for name in ("ijbb", "ijbc")),
        Entry("ms1mv2", "full", ("training",), classes=85_742),
        Entry("smdd", "full", ("training",), classes=2),
        Entry("mad22", "full", ("morph",), classes=2),
        Entry("oulu_casia_msu", "full", ("training",), classes=2),
        Entry("celeba_spoof", "full", ("spoof",), classes=2),
    )
}

COLLECTIONS: dict[str, Scale] = {"miniature": "miniature", "paper": "full"}

SUITES: dict[str, tuple[Protocol, ...]] = {
    "zero_shot": ("zero_shot",),
    "probe": ("probe",),
    "biometric": ("verification", "templates", "morph", "spoof"),
}


def datasets_for(collection: str, suite: str) -> list[Entry]:
    """The entries that a suite needs, in table order. Raises UserError for an unknown name."""
    if collection not in COLLECTIONS:
        raise UserError("collection", unknown("data", collection, COLLECTIONS, "collection"))
    if suite not in SUITES:
        raise UserError("suite", unknown("evaluate", suite, SUITES, "suite"))
    return [e for e in ENTRIES.values() if e.scale == COLLECTIONS[collection] and set(e.protocols) & set(SUITES[suite])]


def locate(name: str, data: Path, *, build: bool = False, verify: bool = False) -> Dataset:
    """The prepared data set `name` below `data`; with `build`, one that gelo makes itself is made when missing.

    Raises UserError for an unknown name (the nearest offered), a missing or a damaged data set (every fault).
    """
    if name not in ENTRIES:
        raise UserError("data set", unknown("data set", name, ENTRIES, "data set"))
    root = data / name
    if build and not is_done(root) and ENTRIES[name].builder:
        return ENTRIES[name].build(root)
    return open_dataset(root, verify=verify)
