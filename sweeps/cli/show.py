"""`gelo show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import (
    AsJson,
    Data,
    app,
    console,
    refuse_places,
    settings_of,
)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A prepared data set.")],
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Look now for images that look alike in two splits.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Make the contact sheet again, also of faces.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Say what a data set was taken for: splits, classes and what their names come from, prompts, what was left out, leaks.

    Example: `gelo show mine`, `gelo show mine --near-duplicates`, `gelo show mine --json`
    """
    from gelo.sweeps.terminal.preparation import show_one

    settings = settings_of(data=data)
    refuse_places(settings, reads=("data",), writes=("data",) if preview else ())
    show_one(name, Path(settings.data), console, near=near_duplicates, preview=preview, as_json=as_json)
