"""`gelo ui`."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from gelo.sweeps.cli.base import (
    Tracking,
    app,
    console,
    settings_of,
)
from gelo.sweeps.terminal.listing import say


@app.command()
def ui(
    name: Annotated[
        str | None, typer.Argument(help="The sweep whose runs are shown. [default: the only one, or all]")
    ] = None,
    tracking: Tracking = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine see it only if you say so.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow's own pages on the sweeps of a SQLite store. Ctrl-C ends it.

    Example: `gelo ui demo`, `gelo ui --port 5001`
    """
    from gelo.sweeps.tracking.store import experiment_page, ui_command

    where = settings_of(tracking=tracking).tracking
    command = ui_command(where, host, port)
    say(console, f"MLflow: http://{host}:{port}{experiment_page(where, name)} (Ctrl-C ends it)")
    raise typer.Exit(subprocess.run(command, check=False).returncode)
