"""`gelo clean`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gelo.models.faults import Fault, UserError
from gelo.models.words import counted
from gelo.sweeps.cli.base import Cache, Data, Storage, app, console, errors, folder_of, refuse_places, settings_of
from gelo.sweeps.stages.troubles import print_faults
from gelo.sweeps.terminal.listing import say


@app.command()
def clean(
    name: Annotated[str | None, typer.Argument(help="The sweep's name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every sweep of the storage, and the cache.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. [default: only say what would go]")] = False,
    storage: Storage = None,
    data: Data = None,
    cache: Cache = None,
) -> None:
    """Say what nobody needs any more, and with --yes remove it: what was half-written when a process was killed, checkpoints of trained
    trials, trials that are none of the sweep's, and with --all cached images and embeddings of data sets and encoders that nothing names.

    No result and no trained model of a sweep is ever among it, and a sweep that runs is left alone. What is merely long unused in the
    cache is `gelo cache --limit`'s matter.

    Example: `gelo clean demo`, `gelo clean demo --yes`, `gelo clean --all`
    """
    from gelo.sweeps.state import cleaning
    from gelo.sweeps.state.folder import names_in
    from gelo.sweeps.terminal.litter import show
    from gelo.tasks.data.cache import drop

    if all_ is (name is not None):
        raise UserError("clean", Fault("NAME", "a name and --all" if all_ else "nothing to clean", "NAME, or --all"))
    settings = settings_of(storage=storage, data=data, cache=cache)
    refuse_places(settings, reads=("storage", "data", "cache"))
    place, left = settings.place(), list[UserError]()
    folders = [folder_of(storage, each) for each in (names_in(place) if all_ else [str(name)])]
    found, readable = list[cleaning.Litter](), []
    for folder in folders:
        try:
            found += cleaning.litter_of(folder)
            readable.append(folder)
        except UserError as error:
            if not all_:
                raise
            left.append(error)
    stale = []
    if all_:
        found += cleaning.half_made(Path(settings.data))
        if len(readable) == len(folders):  # who is not read may name what is in the cache
            stale = cleaning.cache_litter(Path(settings.cache), Path(settings.data), readable)
    size = show(found, stale, console)
    for each in left:
        print_faults(UserError(f"left alone: {each.subject}", each.faults), errors)
    if left:
        say(errors, "the cache is left alone too: what these sweeps need of it is not known")
    if not size:
        say(console, "nothing to clean")
    elif not yes:
        say(console, f"{counted(len(found) + len(stale), 'thing')}, {size / 1e6:,.1f} MB; to remove them add --yes")
    else:
        cleaning.remove(found)
        if stale:
            drop(Path(settings.cache), [entry for entry, _ in stale])
        say(console, f"{counted(len(found) + len(stale), 'thing')} removed, {size / 1e6:,.1f} MB freed")
