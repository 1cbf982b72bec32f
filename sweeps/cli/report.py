"""`gelo report`."""

from __future__ import annotations

from typing import Annotated

import typer

from gelo.models.storage.scan import listed_once
from gelo.sweeps.cli.answer import write
from gelo.sweeps.cli.base import Name, Storage, Tracking, app, folder_of, settings_of


@app.command()
def report(
    name: Name,
    published: Annotated[
        bool, typer.Option("--published", help="With our rows beside the paper's; of full-size sweeps alone.")
    ] = False,
    drawn: Annotated[
        bool, typer.Option("--pictures", help="Each picture as SVG, PDF and PNG, and its numbers as CSV, too.")
    ] = False,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Write the tables and the page of a sweep from what is there: CSV files and one self-contained index.html.

    Example: `gelo report demo`, `gelo report demo --pictures`, `gelo report paper --published`
    """
    settings_of(storage=storage, tracking=tracking)
    folder = folder_of(storage, name)
    with listed_once(folder.root):
        where = settings_of(folder.read()["settings"], storage=storage, tracking=tracking).tracking
        write(folder, where, published=published, forms=("svg", "pdf", "png", "csv") if drawn else ())
