"""`gelo prepare` and `gelo cache` on a terminal: tables of what there is, and one preparation with its progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn

from gelo.models.durable import is_done
from gelo.models.faults import UserError
from gelo.models.words import counted
from gelo.sweeps.terminal.dataset import About, about, print_about
from gelo.sweeps.terminal.dataset import as_json as shown_as_json
from gelo.sweeps.terminal.listing import Listing, say
from gelo.tasks.data.cache import entries
from gelo.tasks.data.catalogue import named
from gelo.tasks.data.defined import prompted
from gelo.tasks.data.manifest import Dataset, open_dataset
from gelo.tasks.data.preview import write_preview
from gelo.tasks.prepare.prepare import Wanted, look, prepare, prompts_of_seen
from gelo.tasks.prepare.readers import KNOWN, of_faces


def catalogue_table(data: Path) -> Listing:
    """Every official set and every set that is prepared below `data`."""
    table = Listing(
        f"official data sets, prepared ones in {data}",
        ("name", "classes", "images", "here", "official download, size, licence"),
        right=("classes", "images"),
    )
    for name, official in KNOWN.items():
        where = f"{official.home}; {official.size}; {official.licence}"
        count = official.images.get("test", official.images.get("train"))
        shown = (f"{official.classes:,}" if official.classes else "", f"{count:,}" if count else "")
        table.add(name, *shown, _ready(data / name), where)
    own = sorted(p.name for p in data.iterdir() if p.name not in KNOWN and is_done(p)) if data.is_dir() else []
    for name in own:
        try:
            card = open_dataset(data / name).card
        except UserError:
            table.add(name, "", "", "damaged", "")
            continue
        if card.scale == "full":
            table.add(
                name, f"{len(card.classes):,}", f"{card.counts().get('test', 0):,}", _ready(data / name), card.source
            )
    return table


def cache_table(cache: Path, data: Path) -> Listing:
    """Entries of the cache, the longest unused first, with the names of the data sets that are still prepared."""
    known = {}
    for card in data.glob("*/dataset.json"):
        with suppress(UserError):
            dataset = open_dataset(card.parent)
            known[dataset.fingerprint] = dataset.name
    found = entries(cache)
    table = Listing(
        f"cache {cache}: {sum(entry.bytes for entry in found) / 1e9:.2f} GB",
        ("kind", "data set", "transform or encoder", "MB", "last used"),
        right=("MB",),
    )
    for entry in found:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        table.add(entry.kind, known.get(entry.dataset, entry.dataset), entry.made_by, f"{entry.bytes / 1e6:,.1f}", used)
    return table


def prepare_one(
    wanted: Wanted, data: Path, console: Console, *, replace: bool, dry_run: bool, preview: bool | None
) -> None:
    """Prepare one set and say what it was taken for. preview: of everything but faces where nothing is said. Raises UserError."""
    if dry_run:
        _look(wanted, console)
        return
    with _progress(wanted, console) as tick:
        dataset, made = prepare(
            wanted.name, wanted.source, data, replace=replace, tick=tick,
            **{field.name: getattr(wanted, field.name) for field in fields(Wanted) if field.name not in ("name", "source")},
        )  # fmt: skip
    root = dataset.card.understood.root if dataset.card.understood else dataset.card.source
    state = "prepared" if made else f"was there already, from {root}; --from was not read (--replace makes it anew)"
    unchecked = f"; {KNOWN[wanted.name].unchecked}" if wanted.name in KNOWN and KNOWN[wanted.name].unchecked else ""
    partial = "; PARTIAL, and every table made from it will say so" if dataset.card.partial else ""
    say(
        console,
        f"{wanted.name} {state}: {_counts(dataset.card.counts(), len(dataset.card.classes))} in {dataset.root}{partial}{unchecked}",
    )
    if not made:
        return
    print_about(about(dataset), console)
    if preview if preview is not None else not of_faces(wanted.name, wanted.reader):
        show_preview(dataset, console)


def show_one(name: str, data: Path, console: Console, *, near: bool, preview: bool, as_json: bool) -> None:
    """Say again what a set was taken for. Raises UserError for one that is not prepared."""
    dataset = named(name, data)
    this = about(dataset, near)
    if as_json:
        sheet = {"preview": str(write_preview(dataset))} if preview else {}
        console.print_json(data=shown_as_json(this) | sheet, indent=1, ensure_ascii=True)
        return
    say(console, f"{name}: {_counts(dataset.card.counts(), len(dataset.card.classes))} in {dataset.root}")
    print_about(this, console)
    if preview:
        show_preview(dataset, console)


def show_preview(dataset: Dataset, console: Console) -> None:
    """Make the contact sheet, or say why not: the set is whole without it."""
    try:
        say(console, f"look at it: {write_preview(dataset)}", 2)
    except OSError as error:
        say(console, f"no preview: {error}", 2)


def _look(wanted: Wanted, console: Console) -> None:
    seen = look(wanted)
    images: Counter[str] = Counter()
    shown: dict[str, set[int]] = {}
    with _progress(wanted, console) as tick:
        for split, records in seen.splits(tick).items():
            for record in records:
                images[split] += 1
                shown.setdefault(split, set()).add(record.label)
    layout, undefined = seen.layout, seen.undefined()
    asked = bool(layout.classes) and prompted(layout.protocols or ("zero_shot",), undefined)
    say(console, f"{wanted.name}, dry run: {_counts(images, len(layout.classes))}; nothing was written")
    this = About(
        wanted.name, images, {split: len(labels) for split, labels in shown.items()}, layout.classes,
        prompts_of_seen(seen) if asked else None, wanted.reading, seen.understood(), seen.understood().notes,
        undefined=undefined, partial=bool(seen.lost.faults),
    )  # fmt: skip
    print_about(this, console)
    say(console, "leaks are looked for when it is written", 2)


@contextmanager
def _progress(wanted: Wanted, console: Console) -> Iterator[Callable[[int], None]]:
    with Progress(
        TextColumn("{task.description}"), TextColumn("{task.completed:,} images"), console=console, transient=True,
        disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(f"prepare {wanted.name}", total=None)
        yield lambda n: progress.advance(task, n)


def _counts(images: Mapping[str, int], classes: int) -> str:
    return f"{', '.join(f'{n:,} {split}' for split, n in images.items())}, {counted(classes, 'class')}"


def _ready(root: Path) -> str:
    """Whether a set is prepared, and what it takes on this disk; what the official download takes stands beside its address."""
    if not is_done(root):
        return "no"
    try:
        card = open_dataset(root).card
    except UserError:
        return "damaged"
    files = [*(shard for shards in card.splits.values() for shard in shards), *card.tables.values()]
    return f"{'partial' if card.partial else 'yes'}, {sum(file.bytes for file in files) / 1e6:,.1f} MB"
