"""`gelo compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gelo.sweeps.cli.base import AsJson, Storage, app
from gelo.sweeps.cli.verdict import set_beside


@app.command()
def compare(
    one: Annotated[
        str, typer.Argument(metavar="A", help="A sweep, or a trial as SWEEP/KEY, SWEEP/LABEL or its folder.")
    ],
    other: Annotated[str, typer.Argument(metavar="B", help="Another of the same kind.")],
    to: Annotated[Path | None, typer.Option(help="Every number as a CSV file too.")] = None,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Set two trials or two sweeps beside each other, paired: the same images, the same data sets, corrected for being several.

    Of two sweeps those trials are compared that have the same fields, whatever they are called. What has other data or another version of
    a protocol is left out, and said.

    Example: `gelo compare demo/3f9c0a11b2c4 demo/8d2e6b7c9a10`, `gelo compare demo again --to compared.csv`
    """
    set_beside(one, other, storage, to, as_json)
