"""What a data set was taken for, in a few lines: the end of `gelo prepare`, `--dry-run` before anything is written, `gelo show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console

from gelo.models.words import counted
from gelo.sweeps.terminal.listing import say
from gelo.tasks.data.contents import UNCHECKED, is_known, known_of, said_of_looks, within
from gelo.tasks.data.defined import prompts_asked
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.understood import Leak, Reading, Understood

_PROMPTS = (
    3  # classes whose prompt is shown: the first, one of the middle and the last, where an order that slipped shows
)
_FIRST = ("test", "train")
_READINGS: Mapping[Reading, str] = {
    "faithful": "faithful (turned upright by EXIF, 16 bit and float scaled, RGB before resizing)",
    "open_clip": "open_clip (as its own transform does: not turned, deep values clipped)",
}


@dataclass(frozen=True)
class About:
    """All that is said of a data set, prepared or only read.

    images, shown: images, and classes with an image, by split. prompts: None where no protocol asks any. checked: whether leaks were
    looked for. notes: what a user should know before scoring.
    """

    name: str
    images: Mapping[str, int]
    shown: Mapping[str, int]
    classes: tuple[str, ...]
    prompts: Prompts | None
    reading: Reading
    understood: Understood | None = None
    notes: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()
    checked: bool = True
    undefined: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    miniature: bool = False
    source: str = ""


def about(dataset: Dataset, near: bool = False) -> About:
    """What a prepared data set says of itself, also one of an older gelo. near: images that look alike are looked for now."""
    card = dataset.card
    understood, checked = card.understood, is_known(dataset)
    leaks: tuple[Leak, ...] = ()
    notes = understood.notes if understood is not None else ()
    if checked and understood is not None and not near:
        leaks = understood.leaks
    elif checked:
        known = known_of(dataset, near)
        leaks, said = within(dataset, known), said_of_looks(known)
        notes = tuple(dict.fromkeys((*notes, *([said] if said else []))))
    return About(
        dataset.name, card.counts(), {split: len(np.unique(dataset.labels(split))) for split in card.splits}, card.classes,
        prompts_asked(dataset), card.reading, understood, notes, leaks, checked,
        card.undefined, card.partial, card.scale == "miniature", card.source,
    )  # fmt: skip


def print_about(this: About, console: Console) -> None:
    """The lines of `sentences`, broken to the terminal's width."""
    for depth, text in sentences(this):
        say(console, text, 2 * depth)


def sentences(this: About) -> Iterator[tuple[int, str]]:
    """(indent, sentence) one by one; what should give pause comes last, next to the prompt."""
    known = this.understood
    if known is not None:
        yield 1, f"from {known.root}, read as {known.reader}"
    elif this.source:
        yield 1, f"source: {this.source}"
    for split in sorted(this.images, key=lambda split: (_FIRST.index(split) if split in _FIRST else 9, split)):
        taken = known.splits.get(split, ()) if known is not None else ()
        yield 1, f"{split}: {counted(this.images[split], 'image')}{_of_classes(this, split)}{_in_source(taken, split)}"
    if known is not None and known.evidence:
        yield 1, f"classes by {known.evidence}"
    if known is not None and known.columns:
        yield 1, "columns: " + ", ".join(f"{role} from {name!r}" for role, name in known.columns.items())
    if this.prompts is not None:
        yield 1, f"prompts, {counted(len(this.prompts.templates), 'template')}:"
        for label in _chosen(len(this.prompts.classes)):
            yield 2, f"{label}: {this.prompts.texts()[label][0]}"
    yield 1, f"pixels: {_READINGS[this.reading]}"
    for left in known.left_out if known is not None else ():
        more = ", ..." if left.count > len(left.first) else ""
        yield 1, f"left out, {left.reason}: {counted(left.count, 'file')}: {', '.join(left.first)}{more}"
    for protocol, reason in this.undefined.items():
        yield 1, f"not given: {protocol} ({reason})"
    for note in this.notes:
        yield 1, f"note: {note}"
    if not this.checked:
        yield 1, f"leaks not checked: {UNCHECKED}"
    for leak in this.leaks:
        yield 1, f"{'note' if leak.split == leak.other and not leak.relabelled else 'WARNING'}: {leak}"
    if this.partial:
        yield 1, "PARTIAL: not whole, and every table made from it says so"
    if this.miniature:
        yield 1, "MINIATURE: generated toy data"


def as_json(this: About) -> dict[str, Any]:
    """The same for programs; prompts as the first template fills them, of every class."""
    asked = this.prompts
    return {
        "name": this.name,
        "source": this.source,
        "images": dict(this.images),
        "classes": list(this.classes),
        "classes_shown": dict(this.shown),
        "prompts": None if asked is None else {"classes": list(asked.classes), "templates": list(asked.templates)},
        "reading": this.reading,
        "undefined": dict(this.undefined),
        "partial": this.partial,
        "miniature": this.miniature,
        "leaks_checked": this.checked,
        "leaks": [leak.model_dump(mode="json") for leak in this.leaks],
        "notes": list(this.notes),
        "understood": None
        if this.understood is None
        else this.understood.model_dump(mode="json", exclude={"leaks", "notes"}),
    }


def _of_classes(this: About, split: str) -> str:
    """How many classes have an image, and of how many; nothing where labels are free."""
    if not this.classes:
        return ""
    total = counted(len(this.classes), "class")
    return f", {total}" if this.shown[split] == len(this.classes) else f", {this.shown[split]:,} of {total}"


def _in_source(names: tuple[str, ...], split: str) -> str:
    """What the source calls a split, where that is another name."""
    return f" (in the source: {', '.join(names)})" if names and names != (split,) else ""


def _chosen(classes: int) -> list[int]:
    return sorted({round(place * (classes - 1) / (_PROMPTS - 1)) for place in range(_PROMPTS)}) if classes else []
