"""The one check of what any reader understood: names, splits, counts, labels. What lacks, what is refused, and what is only said."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from gelo.models.faults import Fault
from gelo.models.words import legible
from gelo.tasks.data.prompts import reads_alike
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.general.official import Official
from gelo.tasks.prepare.layout import Item, Layout, labels_of
from gelo.tasks.prepare.splits import is_role


def lacks_of(layout: Layout, official: Official | None) -> list[Fault]:
    """What keeps the set from being whole; a partial one can be made of the rest."""
    return [*_counts(layout, official), *_stated(layout), *_twice(layout)]


def refusals_of(layout: Layout, official: Official | None) -> list[Fault]:
    """What keeps a user's own labels from meaning what they say: refused, whatever is allowed. Publishers may name two classes alike."""
    own = [] if official is not None or layout.protocols else [*_names(layout), *_labels(layout)]
    return [*_illegible(layout), *own]


def notes_of(layout: Layout) -> list[str]:
    """What a user should know though nothing is wrong: classes that a split lacks, a single class."""
    if not layout.classes or layout.protocols:
        return []
    notes = []
    shown = {split: set(np.unique(labels_of(items)).tolist()) for split, items in layout.splits.items()}
    for split, other in (("test", "train"), ("train", "test")):
        if split in shown and other in shown and (lacking := sorted(shown[split] - shown[other])):
            names = [layout.classes[label] for label in lacking if 0 <= label < len(layout.classes)]
            why = "; a probe is then undefined" if other == "train" else ""
            notes.append(f"{other} has no image of {_classes(len(names))} of {split}: {told(names, len(names))}{why}")
    if shown and "test" not in shown:
        from_ = next(
            (name for split in ("val", "train") for name in layout.taken.get(split, ()) if split in shown), "NAME"
        )
        notes.append(f"no test split, so nothing is scored; --split {from_}=test would take that one for it")
    never = sorted(set(range(len(layout.classes))) - set().union(*shown.values()))
    if never and shown:
        names = [layout.classes[label] for label in never]
        notes.append(f"no image of {_classes(len(names))}, asked for all the same: {told(names, len(names))}")
    if len(layout.classes) == 1:
        notes.append("1 class: nothing can be told apart, so every accuracy is undefined")
    return notes


def _classes(n: int) -> str:
    return "1 class" if n == 1 else f"{n:,} classes"


def _illegible(layout: Layout) -> list[Fault]:
    """Names of classes and files in another encoding than UTF-8, which no table holds."""
    ids = () if layout.numbered else (item.id for items in layout.splits.values() for item in items)
    remedy = "rename it, or unpack the archive anew with the encoding of its names (unzip -O CP850)"
    return [
        Fault(legible(name), "a name that is not UTF-8", "names in UTF-8", remedy)
        for name in (*layout.classes, *ids)
        if not name.isascii() and legible(name) != name
    ]


def _names(layout: Layout) -> list[Fault]:
    """Two classes with one text, names that are empty or hold control characters, names that are splits."""
    alike: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(layout.classes):
        alike[reads_alike(name)].append(label)
    faults = []
    for text, labels in alike.items():
        if len(labels) > 1:
            which = " and ".join(f"class {label} {layout.classes[label]!r}" for label in labels[:4])
            faults.append(
                Fault("classes", f"{which} are one text, {text!r}", "a text of its own for each class: ties would go to the first",
                      "rename one, or name the classes with --classes FILE")
            )  # fmt: skip
    if "" in alike:
        places = ", ".join(map(str, alike[""]))
        faults.append(Fault("classes", f"class {places} has an empty name", "a name that a prompt can ask for"))
    for name in layout.classes:
        if any(unicodedata.category(sign) == "Cc" for sign in name):
            faults.append(Fault("classes", f"{name!r} holds a control character", "a name that a prompt can ask for"))
    splits = [name for name in layout.classes if is_role(name)]
    if len({name.lower() for name in splits}) > 1 or (splits and len(splits) == len(layout.classes)):
        faults.append(
            Fault("classes", f"{told(splits, len(splits))}: splits taken for classes", "classes", "--from the folder that holds them")
        )  # fmt: skip
    return faults


def _labels(layout: Layout) -> list[Fault]:
    """A user's own set for zero-shot and probes: its labels are those of its classes."""
    faults = []
    for split, items in layout.splits.items():
        labels = labels_of(items)
        bad = Counter(labels[(labels < 0) | (labels >= max(1, len(layout.classes)))].tolist())
        faults += [
            Fault(f"split {split}", f"label {label} in {n:,} rows", f"0 to {len(layout.classes) - 1}")
            for label, n in bad.items()
        ]
    return faults


def _counts(layout: Layout, official: Official | None) -> list[Fault]:
    """Counts that are not those of the catalogue: classes, images by split, images by class where a split is balanced."""
    if official is None:
        return []
    faults = []
    if layout.classes and len(layout.classes) != official.classes:
        faults.append(Fault("classes", str(len(layout.classes)), f"{official.classes}"))
    for split, expected in official.images.items():
        items = layout.splits.get(split, [])
        if len(items) != expected:
            faults.append(Fault(f"split {split}", f"{len(items):,} images", f"{expected:,}"))
        if split in official.each and len(layout.classes) == official.classes:
            faults += _unbalanced(layout, split, items, official.each[split])
    return faults


def _unbalanced(layout: Layout, split: str, items: Sequence[Item], each: int | tuple[int, ...]) -> list[Fault]:
    by_class = Counter(labels_of(items).tolist())
    expected = (each,) * len(layout.classes) if isinstance(each, int) else each
    odd = [(label, by_class[label], n) for label, n in enumerate(expected) if by_class[label] != n]
    if len(odd) > 20:
        first, n, one = odd[0]
        found = f"{len(odd):,} classes have another number of images, such as {layout.classes[first]!r}: {n}"
        return [Fault(f"split {split}", found, f"{one} of each class" if isinstance(each, int) else f"{one}")]
    return [
        Fault(f"split {split}, class {layout.classes[label]!r}", f"{found} images", f"{n}") for label, found, n in odd
    ]


def _stated(layout: Layout) -> list[Fault]:
    """Images by split, as the set itself says that it has them."""
    return [
        Fault(f"split {split}", f"{len(layout.splits.get(split, ())):,} images", f"{n:,}, as the set itself says", "get what is missing")
        for split, n in layout.stated.items()
        if len(layout.splits.get(split, ())) != n
    ]  # fmt: skip


def _twice(layout: Layout) -> list[Fault]:
    if layout.numbered:
        return []
    seen = Counter(item.id for items in layout.splits.values() for item in items)
    return [
        Fault(f"image {identity}", f"listed {n} times", "once, in one split") for identity, n in seen.items() if n > 1
    ]
