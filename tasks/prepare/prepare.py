"""`gelo prepare`: read a layout, check it whole, write the data set. Nothing is visible before all of it is."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

from filelock import FileLock

from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError
from gelo.models.words import legible
from gelo.tasks.data.asking import prompts_of
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.data.prompts import Prompts, read_prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import LeftOut, Reading, Understood
from gelo.tasks.data.write import write_dataset
from gelo.tasks.prepare.biometric.partial_tables import without
from gelo.tasks.prepare.check import lacks_of, notes_of, refusals_of
from gelo.tasks.prepare.decoded import Lost, checked
from gelo.tasks.prepare.formats.align import aligned
from gelo.tasks.prepare.general.official import Official
from gelo.tasks.prepare.layout import Asked, Layout
from gelo.tasks.prepare.meant import meant
from gelo.tasks.prepare.named import reader_of
from gelo.tasks.prepare.tree import Tree

SHOWN = 20  # faults of one kind that a message lists
_NAMED = 5  # files left out for one reason that are named


@dataclass(frozen=True)
class Wanted:
    """What `gelo prepare` was told: a name, where the files are, and how to take them.

    reader: of a user's own files; None for an official set. partition: of the official ones, 1 where nothing is said. asked: what a reader
    may be told. reading: how files become pixels. prompts: a file of class names and templates to ask with. landmarks: a file of five
    points an image, by which faces are aligned to 112 x 112. allow_partial: a tree that is not whole becomes a data set whose card says
    so. near: images that look alike are looked for too. in_place: the images stay in the .rec that they are in.
    """

    name: str
    source: Path
    reader: str | None = None
    partition: int | None = None
    asked: Asked = field(default_factory=Asked)
    reading: Reading = "faithful"
    prompts: Path | None = None
    landmarks: Path | None = None
    allow_partial: bool = False
    near: bool = False
    in_place: bool = False


@dataclass
class Seen:
    """What was read, and what keeps it from being whole: `lost` grows while images are decoded."""

    wanted: Wanted
    official: Official | None
    tree: Tree
    layout: Layout
    asked: Prompts | None
    lost: Lost

    def splits(self, tick: Callable[[int], None]) -> dict[str, Iterator[Record]]:
        """Records by split, as they are decoded; after the last of them UserError with every fault, unless a partial set is allowed."""
        layout = self.layout
        streams = {
            split: checked(items, layout.numbered, self.lost, self.wanted.reading, tick)
            for split, items in layout.splits.items()
            if items
        }
        last = list(streams)[-1]
        return {split: self._to_the_end(stream) if split == last else stream for split, stream in streams.items()}

    def _to_the_end(self, records: Iterator[Record]) -> Iterator[Record]:
        yield from records
        if self.lost.faults and not self.wanted.allow_partial:  # every image has been read by now
            raise UserError(f"data set {self.wanted.name}", _in_short(self.lost.faults, self.official, True))

    def understood(self) -> Understood:
        """What the card says of the reading."""
        left = [
            LeftOut(count=len(paths), reason=reason, first=tuple(paths[:_NAMED]))
            for reason, paths in self.tree.left.items()
        ]
        if self.lost.ids:
            left.append(
                LeftOut(
                    count=len(self.lost.ids), reason="cannot be decoded", first=tuple(sorted(self.lost.ids)[:_NAMED])
                )
            )
        held = self.layout.held if self.wanted.in_place else None
        stays = [f"the images stay in {legible(str(held.resolve()))}, which has to stay where it is"] if held else []
        return Understood(
            reader=self.wanted.reader or "official",
            root=legible(str(self.wanted.source.resolve())),
            evidence=self.layout.evidence,
            columns=dict(self.layout.used),
            splits=dict(self.layout.taken),
            left_out=tuple(left),
            notes=(*self.layout.notes, *notes_of(self.layout), *stays),
        )

    def undefined(self) -> dict[str, str]:
        """Protocols that the set cannot be scored with, each with its reason."""
        return {"zero_shot": self.layout.unnamed} if self.layout.unnamed and self.asked is None else {}


def prepare(
    name: str,
    source: Path,
    data: Path,
    *,
    replace: bool = False,
    tick: Callable[[int], None] = lambda n: None,
    **how: object,
) -> tuple[Dataset, bool]:
    """Make `<data>/<name>` from an official download, or with `reader` from a user's own images; False when it was there already.

    how: the other fields of `Wanted`. replace: an older one gives way once the new one is whole. tick: told of images as they are decoded.

    Raises UserError with every fault; a second prepare of one set waits for the first.
    """
    wanted = Wanted(name, source, **how)  # type: ignore[arg-type]
    reader_of(wanted.name, source, wanted.reader, wanted.partition, wanted.asked)
    root, workshop = data / name, data / f".prepare-{name}"
    data.mkdir(parents=True, exist_ok=True)
    with FileLock(data / f".{name}.lock"), ExitStack() as ending:
        shutil.rmtree(workshop, ignore_errors=True)  # of a prepare that was killed: its lock is free
        ending.callback(shutil.rmtree, workshop, ignore_errors=True)
        if is_done(root) and not replace:
            return open_dataset(root), False
        _write(workshop / name, look(wanted), tick)
        if root.exists():
            root.rename(workshop / "old")
        (workshop / name).rename(root)
        return open_dataset(root), True


def look(wanted: Wanted) -> Seen:
    """Read what lies there and check it, without decoding an image. Raises UserError with every fault."""
    official, read = reader_of(wanted.name, wanted.source, wanted.reader, wanted.partition, wanted.asked)
    tree = Tree(wanted.source, asked=wanted.asked)
    layout = read(tree)
    if wanted.in_place and (layout.held is None or wanted.landmarks is not None) and not tree.faults:
        found = "images that are aligned anew" if wanted.landmarks is not None else f"what lies in {wanted.source}"
        fault = Fault("--in-place", found, "images that stay as they are in one .rec", "leave it out: they are copied")
        raise UserError(f"data set {wanted.name}", fault)
    if wanted.landmarks is not None:
        layout = aligned(layout, wanted.landmarks, tree.faults)
    refusals, lacks = refusals_of(layout, official), [*tree.faults, *lacks_of(layout, official)]
    kept = any(layout.splits.values()) and not refusals
    if not kept and not refusals and not lacks:
        lacks.append(Fault(str(wanted.source), "no images", "images to score"))
    if not any(layout.splits.values()) and wanted.reader and lacks and (other := meant(wanted.source, wanted.reader)):
        lacks[0] = changed(lacks[0], remedy=f"{lacks[0].remedy}; {other}".removeprefix("; "))
    if refusals or (lacks and not (wanted.allow_partial and kept)):
        raise UserError(f"data set {wanted.name}", _in_short([*refusals, *lacks], official, kept))
    asked = read_prompts(wanted.prompts, layout.classes) if wanted.prompts is not None else layout.prompts
    return Seen(wanted, official, tree, layout, asked, Lost(lacks))


def prompts_of_seen(seen: Seen) -> Prompts:
    """The prompts that the set will be asked with."""
    return seen.asked or prompts_of(seen.wanted.name, seen.layout.classes)


def _write(root: Path, seen: Seen, tick: Callable[[int], None]) -> None:
    official, layout, wanted = seen.official, seen.layout, seen.wanted
    partitions = official is not None and official.partitions
    write_dataset(
        root,
        name=root.name,
        version=f"1, partition {wanted.partition or 1}" if partitions else "1",
        scale="full",
        classes=layout.classes,
        splits=seen.splits(tick),
        source=official.home if official is not None else legible(str(wanted.source.resolve())),
        licence=official.licence if official is not None else "the user's own",
        partial=lambda: bool(seen.lost.faults),
        prompts=seen.asked,
        columns=layout.columns,
        tables=lambda: without(layout.tables, seen.lost.ids),
        protocols=layout.protocols if official is None else (),
        numbered=layout.numbered,
        near=wanted.near,
        reading=wanted.reading,
        undefined=seen.undefined(),
        understood=seen.understood,
        elsewhere=layout.held if wanted.in_place else None,
    )


def _in_short(faults: list[Fault], official: Official | None, kept: bool) -> list[Fault]:
    """The faults, and after `SHOWN` of one sentence a count of the rest; last, what to do where something could be kept."""
    shown: list[Fault] = []
    kinds: Counter[str] = Counter()
    for fault in faults:
        kinds[fault.expected] += 1
        if kinds[fault.expected] <= SHOWN:
            shown.append(fault)
    shown += [Fault("...", f"{n - SHOWN:,} more of these", expected) for expected, n in kinds.items() if n > SHOWN]
    if not kept:
        return shown
    home = f"the whole tree of {official.home}" if official is not None else "a tree without these faults"
    return [
        *shown,
        Fault("the tree", "not whole", home, "mend it, or add --allow-partial: every table will say partial"),
    ]
