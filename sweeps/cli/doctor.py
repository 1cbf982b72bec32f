"""`gelo doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gelo.models.faults import Fault, UserError
from gelo.sweeps.cli.base import (
    AsJson,
    Cache,
    Data,
    Storage,
    app,
    console,
    settings_of,
)
from gelo.sweeps.stages.troubles import print_faults
from gelo.sweeps.terminal.listing import say


@app.command()
def doctor(
    sweep: Annotated[
        str | None, typer.Argument(help="A preset's name or a YAML file, to check this machine against it.")
    ] = None,
    data: Data = None,
    storage: Storage = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Show what this machine can run; with a sweep, everything that it lacks for it (exit code 2 if anything).

    Example: `gelo doctor`, `gelo doctor paper`
    """
    from gelo.sweeps.state.status import machine, machine_table

    facts = machine()
    faults: tuple[Fault, ...] = ()
    notes: list[str] = []
    if sweep is not None:
        from gelo.sweeps.spec.sweep import load_spec
        from gelo.sweeps.state.preflight import preflight, weights_told

        spec = load_spec(sweep)
        faults = tuple(preflight(spec, settings_of(storage=storage, data=data, cache=cache)))
        notes = weights_told(spec)
    if as_json:
        lacks = [{"where": f.where, "found": f.found, "expected": f.expected, "remedy": f.remedy} for f in faults]
        typer.echo(json.dumps({"machine": facts, "sweep": sweep, "lacks": lacks, "notes": notes}, indent=1))
    else:
        console.print(machine_table(facts))
        for note in notes:
            say(console, f"NOTE {note}")
        if faults:
            print_faults(UserError(f"{sweep}: this machine lacks", faults), console)
        elif sweep is not None:
            say(console, f"{sweep}: everything is here; start it with: gelo run {sweep}")
    if faults:
        raise typer.Exit(2)
