"""`gelo status`."""

from __future__ import annotations

import json

import typer

from gelo.sweeps.cli.base import (
    AsJson,
    Name,
    Storage,
    app,
    console,
    folder_of,
)
from gelo.sweeps.terminal.listing import say


@app.command()
def status(name: Name, storage: Storage = None, as_json: AsJson = False) -> None:
    """Show where a sweep stands: each trial trained, half-trained, scored or failed.

    Example: `gelo status demo`
    """
    from gelo.sweeps.state.status import standing, status_table

    rows = standing(folder_of(storage, name))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    console.print(status_table(name, rows))
    left = sum(row["state"] != "complete" for row in rows)
    say(
        console,
        f"{len(rows) - left} of {len(rows)} trials complete" + (f"; go on with: gelo resume {name}" if left else ""),
    )
