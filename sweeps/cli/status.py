"""`gelo status`."""

from __future__ import annotations

from typing import Annotated

import typer

from gelo.sweeps.cli.base import AsJson, Name, Storage, app, console, folder_of, settings_of


@app.command()
def status(
    name: Name,
    storage: Storage = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again until the sweep ends, or Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two looks of --watch.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show where a sweep stands: each trial, what runs and how fast, what failed and why, what was done twice, what resume would do.

    Example: `gelo status demo`, `gelo status demo --watch`, `gelo status demo --json`
    """
    from gelo.sweeps.state.progress import Progress, progress
    from gelo.sweeps.terminal import standing

    folder, resume = folder_of(storage, name), settings_of(storage=storage).resume(name)

    def look() -> Progress:
        return progress(folder, resume)

    if as_json:
        typer.echo(look().model_dump_json(indent=1))
    elif watch:
        try:
            standing.watch(look, console, every)
        except KeyboardInterrupt:  # the watching ends, not the sweep
            return
    else:
        standing.show(look(), console)
