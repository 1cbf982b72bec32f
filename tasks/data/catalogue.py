"""Every data set as one entry: what it measures, at which scale, and where it comes from.

Official sets of other distributions stand beside the collections: entry points of the group `gelo.datasets`, each naming an `Official`.

A sweep names a collection (`miniature`, `paper`); the collection says which data sets belong to which suite. Counts and class numbers are
those of `docs/protocols.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.registered import Registry, admitted, strange
from gelo.models.untrusted import below
from gelo.tasks.data.manifest import CARD, Dataset, open_dataset
from gelo.tasks.metricnames import LONGEST_PIECE, is_piece
from gelo.tasks.prepare.general.official import OFFICIAL, Official
from gelo.tasks.prepare.splits import is_role
from gelo.tasks.protocols import PROTOCOLS, asked, groups, protocols_of, suites, widened

Scale = Literal["miniature", "full"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One data set: what it is for, and `builder` ("module:name" of a BUILDERS table) when gelo can make it itself.

    roles: those of `LEARNT`, and protocols that it is scored with. beside: in no collection; a sweep names it under `also`.
    """

    name: str
    scale: Scale
    roles: tuple[str, ...]
    classes: int = 0
    test_images: int = 0
    builder: str = ""
    beside: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """`roles`, with the protocols that are scored wherever one of them is."""
        return widened(self.roles)

    def build(self, root: Path) -> Dataset:
        """Make the data set at `root`. Raises UserError when it can only be prepared from an official download."""
        if not self.builder:
            raise UserError(
                f"data set {self.name}",
                Fault(str(root), "not prepared", "a prepared data set", f"gelo prepare {self.name} --from DIR"),
            )
        builders: dict[str, Callable[[Path], Dataset]] = import_module(self.builder).BUILDERS
        return builders[self.name](root)


# roles that are no protocol: a task trains on it; remedies see it; it is chosen by: nothing is scored on the last two
LEARNT = ("training", "reference", "validation")
_MINI_GENERAL = ("shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits")
GENERAL = ("zero_shot", "probe")  # of a set with a train split, and of a user's own whose card says nothing
_BESIDE = ("imagenet",)  # prepared and scored where a user asks for it; the paper has no such column

OWN: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        *(Entry(name, "miniature", GENERAL, builder="gelo.tasks.mini.general") for name in _MINI_GENERAL),
        Entry("shapes_shifted", "miniature", ("zero_shot",), builder="gelo.tasks.mini.general"),
        Entry("coloured", "miniature", GENERAL, builder="gelo.tasks.mini.coloured", beside=True),
        Entry("reference", "miniature", ("reference",), builder="gelo.tasks.mini.reference"),
        Entry("faces", "miniature", ("training",), classes=150, builder="gelo.tasks.mini.faces"),
        Entry("crowd", "miniature", ("training",), classes=1000, builder="gelo.tasks.mini.crowd", beside=True),
        *(
            Entry(name, "miniature", ("verification",), builder="gelo.tasks.mini.faces")
            for name in ("pairs", "pose", "age")
        ),
        Entry("templates", "miniature", ("templates",), builder="gelo.tasks.mini.faces"),
        Entry("morphs", "miniature", ("training", "morph"), classes=2, builder="gelo.tasks.mini.morphs"),
        Entry("spoofs", "miniature", ("training", "spoof"), classes=2, builder="gelo.tasks.mini.spoofs"),
        *(
            Entry(f"{name}_val", "miniature", ("validation",), builder=f"gelo.tasks.mini.{name}")
            for name in ("faces", "morphs", "spoofs")
        ),
        *(
            Entry(
                set_.name,
                "full",
                GENERAL if "train" in set_.images else ("zero_shot",),
                set_.classes,
                set_.images["test"],
                beside=set_.name in _BESIDE,
            )
            for set_ in OFFICIAL.values()
        ),
        *(Entry(name, "full", ("verification",)) for name in ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")),
        *(Entry(name, "full", ("templates", "identification")) for name in ("ijbb", "ijbc")),
        Entry("ms1mv2", "full", ("training",), classes=85_742),
        Entry("casia_webface", "full", ("training",), classes=10_572),
        Entry("webface4m", "full", ("training",), classes=205_990),
        Entry("smdd", "full", ("training",), classes=2),
        Entry("mad22", "full", ("morph",), classes=2),
        Entry("oulu_casia_msu", "full", ("training",), classes=2),
        Entry("celeba_spoof", "full", ("spoof",), classes=2),
    )
}

COLLECTIONS: dict[str, Scale] = {"miniature": "miniature", "paper": "full"}

_GROUPS = ("mean", "average", "avg", "all", "none", "any", "gelo", "forgetting", "default")
_COLUMNS = ("trial", "backbone", "task", "adaptation", "remedy", "seed")  # of the report's tables, beside the sets


def clash(new: Any, known: Mapping[str, Official], where: str) -> Fault | None:
    """Why a registered object cannot be one of the official sets."""
    if not isinstance(new, Official):
        return strange(new, where, "an Official, or a tuple of them")
    why = "this is another's" if new.name in known else _meaning(new.name, OWN)
    if why or new.name != new.name.lower():
        return Fault(
            where, f"data set {new.name!r}", f"a small name of its own: {why or 'this has capitals'}", "rename it"
        )
    roles = (*LEARNT, *PROTOCOLS)
    if strays := [role for role in new.roles if role not in roles]:
        return unknown(f"{where}: roles", strays[0], roles, "protocol")
    return None


REGISTERED: Mapping[str, Official] = Registry(
    dict, lambda own: admitted("gelo.datasets", own, lambda each: each.name, clash)
)


