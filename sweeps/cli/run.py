"""`gelo run` and `gelo resume`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.text import Text

from gelo.models.faults import UserError
from gelo.models.words import counted
from gelo.sweeps.cli.answer import write
from gelo.sweeps.cli.base import (
    RESUME,
    Address,
    Cache,
    CacheLimit,
    Cpus,
    Data,
    Name,
    Storage,
    Sweep,
    Tracking,
    Verify,
    app,
    console,
    errors,
    folder_of,
    settings_of,
)
from gelo.sweeps.stages.troubles import print_faults
from gelo.sweeps.terminal.listing import say

_FEW = 5  # trials that failed alike and are named
LATER = 75  # what sysexits.h calls EX_TEMPFAIL: MLflow or machines were away, or a limit was reached


@app.command()
def run(
    sweep: Sweep,
    storage: Storage = None,
    tracking: Tracking = None,
    data: Data = None,
    cache: Cache = None,
    cache_limit: CacheLimit = None,
    address: Address = None,
    cpus: Cpus = None,
    verify: Verify = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key, e.g. --set seeds=[0,1].")] = None,
) -> None:
    """Run a sweep: start it, go on with it, or find nothing left to do. Ends with a report.

    Example: `gelo run demo`, `gelo run my.yaml --address auto --storage s3://bucket/gelo --tracking http://host:5000`
    """
    from gelo.sweeps.spec.sweep import load_spec

    _run(
        load_spec(sweep, tuple(set_ or ())),
        settings_of(
            storage=storage,
            tracking=tracking,
            data=data,
            cache=cache,
            cache_limit=cache_limit,
            address=address,
            cpus=cpus,
            verify=verify,
        ),
    )


@app.command()
def resume(
    name: Name,
    storage: Storage = None,
    tracking: Tracking = None,
    data: Data = None,
    cache: Cache = None,
    cache_limit: CacheLimit = None,
    address: Address = None,
    cpus: Cpus = None,
    verify: Verify = None,
    finish: Annotated[
        list[str] | None,
        typer.Option(
            help="A trial that was cut, to train to its end: its key, the beginning of it, or its label; several times."
        ),
    ] = None,
) -> None:
    """Continue a sweep after any interruption, with its saved spec; options given here win.

    Example: `gelo resume demo`, `gelo resume mine --finish 3f9c0a`
    """
    given: dict[str, Any] = {
        "storage": storage, "tracking": tracking, "data": data, "cache": cache, "cache_limit": cache_limit, "address": address,
        "cpus": cpus, "verify": verify,
    }  # fmt: skip
    settings_of(**given)  # what is wrong with them is told before anything is read
    from gelo.sweeps.spec.sweep import SweepSpec

    document = folder_of(storage, name).read()
    _run(SweepSpec.model_validate(document["spec"]), settings_of(document["settings"], **given), tuple(finish or ()))


def _run(spec: Any, settings: Any, finish: tuple[str, ...] = ()) -> None:
    from gelo.sweeps.state.preflight import preflight

    faults = preflight(spec, settings)  # before the slow imports below
    if faults:
        raise UserError(f"sweep {spec.name}", faults)
    from gelo.sweeps.stages.run import led, run_sweep
    from gelo.sweeps.terminal.progress import Display, waiting

    resume = settings.resume(spec.name)
    RESUME["hint"] = f"; go on with: {resume}"
    display = Display(console)
    with led(spec.name, settings, display) as lead:
        outcome = run_sweep(spec, settings, display, lead, finish)
        if not outcome.early:
            written = write(outcome.folder, settings.tracking, forms=("svg",))  # MLflow shows such files
            with waiting("MLflow to take the report", lambda text: say(errors, text)):
                outcome.keep(written.path, written.headline)
            if not outcome.unlogged:
                say(console, f"runs: {outcome.outbox.page or settings.pages(spec.name)}")
    if outcome.stopped:
        say(errors, f"stopped; the running trials saved a checkpoint. Go on with: {resume}")
        sys.exit(128 + outcome.stopped)
    if outcome.halted:
        say(errors, f"ended early, all that was done is saved: {outcome.halted}. Go on with: {resume}")
        sys.exit(LATER)
    if outcome.faults:
        print_faults(UserError("not scored, the others are", list(outcome.faults)), errors)
        say(errors, f"after mending, go on with: {resume}")
    if outcome.unlogged:
        say(errors, f"not logged, all results are saved: {outcome.unlogged}; when it is back, go on with: {resume}")
    if outcome.failures:
        alike: dict[str, list[str]] = {}
        for key, failure in outcome.failures.items():
            alike.setdefault(_in_short(failure), []).append(f"{failure['label']} ({key})")
        for reason, failed in alike.items():
            more = f" and {counted(len(failed) - _FEW, 'other trial')}" if len(failed) > _FEW else ""
            say(errors, Text.assemble(("failed", "red"), f" {', '.join(failed[:_FEW])}{more}: {reason}"))
        say(
            errors,
            f"{counted(len(outcome.failures), 'trial')} failed, the others are complete; after mending, go on with: {resume}",
        )
        sys.exit(
            2 if all(failure["kind"] in ("user", "diverged", "storage") for failure in outcome.failures.values()) else 1
        )
    if outcome.faults:
        sys.exit(2)
    if outcome.unlogged:
        sys.exit(LATER)


def _in_short(failure: dict[str, Any]) -> str:
    """A user's mistake whole; of a fault its last line, the traceback being in the trial's failure.json."""
    lines = failure["error"].strip().splitlines() or ["no message"]
    return failure["error"] if failure["kind"] != "fault" else f"{lines[-1]} (whole in the trial's failure.json)"
