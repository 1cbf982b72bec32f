"""`gelo report`."""

from __future__ import annotations

from gelo.sweeps.cli.answer import write
from gelo.sweeps.cli.base import Name, Storage, Tracking, app, folder_of, settings_of


@app.command()
def report(name: Name, storage: Storage = None, tracking: Tracking = None) -> None:
    """Write the tables and the page of a sweep from what is there: CSV files and one self-contained index.html.

    Example: `gelo report demo`
    """
    settings_of(storage=storage, tracking=tracking)
    folder = folder_of(storage, name)
    write(folder, settings_of(folder.read()["settings"], storage=storage, tracking=tracking).tracking)
