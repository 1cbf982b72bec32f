"""`gelo logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from gelo.sweeps.cli.base import Storage, app, console, errors, refuse_places, settings_of
from gelo.sweeps.terminal.listing import say


@app.command()
def logs(
    trial: Annotated[str, typer.Argument(help="A trial's key, its beginning, or its label; `driver` for the sweep's.")],
    name: Annotated[str | None, typer.Argument(help="The sweep's name. [default: the one that has the trial]")] = None,
    rank: Annotated[int | None, typer.Option(min=0, help="Of a trial of several ranks, one alone.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the sweep ends, or Ctrl-C.")] = False,
    storage: Storage = None,
) -> None:
    """Print what a trial's processes, or the driver, said: every start, one after the other, times in UTC.

    On an object store a log is there when a start has ended.

    Example: `gelo logs 3f9c0a demo`, `gelo logs driver demo --follow`, `gelo logs 3f9c0a demo --rank 1`
    """
    from gelo.sweeps.state.reading import named_logs
    from gelo.sweeps.terminal.tail import tail

    settings = settings_of(storage=storage)
    refuse_places(settings, reads=("storage",))
    folder, found = named_logs(settings.place(), trial, name, rank)
    if not found:
        say(errors, f"nothing was said yet by {trial}")
    try:
        tail(folder, found, console, follow=follow)
    except KeyboardInterrupt:  # the reading ends, not the sweep
        return
