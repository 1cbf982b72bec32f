"""`gelo plan`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gelo.sweeps.cli.base import (
    AsJson,
    Cache,
    Data,
    Storage,
    Sweep,
    app,
    console,
    refuse_places,
    settings_of,
)


@app.command()
def plan(
    sweep: Sweep,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key, as in gelo run.")] = None,
    tflops: Annotated[
        float | None,
        typer.Option(
            min=1e-3,
            max=1e6,
            help="Peak of one GPU in TFLOPS. [default: an H100 SXM's, 67 in fp32, 495 in tf32, 990 in bf16; on CPUs none]",
        ),
    ] = None,
    mfu: Annotated[
        float, typer.Option(min=1e-3, max=1, help="Model FLOPs utilisation: the share of the peak that is reached.")
    ] = 0.4,
    memory: Annotated[
        float | None,
        typer.Option(
            min=1e-3, max=1e6, help="Gigabytes of one card, or of this machine for one trial. [default: not compared]"
        ),
    ] = None,
    as_json: AsJson = False,
    storage: Storage = None,
    data: Data = None,
    cache: Cache = None,
) -> None:
    """Say what a sweep needs and costs, and what of it is done; nothing is started. Data sets and weights need not be here.

    Example: `gelo plan paper`, `gelo plan my.yaml --set tasks.faces.batch=256 --tflops 312 --memory 80`, `gelo plan paper --json`
    """
    from gelo.sweeps.spec.sweep import load_spec
    from gelo.sweeps.state.costs import H100, Assumed, planned
    from gelo.sweeps.terminal.planned import show

    settings = settings_of(storage=storage, data=data, cache=cache)
    refuse_places(settings, reads=("storage", "data"))
    spec = load_spec(sweep, tuple(set_ or ()))
    peaks = dict.fromkeys(H100, tflops) if tflops is not None else H100 if spec.resources.gpus else {}
    room = None if memory is None else 1e9 * memory
    found = planned(spec, settings, Assumed({name: peak for name, peak in peaks.items() if peak}, mfu, room))
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        show(found, console)
