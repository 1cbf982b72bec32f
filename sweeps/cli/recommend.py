"""`gelo recommend`."""

from __future__ import annotations

from typing import Annotated

import typer

from gelo.sweeps.cli.base import AsJson, Name, Storage, app, folder_of
from gelo.sweeps.cli.verdict import advise


@app.command()
def recommend(
    name: Name,
    keep: Annotated[
        float | None,
        typer.Option(help="Share of zero-shot accuracy that must remain (0.95): most gain among those that keep it."),
    ] = None,
    gain: Annotated[
        float | None,
        typer.Option(help="Points that must be gained on the task (10): most kept among those that gain them."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Of this task alone. [default: an answer for each]")] = None,
    backbone: Annotated[str | None, typer.Option(help="Of this backbone alone. [default: an answer for each]")] = None,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Say which trial of a sweep to take: chosen by validation images, told by test images, with what cannot be told from it.

    Exit code 2 where no setting meets the constraint; the nearest is named.

    Example: `gelo recommend mitigation --keep 0.95`, `gelo recommend mitigation --gain 10 --task faces --json`
    """
    if not advise(folder_of(storage, name), storage, keep, gain, task, backbone, as_json):
        raise typer.Exit(2)
