"""`gelo prepare`: read a layout, check it whole, write the data set. Nothing is visible before all of it is."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from filelock import FileLock

from models.durable import is_done
from models.faults import Fault, UserError, unknown
from tasks.manifest import CHUNK, Dataset, open_dataset, write_dataset
from tasks.prepare.align import aligned
from tasks.prepare.attacks import morphs, spoofs
from tasks.prepare.biometric import BIOMETRIC
from tasks.prepare.folders import folder
from tasks.prepare.hub import hub
from tasks.prepare.identities import identities
from tasks.prepare.ijb import templates
from tasks.prepare.lost import without
from tasks.prepare.official import OFFICIAL, Official
from tasks.prepare.pairs import pairs
from tasks.prepare.tree import Item, Layout, Tree
from tasks.prompts import Prompts, read_prompts
from tasks.records import Record
from tasks.stream import UNREADABLE, open_image, why_unreadable

KNOWN: dict[str, Official] = OFFICIAL | BIOMETRIC
READERS: dict[str, Callable[[Tree], Layout]] = {  # for a user's own
    "folder": folder, "datasets": hub, "pairs": pairs, "identities": identities, "templates": templates, "morphs": morphs, "spoofs": spoofs,
}  # fmt: skip
SHOWN = 20  # faults of one kind that a message lists
_AT_ONCE = 8 * CHUNK
_HANDFUL = 64  # images that one thread takes at a time
_SMALL = 16_384  # bytes of an image below which threads are slower than none


def prepare(
    name: str,
    source: Path,
    data: Path,
    *,
    reader: str | None = None,
    partition: int | None = None,
    allow_partial: bool = False,
    replace: bool = False,
    prompts: Path | None = None,
    landmarks: Path | None = None,
    tick: Callable[[int], None] = lambda n: None,
) -> tuple[Dataset, bool]:
    """Make `<data>/<name>` from an official download, or with `reader` from a user's own images; False when it was there already.

    partition: of the official ones, 1 where nothing is said. allow_partial: a tree that is not whole becomes a data set whose card says
    so. replace: an older one gives way once the new one is whole. prompts: a file of class names and templates to ask with. landmarks: a
    file of five points an image, by which faces are aligned to 112 x 112.

    Raises UserError with every fault; a second prepare of one set waits for the first.
    """
    official, read = _reader(name, source, reader, partition)
    root, workshop = data / name, data / f".prepare-{name}"
    data.mkdir(parents=True, exist_ok=True)
    with FileLock(data / f".{name}.lock"), ExitStack() as ending:
        shutil.rmtree(workshop, ignore_errors=True)  # of a prepare that was killed: its lock is free
        ending.callback(shutil.rmtree, workshop, ignore_errors=True)
        if is_done(root) and not replace:
            return open_dataset(root), False
        tree = Tree(source)
        layout = read(tree)
        if landmarks is not None:
            layout = aligned(layout, landmarks, tree.faults)
        faults = [*tree.faults, *_misfits(layout, official), *_twice(layout)]
        if faults and not (allow_partial and any(layout.splits.values())):
            raise UserError(f"data set {name}", _in_short(faults, official, allow_partial))
        asked = read_prompts(prompts, layout.classes) if prompts is not None else None
        lost = _Lost(list(faults))
        splits = {
            split: _checked(items, layout.numbered, lost, tick) for split, items in layout.splits.items() if items
        }
        _write(workshop / name, layout, splits, official, source, partition, lost, allow_partial, asked)
        if root.exists():
            root.rename(workshop / "old")
        (workshop / name).rename(root)
        return open_dataset(root), True


@dataclass
class _Lost:
    """What keeps a set from being whole: every fault, and the ids of the images that could not be read."""

    faults: list[Fault]
    ids: set[str] = field(default_factory=set)


def _write(
    root: Path,
    layout: Layout,
    splits: dict[str, Iterator[Record]],
    official: Official | None,
    source: Path,
    partition: int | None,
    lost: _Lost,
    allow_partial: bool,
    asked: Prompts | None,
) -> None:
    last = list(splits)[-1]

    def to_the_end(records: Iterator[Record]) -> Iterator[Record]:
        yield from records
        if lost.faults and not allow_partial:  # every image has been read by now
            raise UserError(f"data set {root.name}", _in_short(lost.faults, official, allow_partial))

    ordered = {split: to_the_end(records) if split == last else records for split, records in splits.items()}
    version = f"1, partition {partition or 1}" if official is not None and official.partitions else "1"
    write_dataset(
        root,
        name=root.name,
        version=version,
        scale="full",
        classes=layout.classes,
        splits=ordered,
        source=official.home if official is not None else str(source.resolve()),
        licence=official.licence if official is not None else "the user's own",
        partial=lambda: bool(lost.faults),
        prompts=asked,
        columns=layout.columns,
        tables=lambda: without(layout.tables, lost.ids),
        protocols=layout.protocols if official is None else (),
        numbered=layout.numbered,
    )


def _reader(
    name: str, source: Path, reader: str | None, partition: int | None
) -> tuple[Official | None, Callable[[Tree], Layout]]:
    faults = []
    official = KNOWN.get(name) if reader is None else None
    if reader is not None and reader not in READERS:
        faults.append(unknown("--reader", reader, READERS, "reader"))
    if reader is None and official is None:
        fault = unknown("NAME", name, KNOWN, "official data set")
        first, *rest = READERS
        how = f"for images of your own add --reader {first} (or {', '.join(rest)})"
        faults.append(
            Fault(fault.where, fault.found, fault.expected, f"{fault.remedy + '; ' if fault.remedy else ''}{how}")
        )
    if reader is not None and (name in KNOWN or not name.isidentifier()):
        faults.append(Fault("NAME", name, "a name of letters, digits and _ that no official set has"))
    if not source.is_dir():
        faults.append(Fault(f"--from {source}", "no such folder", "the folder of the unpacked download"))
    highest = official.partitions if official is not None else 0
    if partition is not None and not 1 <= partition <= highest:
        faults.append(
            Fault("--partition", str(partition), f"1 to {highest}" if highest else "nothing: this set has one split")
        )
    if faults:
        raise UserError(f"prepare {name}", faults)
    if official is None:
        return None, READERS[str(reader)]
    if not highest:
        return official, official.read
    return official, lambda tree: official.read(tree, partition or 1)


def _misfits(layout: Layout, official: Official | None) -> list[Fault]:
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
        elif split in official.each and len(layout.classes) == official.classes:
            by_class = Counter(item.label for item in items)
            odd = [label for label in range(official.classes) if by_class[label] != official.each[split]]
            faults += [
                Fault(
                    f"split {split}, class {layout.classes[label]!r}",
                    f"{by_class[label]} images",
                    f"{official.each[split]}",
                )
                for label in odd
            ]
    return faults


def _twice(layout: Layout) -> list[Fault]:
    if layout.numbered:
        return []
    seen = Counter(item.id for items in layout.splits.values() for item in items)
    return [
        Fault(f"image {identity}", f"listed {n} times", "once, in one split") for identity, n in seen.items() if n > 1
    ]


def _checked(items: Sequence[Item], numbered: bool, lost: _Lost, tick: Callable[[int], None]) -> Iterator[Record]:
    """Records of the images that Pillow decodes; the others become faults in `lost`. Duplicates are passed once.

    Threads decode, but not small images: there all that they would do is wait for each other's hold of Python's lock.
    """
    once = iter(items) if numbered else iter({item.id: item for item in items}.values())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        size, spread = _HANDFUL, False
        while group := list(islice(once, size)):
            handfuls = [group[start : start + _HANDFUL] for start in range(0, len(group), _HANDFUL)]
            seen = 0
            for record in chain.from_iterable((pool.map if spread else map)(_records, handfuls)):
                if isinstance(record, tuple):
                    lost.ids.add(record[0])
                    lost.faults.append(record[1])
                else:
                    seen += len(record.image)
                    yield record
            tick(len(group))
            size, spread = _AT_ONCE, seen > _SMALL * len(group)


def _records(items: list[Item]) -> list[Record | tuple[str, Fault]]:
    return [_record(item) for item in items]


def _record(item: Item) -> Record | tuple[str, Fault]:
    try:
        data = item.load()
        open_image(data)
    except UNREADABLE as error:
        return item.id, Fault(item.where, why_unreadable(error), "an image that Pillow can decode")
    return Record(item.id, data, item.label, item.columns)


def _in_short(faults: list[Fault], official: Official | None, allowed: bool) -> list[Fault]:
    """The faults, and after `SHOWN` of one sentence a count of the rest; last, what to do."""
    shown: list[Fault] = []
    kinds: Counter[str] = Counter()
    for fault in faults:
        kinds[fault.expected] += 1
        if kinds[fault.expected] <= SHOWN:
            shown.append(fault)
    shown += [Fault("...", f"{n - SHOWN:,} more of these", expected) for expected, n in kinds.items() if n > SHOWN]
    home = f"the whole tree of {official.home}" if official is not None else "a tree without these faults"
    how = (
        "mend it: no image of it could be kept"
        if allowed
        else "mend it, or add --allow-partial: every table will say partial"
    )
    return [*shown, Fault("the tree", "not whole", home, how)]
