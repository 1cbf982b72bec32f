"""`gelo submit` and `gelo attach`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gelo.models.faults import Fault, UserError
from gelo.sweeps.cli.base import RESUME, CacheLimit, Sweep, Verify, app, console, errors, settings_of
from gelo.sweeps.terminal.listing import say

if TYPE_CHECKING:
    from gelo.sweeps.engine.jobs import Job, Jobs

Dashboard = Annotated[
    str,
    typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, http://HOST:8265."),
]
_SHARED = "a URI, or a path from / that every machine of the cluster has"


@app.command()
def submit(
    sweep: Sweep,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where the cluster keeps sweeps: a URI, or a folder that all its machines have. [default: its GELO_STORAGE]"
        ),
    ] = None,
    tracking: Annotated[
        str | None,
        typer.Option(help="The MLflow server's address, as the cluster reaches it. [default: its GELO_TRACKING]"),
    ] = None,
    address: Dashboard = "http://127.0.0.1:8265",
    data: Annotated[
        str | None, typer.Option(help="Folder of data sets on the cluster. [default: its GELO_DATA]")
    ] = None,
    cache: Annotated[str | None, typer.Option(help="Folder of its cache. [default: its GELO_CACHE]")] = None,
    cache_limit: CacheLimit = None,
    verify: Verify = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key, e.g. --set seeds=[0,1].")] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder whose files go along. [default: this one if it has a pyproject.toml]",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow what it prints.")] = False,
) -> None:
    """Hand a sweep to a cluster and follow it: it goes on without this machine. The same line again goes on where it stands.

    What is called .git, .venv or out, and what .gitignore names, stays here.

    Example: `gelo submit my.yaml --address http://HOST:8265`
    """
    from gelo.sweeps.engine.jobs import Jobs
    from gelo.sweeps.spec.sweep import load_spec

    spec = load_spec(sweep, tuple(set_ or ()))
    settings_of(storage=storage, tracking=tracking, data=data, cache=cache, address=address)
    places = {"--storage": storage, "--data": data, "--cache": cache}
    faults = [
        Fault(
            f"{option} {place}", "a path of this machine", _SHARED, f"{option} s3://BUCKET/gelo or {option} /srv/gelo"
        )
        for option, place in places.items()
        if place is not None and "://" not in place and not Path(place).is_absolute()
    ]
    if tracking is not None and not tracking.startswith(("http://", "https://")):
        faults.append(Fault(f"--tracking {tracking}", "no server", "an MLflow server's address", "http://HOST:5000"))
    if faults:
        raise UserError(f"submit {spec.name}", faults)
    given: dict[str, str | float | None] = {**places, "--tracking": tracking, "--cache-limit": cache_limit}
    options = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    options += ["--verify"] if verify else []
    options += [part for each in set_ or () for part in ("--set", each)]
    here = Path()
    jobs = Jobs(address)
    own = [option for option in ("--storage", "--tracking") if given[option] is None]
    job = jobs.submit(sweep, spec.name, options, own, project or (here if (here / "pyproject.toml").exists() else None))
    say(
        console,
        f"job {job.id} at {jobs.address}; it goes on when this machine does not. To see it again: {_again(jobs, job)}",
    )
    if not detach:
        _follow(jobs, job)


@app.command()
def attach(
    name: Annotated[
        str | None, typer.Argument(help="A job's id or a sweep's name. [default: the only one that runs]")
    ] = None,
    address: Dashboard = "http://127.0.0.1:8265",
    stop: Annotated[bool, typer.Option("--stop", help="Have it save and end, as Ctrl-C does on one machine.")] = False,
) -> None:
    """Follow a sweep that was handed to a cluster, from its first line. Ctrl-C leaves it running.

    Example: `gelo attach`, `gelo attach demo --stop`
    """
    from gelo.sweeps.engine.jobs import Jobs

    settings_of(address=address)
    jobs = Jobs(address)
    job = jobs.find(name)
    if stop:
        told = "was told to save and end" if jobs.stop(job) else "had ended"
        say(console, f"job {job.id} {told}")
    _follow(jobs, job, asked="STOPPED" if stop else "")


def _follow(jobs: Jobs, job: Job, asked: str = "") -> None:
    """Until it ends, with its exit code; where Ray says nothing of one 0 for the state that was asked for, else 1."""
    RESUME["hint"] = f" and the job goes on; to see it again: {_again(jobs, job)}"

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    ended = jobs.follow(job, write, lambda text: say(errors, text))
    say(errors, f"job {ended.id}: {ended.state.lower()}{f', {ended.message}' if ended.state == 'FAILED' else ''}")
    if ended.state in ("SUCCEEDED", asked):
        return
    raise typer.Exit(ended.code or 1)


def _again(jobs: Jobs, job: Job) -> str:
    return f"gelo attach {job.id} --address {jobs.address}"