def _with_registered(own: Mapping[str, Entry]) -> dict[str, Entry]:
    return {**own, **{name: _entry(official) for name, official in REGISTERED.items()}}


def _entry(official: Official) -> Entry:
    roles = official.roles or (GENERAL if "train" in official.images else ("zero_shot",))
    return Entry(official.name, "full", roles, official.classes, official.images.get("test", 0), beside=True)


ENTRIES: Mapping[str, Entry] = Registry(lambda: OWN, _with_registered)


def taken(name: str) -> str:
    """Why a user's own set cannot have this name: what it means already, in whatever case; "" for a free one."""
    return _meaning(name, ENTRIES)


def _meaning(name: str, entries: Mapping[str, Entry]) -> str:
    low = name.lower()
    if not is_piece(name):
        return f"this one has {len(name):,} signs" if len(name) > LONGEST_PIECE else "this one has other signs"
    if low in entries:
        return "this is a miniature set of gelo's own" if entries[low].builder else "this is an official set's"
    if low in {*asked(), *groups(), *suites(), *COLLECTIONS, *_GROUPS}:
        return "this is a group of metrics or data sets"
    if low in _COLUMNS:
        return "this is a column of the report"
    return "this is a split" if is_role(name) else ""


def datasets_for(collection: str, suite: str) -> list[Entry]:
    """The entries that a suite needs, in table order. Raises UserError for an unknown name."""
    if collection not in COLLECTIONS:
        raise UserError("collection", unknown("data", collection, COLLECTIONS, "collection"))
    if suite not in asked():
        raise UserError("suite", unknown("evaluate", suite, asked(), "suite"))
    wanted = set(asked()[suite])
    return [entry for entry in _collected(collection) if wanted & set(entry.protocols)]


def chosen(names: Iterable[str], collection: str, suite: str) -> str:
    """What stands behind `mean` in the name of a mean over these sets: "" where they are those that a suite of results has of a collection,
    else `_12`, their number: it is another quantity.
    """
    protocols = {protocol.name for protocol in protocols_of(suite)}
    own = {entry.name for entry in _collected(collection) if protocols & set(entry.protocols)}
    given = set(names)
    return "" if given == own else f"_{len(given)}"


def _collected(collection: str) -> list[Entry]:
    return [entry for entry in ENTRIES.values() if entry.scale == COLLECTIONS[collection] and not entry.beside]


def entry_of(name: str, data: Path) -> Entry:
    """The catalogue's entry, or that of a user's own set below `data`: its card's protocols, else those of any general one."""
    if name in ENTRIES:
        return ENTRIES[name]
    try:
        card = open_dataset(data / name).card
    except UserError:  # missing or damaged: whoever opens it hears of it
        said: tuple[str, ...] = ()
    else:
        said = tuple(role for role in card.protocols if role in LEARNT or role in PROTOCOLS)
    return Entry(name, "full", said or GENERAL, beside=True)


def locate(name: str, data: Path, *, build: bool = False, verify: bool = False) -> Dataset:
    """The prepared data set `name` below `data`; with `build`, one that gelo makes itself is made when missing.

    Raises UserError for a name that is neither known nor prepared (the nearest offered), a missing or a damaged data set (every fault),
    and one that has the name of a set of gelo's and is another.
    """
    root = below(data, name, "a data set")
    if name not in ENTRIES and not is_done(root):
        raise UserError("data set", _not_there(name, data))
    if build and not is_done(root) and ENTRIES[name].builder:
        return ENTRIES[name].build(root)
    dataset = open_dataset(root, verify=verify)
    if name not in ENTRIES and (why := taken(name)):
        expected = f"a name that metrics can carry and that means nothing else: {why}"
        fault = Fault(str(root / CARD), f"a data set called {name!r}", expected, "prepare it again under another name")
        raise UserError(f"data set {name}", fault)
    if name in ENTRIES and dataset.card.scale != ENTRIES[name].scale:
        kinds = {"miniature": "the set that gelo draws", "full": "a set of real files"}
        found, expected = f"the card of {kinds[dataset.card.scale]}", kinds[ENTRIES[name].scale]
        remedy = f"delete the folder, and prepare those files under a name that no set of gelo's has (it is from {dataset.card.source})"
        raise UserError(f"data set {name}", Fault(str(root / CARD), found, f"{expected}, which has this name", remedy))
    return dataset


def named(name: str, data: Path) -> Dataset:
    """`locate` of a set that a user names to look at or to score: one that gelo draws is made; of one that is missing the fault also
    says which are prepared."""
    if not is_done(below(data, name, "a data set")) and not (name in ENTRIES and ENTRIES[name].builder):
        raise UserError("data set", _not_there(name, data))
    return locate(name, data, build=True)


def _not_there(name: str, data: Path) -> Fault:
    """The fault of a set that is not prepared: the nearest name, how to prepare it, and which are there."""
    there = sorted(folder.name for folder in data.iterdir() if is_done(folder)) if data.is_dir() else []
    expected = f"a set prepared in {data} ({', '.join(there) or 'there is none'})"
    if name in ENTRIES:
        return Fault(str(data / name / CARD), "missing", expected, f"gelo prepare {name} --from DIR")
    drawn = [entry.name for entry in ENTRIES.values() if entry.builder]
    fault = unknown("data set", name, {*ENTRIES, *there}, "data set")
    own = [] if taken(name) else [f"your own: gelo prepare {name} --from DIR --reader READER"]
    remedy = "; ".join([*filter(None, [fault.remedy]), *own, "official ones: gelo prepare --list"])
    return replace(fault, expected=f"{expected} or one that gelo draws ({', '.join(drawn)})", remedy=remedy)
