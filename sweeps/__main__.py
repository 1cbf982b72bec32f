"""The command line. No logic here: each command says what it needs, and errors become one clear message and an exit code.

Exit codes: 0 success, 2 a user's mistake (no traceback), 1 a fault of gelo or of the machine, 130 Ctrl-C, 143 SIGTERM
and 129 SIGHUP, after saving.
"""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from models.faults import FULL, Fault, UserError
from models.secrets import redacted, secret_fault
from models.words import counted
from sweeps import signals
from sweeps.listing import say
from sweeps.troubles import print_faults

app = typer.Typer(
    name="gelo",
    help="What does fine-tuning a vision-language foundation model cost, and which remedy buys the most back?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)

Sweep = Annotated[str, typer.Argument(help="A preset's name (demo, demo-remedies, paper) or a YAML file.")]
Name = Annotated[str, typer.Argument(help="The sweep's name.")]
Storage = Annotated[
    str | None, typer.Option(help="Where sweeps are kept: a folder or a URI such as s3://bucket/gelo. [default: out]")
]
Tracking = Annotated[
    str | None, typer.Option(help="MLflow: sqlite:///PATH or a server's address. [default: sqlite:///out/mlflow.db]")
]
Data = Annotated[str | None, typer.Option(envvar="GELO_DATA", help="Folder of prepared data sets. [default: out/data]")]
Cache = Annotated[
    str | None, typer.Option(envvar="GELO_CACHE", help="Folder of decoded images and embeddings. [default: out/cache]")
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster's address, `auto` on its head node. [default: this machine alone]")
]
CacheLimit = Annotated[
    float | None,
    typer.Option(
        min=0,
        envvar="GELO_CACHE_LIMIT",
        help="Gigabytes that the cache may hold of what this run does not need. [default: 100]",
    ),
]
Cpus = Annotated[int | None, typer.Option(min=1, help="CPUs to use on this machine. [default: all]")]
Verify = Annotated[
    bool | None, typer.Option("--verify", help="Hash every shard of the data, not only those whose file changed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


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
    from sweeps.spec import load_spec

    _run(
        load_spec(sweep, tuple(set_ or ())),
        _settings(
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
) -> None:
    """Continue a sweep after any interruption, with its saved spec; options given here win.

    Example: `gelo resume demo`
    """
    given: dict[str, Any] = {
        "storage": storage, "tracking": tracking, "data": data, "cache": cache, "cache_limit": cache_limit, "address": address,
        "cpus": cpus, "verify": verify,
    }  # fmt: skip
    _settings(**given)  # what is wrong with them is told before anything is read
    folder = _folder(storage, name)
    _run(folder.spec(), _settings(folder.read()["settings"], **given))


@app.command()
def status(name: Name, storage: Storage = None, as_json: AsJson = False) -> None:
    """Show where a sweep stands: each trial trained, half-trained, scored or failed.

    Example: `gelo status demo`
    """
    from sweeps.status import standing, status_table

    rows = standing(_folder(storage, name))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    console.print(status_table(name, rows))
    left = sum(row["state"] != "complete" for row in rows)
    say(
        console,
        f"{len(rows) - left} of {len(rows)} trials complete" + (f"; go on with: gelo resume {name}" if left else ""),
    )


@app.command()
def ls(storage: Storage = None, as_json: AsJson = False) -> None:
    """List the sweeps that are kept in a place: their state, size, and when they were last touched.

    Example: `gelo ls`, `gelo ls --storage s3://bucket/gelo --json`
    """
    from sweeps.shelf import sweeps_in, sweeps_table

    settings = _settings(storage=storage)
    _refuse(settings, reads=("storage",))
    rows = sweeps_in(settings.place())
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif rows:
        console.print(sweeps_table(settings.storage, rows))
    else:
        say(console, f"no sweep in {settings.storage}; start one with: gelo run demo")


@app.command()
def prepare(
    name: Annotated[str | None, typer.Argument(help="An official set such as food101, or a name for your own.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder of the unpacked download, or of your images.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show all sets: size, licence, where they live, ready or not.")
    ] = False,
    reader: Annotated[
        str | None,
        typer.Option(
            help="For your own: folder (one folder per class), table (CSV, JSON lines or Parquet of path,label), datasets (Hugging Face, "
            "Parquet with images), webdataset (tar shards), pairs (.bin), lfw (folders and pairs.txt), identities (.rec or folders), "
            "templates (IJB's files), morphs or spoofs (CSV)."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="NAME=train, val, test or none: what a split of the source is; may be repeated."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="Column of the images or their paths.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    config: Annotated[str | None, typer.Option(help="One of several configurations or snapshots.")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Names of the labels: a name a line, or YAML from label to name.")
    ] = None,
    reading: Annotated[
        str, typer.Option(help="How files become pixels: faithful, or open_clip (docs/protocols.md).")
    ] = "faithful",
    partition: Annotated[int | None, typer.Option(help="Official partition of sun397 or dtd. [default: 1]")] = None,
    prompts: Annotated[Path | None, typer.Option(help="YAML with `templates` and, if you like, `classes`.")] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="CSV of five points an image (id,x1,y1,...,x5,y5): align faces to 112 x 112 by them."),
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Look for images that look alike in two splits, too.")
    ] = False,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take a tree that is not whole; tables say so.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Make it anew where it is there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and say what it is; write nothing.")] = False,
    preview: Annotated[
        bool | None,
        typer.Option("--preview/--no-preview", help="Make a contact sheet. [default: yes, but not of faces]"),
    ] = None,
    data: Data = None,
) -> None:
    """Turn an official download, or your own images, into a data set; nothing is visible before all of it is.

    Example: `gelo prepare food101 --from ~/downloads`, `gelo prepare mine --from photos --reader folder`, `gelo prepare --list`
    """
    from sweeps.preparing import catalogue_table, prepare_one
    from sweeps.told import wanted_of

    settings = _settings(data=data)
    _refuse(settings, reads=("data",))
    folder = Path(settings.data)
    if list_:
        console.print(catalogue_table(folder))
        return
    wanted = wanted_of(
        name, source, reader=reader, split=split or [], image=image, label=label, config=config, classes=classes,
        reading=reading, partition=partition, prompts=prompts, landmarks=landmarks, near=near_duplicates,
        allow_partial=allow_partial,
    )  # fmt: skip
    if not dry_run:
        _refuse(settings, writes=("data",))
    prepare_one(wanted, folder, console, replace=replace, dry_run=dry_run, preview=preview)


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
    from sweeps.preparing import show_one

    settings = _settings(data=data)
    _refuse(settings, reads=("data",), writes=("data",) if preview else ())
    show_one(name, Path(settings.data), console, near=near_duplicates, preview=preview, as_json=as_json)


@app.command()
def evaluate(
    encoder: Annotated[
        str | None, typer.Argument(help="A backbone (mini-s), or a trained trial as SWEEP/KEY; none with --scores.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: general (zero_shot and probe), biometric, zero_shot, probe, probe_train, probe_trunk, "
            "probe_trunk_train, knn, few_shot. [default: general,biometric]"
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where gelo does not ship them.")] = None,
    collection: Annotated[
        str | None, typer.Option(help="miniature or paper. [default: what fits the backbone]")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these prepared sets; may be repeated.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet of scores and labels in place of an encoder: docs/biometrics.md."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Of the file of scores: verification, templates, morph or spoof.")
    ] = None,
    storage: Storage = None,
    data: Data = None,
    cache: Cache = None,
    cache_limit: CacheLimit = None,
    verify: Verify = None,
    as_json: AsJson = False,
) -> None:
    """Score one encoder in this process, without Ray or MLflow; embeddings are shared with sweeps through the cache.
    Or, without any, the scores that a file holds.

    Example: `gelo evaluate mini-s --suite general`, `gelo evaluate demo/3f9c0a11b2c4 --suite biometric --json`,
    `gelo evaluate mini-s --dataset mine`, `gelo evaluate --scores scores.csv --protocol morph`
    """
    if encoder is None or scores is not None or protocol is not None:
        from sweeps.scorefile import evaluate_file

        beside = {
            "ENCODER": encoder, "--suite": suite, "--weights": weights, "--collection": collection, "--dataset": dataset,
        }  # fmt: skip
        results = [evaluate_file(scores, protocol, [option for option, given in beside.items() if given])]
        means, faults = dict[str, float](), list[Fault]()
    else:
        from sweeps.progress import Display
        from sweeps.single import evaluate_one

        settings = _settings(storage=storage, data=data, cache=cache, cache_limit=cache_limit, verify=verify)
        _refuse(settings, reads=("storage", "data"), writes=("cache",))
        suites = tuple(("general,biometric" if suite is None else suite).split(","))
        only = tuple(dataset or ())
        results, means, faults = evaluate_one(encoder, suites, weights, collection, settings, Display(errors), only)
    if as_json:
        typer.echo(json.dumps([result.model_dump(mode="json") for result in results], indent=1))
    else:
        from sweeps.shown import print_results

        print_results(encoder or str(scores), results, console, means)
    if faults:  # the others are scored and shown
        raise UserError("not scored", faults)


@app.command()
def report(name: Name, storage: Storage = None, tracking: Tracking = None) -> None:
    """Write the tables and the page of a sweep from what is there: CSV files and one self-contained index.html.

    Example: `gelo report demo`
    """
    _settings(storage=storage, tracking=tracking)
    folder = _folder(storage, name)
    _report(folder, _settings(folder.read()["settings"], storage=storage, tracking=tracking).tracking)


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
    from sweeps.status import machine, machine_table

    facts = machine()
    faults: tuple[Fault, ...] = ()
    if sweep is not None:
        from sweeps.preflight import preflight
        from sweeps.spec import load_spec

        faults = tuple(preflight(load_spec(sweep), _settings(storage=storage, data=data, cache=cache)))
    if as_json:
        lacks = [{"where": f.where, "found": f.found, "expected": f.expected, "remedy": f.remedy} for f in faults]
        typer.echo(json.dumps({"machine": facts, "sweep": sweep, "lacks": lacks}, indent=1))
    else:
        console.print(machine_table(facts))
        if faults:
            print_faults(UserError(f"{sweep}: this machine lacks", faults), console)
        elif sweep is not None:
            say(console, f"{sweep}: everything is here; start it with: gelo run {sweep}")
    if faults:
        raise typer.Exit(2)


@app.command()
def cache(
    limit: Annotated[
        float | None, typer.Option(min=0, help="Prune to at most this many gigabytes, the longest unused first.")
    ] = None,
    cache: Cache = None,
    data: Data = None,
) -> None:
    """List the cache of decoded images and embeddings, or with --limit prune it. All of it can be made again.

    Example: `gelo cache`, `gelo cache --limit 20`
    """
    from sweeps.preparing import cache_table
    from tasks.cache import prune

    settings = _settings(data=data, cache=cache)
    _refuse(settings, reads=("cache", "data"))
    if limit is not None:
        gone = prune(Path(settings.cache), limit * 1e9)
        freed = sum(entry.bytes for entry in gone) / 1e9
        say(console, f"{len(gone)} entries removed, {freed:.2f} GB freed")
    console.print(cache_table(Path(settings.cache), Path(settings.data)))


@app.command()
def ui(
    name: Annotated[
        str | None, typer.Argument(help="The sweep whose runs are shown. [default: the only one, or all]")
    ] = None,
    tracking: Tracking = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine see it only if you say so.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow's own pages on the sweeps of a SQLite store. Ctrl-C ends it.

    Example: `gelo ui demo`, `gelo ui --port 5001`
    """
    from sweeps.store import experiment_page
    from sweeps.tracking import ui_command

    where = _settings(tracking=tracking).tracking
    command = ui_command(where, host, port)
    say(console, f"MLflow: http://{host}:{port}{experiment_page(where, name)} (Ctrl-C ends it)")
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def main() -> None:
    """Entry point: errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
    signals.install()
    try:
        code = app(standalone_mode=False)  # click hands the code of a typer.Exit back, it does not raise it
    except UserError as error:
        if signals.came():  # a library made something else of it
            _interrupted()
        print_faults(error, errors)
        sys.exit(2)
    except OSError as error:
        if signals.came():
            _interrupted()
        if error.errno not in _PLACE_ERRORS or not error.filename:
            _print_traceback()
            sys.exit(1)
        remedy = (
            "free some room, or choose another place" if error.errno in FULL else "mend it, or choose another place"
        )
        found = error.strerror or str(error)
        print_faults(
            UserError("storage", Fault(str(error.filename), found, "a place that gelo can use", remedy)), errors
        )
        sys.exit(2)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # click's own usage errors
            error.show()
            sys.exit(2)
        if type(error).__name__ == "Abort" or signals.came():
            _interrupted()
        _print_traceback()
        sys.exit(1)
    if code == _INTERRUPTED:
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    say(errors, "interrupted; everything finished is saved" + _RESUME.get("hint", ""))
    sys.exit(signals.code())


def _print_traceback() -> None:
    print(redacted(traceback.format_exc()), file=sys.stderr, end="")


_RESUME: dict[str, str] = {}
_FEW = 5  # trials that failed alike and are named
_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt
_PLACE_ERRORS = (  # of a user's folder or disk, not of gelo
    *(*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)


def _run(spec: Any, settings: Any) -> None:
    from sweeps.preflight import preflight

    faults = preflight(spec, settings)  # before the slow imports below
    if faults:
        raise UserError(f"sweep {spec.name}", faults)
    from sweeps.progress import Display, waiting
    from sweeps.run import run_sweep

    resume = settings.resume(spec.name)
    _RESUME["hint"] = f"; go on with: {resume}"
    display = Display(console)
    outcome = run_sweep(spec, settings, display)
    if outcome.stopped:
        say(errors, f"stopped; the running trials saved a checkpoint. Go on with: {resume}")
        sys.exit(128 + outcome.stopped)
    written = _report(outcome.folder, settings.tracking)
    with waiting("MLflow to take the report", lambda text: say(errors, text)):
        outcome.keep(written.path, written.headline)
    if outcome.faults:
        print_faults(UserError("not scored, the others are", list(outcome.faults)), errors)
        say(errors, f"after mending, go on with: {resume}")
    if outcome.failures:
        alike: dict[str, list[str]] = {}
        for key, failure in outcome.failures.items():
            alike.setdefault(_in_short(failure), []).append(f"{failure['label']} ({key})")
        for reason, failed in alike.items():
            more = f" and {counted(len(failed) - _FEW, 'other trial')}" if len(failed) > _FEW else ""
            say(errors, Text.assemble(("failed", "red"), f" {', '.join(failed[:_FEW])}{more}: {reason}"))
        say(
            errors,
            f"{len(outcome.failures)} trials failed, the others are complete; after mending, go on with: {resume}",
        )
        sys.exit(2 if all(failure["kind"] in ("user", "storage") for failure in outcome.failures.values()) else 1)
    if outcome.faults:
        sys.exit(2)


def _in_short(failure: dict[str, Any]) -> str:
    """A user's mistake whole; of a fault its last line, the traceback being in the trial's failure.json."""
    lines = failure["error"].strip().splitlines() or ["no message"]
    return failure["error"] if failure["kind"] != "fault" else f"{lines[-1]} (whole in the trial's failure.json)"


def _report(folder: Any, tracking: str | None) -> Any:
    from analysis.report import write_report
    from sweeps.progress import waiting

    where = "this sweep's results" if tracking is None else f"the results and for MLflow at {redacted(tracking)}"
    with waiting(where, lambda text: say(errors, text)):
        written = write_report(folder.storage, folder.name, tracking)
    console.print()
    for finding in written.main:
        say(console, f"- {finding}")
    for fault in written.faults:
        say(errors, f"report: {redacted(str(fault))}")
    console.print()
    say(console, f"report: {written.path / 'index.html'}")
    return written


def _settings(saved: dict[str, Any] | None = None, **given: str | int | float | None) -> Any:
    """Defaults, then what was saved with the sweep, then what is given now."""
    from sweeps.settings import Settings

    settings = Settings(**{**(saved or {}), **{key: value for key, value in given.items() if value is not None}})
    kept = {f"--{name.replace('_', '-')}": value for name, value in vars(settings).items() if isinstance(value, str)}
    faults = [fault for option, value in kept.items() if (fault := secret_fault(option, value))]
    if faults:
        raise UserError("addresses", faults)
    return settings


def _folder(storage: str | None, name: str) -> Any:
    from upath import UPath

    from sweeps.folder import SweepFolder

    _refuse(_settings(storage=storage), reads=("storage",))
    return SweepFolder(UPath(storage or "out"), name)


def _refuse(settings: Any, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> None:
    from sweeps.places import refuse

    refuse(settings, reads, writes)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
