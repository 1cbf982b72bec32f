"""`gelo ls`."""

from __future__ import annotations

import json

import typer

from gelo.sweeps.cli.base import (
    AsJson,
    Storage,
    app,
    console,
    refuse_places,
    settings_of,
)
from gelo.sweeps.terminal.listing import say


@app.command()
def ls(storage: Storage = None, as_json: AsJson = False) -> None:
    """List the sweeps that are kept in a place: their state, size, and when they were last touched.

    Example: `gelo ls`, `gelo ls --storage s3://bucket/gelo --json`
    """
    from gelo.sweeps.state.inventory import sweeps_in, sweeps_table

    settings = settings_of(storage=storage)
    refuse_places(settings, reads=("storage",))
    rows = sweeps_in(settings.place())
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif rows:
        console.print(sweeps_table(settings.storage, rows))
    else:
        say(console, f"no sweep in {settings.storage}; start one with: gelo run demo")
