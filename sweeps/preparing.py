"""`gelo prepare` and `gelo cache` on a terminal: tables of what there is, and one preparation with its progress."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from models.durable import is_done
from models.faults import UserError
from tasks.cache import entries
from tasks.manifest import open_dataset
from tasks.prepare.prepare import KNOWN, prepare


def catalogue_table(data: Path) -> Table:
    """Every official set and every set that is prepared below `data`."""
    table = Table(title=f"official data sets, prepared ones in {data}")
    for heading in ("name", "classes", "images", "here"):
        table.add_column(heading, no_wrap=True)
    table.add_column("official download, size, licence")
    for name, official in KNOWN.items():
        where = f"{official.home}; {official.size}; {official.licence}"
        count = official.images.get("test", official.images.get("train"))
        shown = (f"{official.classes:,}" if official.classes else "", f"{count:,}" if count else "")
        table.add_row(name, *shown, _ready(data / name), where)
    own = sorted(p.name for p in data.iterdir() if p.name not in KNOWN and is_done(p)) if data.is_dir() else []
    for name in own:
        try:
            card = open_dataset(data / name).card
        except UserError:
            table.add_row(name, "", "", "damaged", "")
            continue
        if card.scale == "full":
            table.add_row(
                name, f"{len(card.classes):,}", f"{card.counts().get('test', 0):,}", _ready(data / name), card.source
            )
    return table


def cache_table(cache: Path, data: Path) -> Table:
    """Entries of the cache, the longest unused first, with the names of the data sets that are still prepared."""
    known = {}
    for card in data.glob("*/dataset.json"):
        with suppress(UserError):
            dataset = open_dataset(card.parent)
            known[dataset.fingerprint] = dataset.name
    found = entries(cache)
    table = Table(title=f"cache {cache}: {sum(entry.bytes for entry in found) / 1e9:.2f} GB")
    for heading in ("kind", "data set", "transform or encoder", "MB", "last used"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "MB" else "left")
    for entry in found:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            entry.kind, known.get(entry.dataset, entry.dataset), entry.made_by, f"{entry.bytes / 1e6:,.1f}", used
        )
    return table


def prepare_one(
    name: str,
    source: Path,
    data: Path,
    console: Console,
    reader: str | None,
    partition: int | None,
    prompts: Path | None,
    landmarks: Path | None,
    allow_partial: bool,
    replace: bool,
) -> None:
    """Prepare one set and say what came of it. Raises UserError."""
    with Progress(
        TextColumn("{task.description}"), TextColumn("{task.completed:,} images"), console=console, transient=True,
        disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(f"prepare {name}", total=None)
        dataset, made = prepare(
            name, source, data, reader=reader, partition=partition, prompts=prompts, landmarks=landmarks,
            allow_partial=allow_partial, replace=replace, tick=lambda n: progress.advance(task, n),
        )  # fmt: skip
    counts = ", ".join(f"{n:,} {split}" for split, n in dataset.card.counts().items())
    state = (
        "prepared"
        if made
        else f"was there already, from {dataset.card.source}; --from was not read (--replace makes it anew)"
    )
    unchecked = f"; {KNOWN[name].unchecked}" if name in KNOWN and KNOWN[name].unchecked else ""
    partial = "; PARTIAL, and every table made from it will say so" if dataset.card.partial else ""
    console.print(
        f"{name} {state}: {counts}, {len(dataset.card.classes):,} classes in {dataset.root}{partial}{unchecked}",
        highlight=False,
    )


def _ready(root: Path) -> str:
    if not is_done(root):
        return "no"
    try:
        return "partial" if open_dataset(root).card.partial else "yes"
    except UserError:
        return "damaged"
