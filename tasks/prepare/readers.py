"""Every way to read files: official sets by their names, and readers for a user's own, each with what it may be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gelo.tasks.data.catalogue import REGISTERED
from gelo.tasks.prepare.biometric.attacks import morphs, spoofs
from gelo.tasks.prepare.biometric.identities import identities
from gelo.tasks.prepare.biometric.ijb import templates
from gelo.tasks.prepare.biometric.lfw import lfw
from gelo.tasks.prepare.biometric.official import BIOMETRIC
from gelo.tasks.prepare.biometric.pairs import pairs
from gelo.tasks.prepare.formats.table import table
from gelo.tasks.prepare.general.folders import folder
from gelo.tasks.prepare.general.official import OFFICIAL, Official
from gelo.tasks.prepare.general.webdataset import webdataset
from gelo.tasks.prepare.hub.reader import hub
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.tree import Tree

KNOWN: dict[str, Official] = {**OFFICIAL, **BIOMETRIC, **REGISTERED}


@dataclass(frozen=True, slots=True)
class Reader:
    """about: the files that it reads, in a few words. takes: the fields of `Asked` that it heeds. faces: of people, so no preview unless
    asked for."""

    read: Callable[[Tree], Layout]
    about: str
    takes: tuple[str, ...] = ()
    faces: bool = False


READERS: dict[str, Reader] = {
    "folder": Reader(folder, "one folder per class", ("splits", "classes")),
    "datasets": Reader(hub, "Hugging Face folders, Parquet", ("splits", "image", "label", "config", "classes")),
    "webdataset": Reader(webdataset, "tar shards", ("splits", "image", "label", "classes")),
    "table": Reader(table, "CSV, TSV or Parquet of paths and labels", ("splits", "image", "label", "classes")),
    "pairs": Reader(pairs, "insightface's .bin", faces=True),
    "lfw": Reader(lfw, "LFW's folders of persons with pairs.txt", faces=True),
    "identities": Reader(identities, ".rec or folders of faces", faces=True),
    "templates": Reader(templates, "IJB's files", faces=True),
    "morphs": Reader(morphs, "CSVs of morphs", ("splits",), faces=True),
    "spoofs": Reader(spoofs, "CSVs or folders of presentation attacks", ("splits",), faces=True),
}


def of_faces(name: str, reader: str | None) -> bool:
    """Whether a set shows people, so that no picture of it is made unless somebody asks."""
    return READERS[reader].faces if reader in READERS else name in BIOMETRIC or (name in KNOWN and KNOWN[name].faces)
