"""`gelo cache`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import (
    Cache,
    Data,
    app,
    console,
    refuse_places,
    settings_of,
)
from gelo.sweeps.terminal.listing import say


@app.command()
def cache(
    limit: Annotated[
        float | None, typer.Option(min=0, help="Prune to at most this many gigabytes, the longest unused first.")
    ] = None,
    cache: Cache = None,
    data: Data = None,
) -> None:
    """List the cache of decoded images and embeddings, or with --limit prune it. All of it can be made again.

    Example: `gelo cache`, `gelo cache --limit 20`
    """
    from gelo.sweeps.terminal.preparation import cache_table
    from gelo.tasks.data.cache import prune

    settings = settings_of(data=data, cache=cache)
    refuse_places(settings, reads=("cache", "data"))
    if limit is not None:
        gone = prune(Path(settings.cache), limit * 1e9)
        freed = sum(entry.bytes for entry in gone) / 1e9
        say(console, f"{len(gone)} entries removed, {freed:.2f} GB freed")
    console.print(cache_table(Path(settings.cache), Path(settings.data)))
