"""`gelo doctor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gelo.models.faults import Fault, UserError
from gelo.sweeps.cli.base import (
    AsJson,
    Cache,
    Data,
    Storage,
    Tracking,
    app,
    console,
    errors,
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
    tracking: Tracking = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Look at every machine of a cluster: `auto` on its head, HOST:6379, or its dashboard, http://HOST:8265."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what this machine can run; with a sweep, everything that it lacks for it (exit code 2 if anything).

    With --address the same of each machine of a cluster, before money is spent: releases, storage, tracking, data sets, weights, clocks,
    disk, GPUs, and the time of an image through each encoder.

    Example: `gelo doctor`, `gelo doctor paper`, `gelo doctor paper --address auto --storage s3://bucket/gelo`
    """
    if address is not None:
        given = {"storage": storage, "data": data, "cache": cache, "tracking": tracking}
        raise typer.Exit(_cluster(sweep, address, given, as_json))
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


def _cluster(sweep: str | None, address: str, given: dict[str, str | None], as_json: bool) -> int:
    """Look from every machine and say what was seen; the exit code. Through a dashboard it is a job of the cluster."""
    from gelo.sweeps.spec.sweep import load_spec

    spec = load_spec(sweep) if sweep is not None else None
    settings = settings_of(None, **given, address=address)
    if address.startswith(("http://", "https://")):
        from gelo.sweeps.engine.jobs import Jobs

        words = ["doctor", *([sweep] if sweep else []), "--address", "auto", *(["--json"] if as_json else [])]
        words += [word for name, place in given.items() if place is not None for word in (f"--{name}", place)]
        jobs = Jobs(address)
        ended = jobs.follow(jobs.start(words, "doctor", sweep), _write, lambda text: say(errors, text))
        return ended.code if ended.code is not None else int(ended.state != "SUCCEEDED")
    from gelo.sweeps.engine.cluster import started
    from gelo.sweeps.engine.nodes import Asked, everywhere, listing
    from gelo.sweeps.state.reads import needed_datasets
    from gelo.sweeps.terminal.progress import Display

    names = needed_datasets(spec, Path(settings.data)) if spec is not None else []
    weights = {name: spec.weights.get(name, "") for name in spec.backbones} if spec is not None else {"mini-s": ""}
    quiet = Display(errors if as_json else console)
    with started(address, None, quiet, f"gelo doctor {sweep or ''} --address {address}"):
        seen, faults = everywhere(Asked(vars(settings), tuple(names), weights))
    if as_json:
        lacks = [{"where": f.where, "found": f.found, "expected": f.expected, "remedy": f.remedy} for f in faults]
        typer.echo(json.dumps({"machines": [each.told() for each in seen], "sweep": sweep, "lacks": lacks}, indent=1))
    else:
        console.print(listing(seen))
    if faults:
        print_faults(UserError(f"{sweep or 'the cluster'}: its machines lack", faults), errors)
    elif not as_json:
        say(console, f"{sweep or 'the cluster'}: nothing lacks on {len(seen)} of {len(seen)} machines")
    return 2 if faults else 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
