"""Where tracking is kept: which URIs are taken, whether a server answers, one migrating process at a time, the pages.

Nothing here imports MLflow, so a sweep's pre-flight may ask in milliseconds.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gelo.models.faults import Fault, UserError, unknown

SQLITE = "sqlite:///"
VIEW = "gelo"  # the saved view of a sweep's runs, by its key in an address
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"  # where MLflow's pages look for it
_MAGIC = b"SQLite format 3\x00"  # what such a file begins with


class AwayError(UserError):
    """The tracking store gives no answer for now: asked later, it may."""


def resolve_uri(uri: str) -> str:
    """`uri` with an absolute SQLite path: it means the same in every process. Raises UserError for an unusable kind."""
    if uri.startswith(("http://", "https://")):
        return uri.rstrip("/")
    if uri.startswith(SQLITE) and len(uri) > len(SQLITE):
        return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).expanduser().absolute()}"
    found = f"{uri.split('://')[0]}://..." if "://" in uri else repr(uri)  # the rest may hold a password
    expected = "sqlite:///PATH/mlflow.db, or the http(s):// address of an MLflow server"
    if "://" not in uri or uri.startswith("file:"):
        remedy = "MLflow has retired its file store: say sqlite:///out/mlflow.db"
    else:
        remedy = "start a server on that database, `mlflow server --backend-store-uri ...`, and give its address"
    raise UserError("tracking", Fault("--tracking", found, expected, remedy))


def ui_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command line that shows a SQLite store in MLflow's own pages, to this machine only unless `host` says more.

    Raises UserError for a server (it has its pages already) and for a file that is not there.
    """
    resolved = resolve_uri(uri)
    if not resolved.startswith(SQLITE):
        address = urllib.parse.urlsplit(resolved)
        shown = f"{address.scheme}://{address.hostname}{f':{address.port}' if address.port else ''}{address.path}"
        raise UserError("ui", Fault("tracking", "an MLflow server", "a SQLite file to serve", f"open {shown}"))
    database = Path(resolved.removeprefix(SQLITE))
    if not database.is_file():
        found = "a folder, not a file" if database.is_dir() else "no such file"
        raise UserError("ui", Fault(str(database), found, "a tracking database", "first `gelo run demo`"))
    with database.open("rb") as stream:
        if stream.read(len(_MAGIC)) not in (_MAGIC, b""):
            raise UserError(
                "ui", Fault(str(database), "not a SQLite file", "a tracking database", "give another --tracking")
            )
    artifacts = as_uri(str(database.parent / "mlflow-artifacts"))
    return [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", resolved),
        *("--default-artifact-root", artifacts, "--host", host, "--port", str(port), "--workers", "1"),
    ]


def experiment_page(uri: str, name: str | None) -> str:
    """The path of MLflow's pages that lists a sweep's runs; of the only one where none is named, "" where there are several.

    Raises UserError for a sweep that the database does not have, with the nearest name.
    """
    path = resolve_uri(uri).removeprefix(SQLITE)
    query = """select e.name, e.experiment_id, t.value is not null from experiments e
        left join experiment_tags t on t.experiment_id = e.experiment_id and t.key = ?
        where e.lifecycle_stage = 'active' and e.experiment_id != 0"""
    try:
        with closing(sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True)) as database:
            known = {str(name): runs_page(number, view) for name, number, view in database.execute(query, [VIEW_TAG])}
    except sqlite3.Error as error:
        raise UserError("ui", Fault(path, str(error), "a database that MLflow made", "first `gelo run demo`")) from None
    if name is not None and name not in known:
        raise UserError("ui", unknown("NAME", name, known, "sweep"))
    chosen = name if name is not None else next(iter(known)) if len(known) == 1 else None
    return known[chosen] if chosen is not None else ""


def runs_page(experiment: object, view: bool) -> str:
    """Where, below the address of MLflow's pages, the runs of an experiment are listed, with what trainings need around; view: with the
    columns of gelo's saved view."""
    return f"/#/experiments/{experiment}/runs?workflowType=machine_learning" + (
        f"&viewStateShareKey={VIEW}" if view else ""
    )


def must_answer(uri: str) -> None:
    """MLflow itself retries for minutes before it gives up on a wrong address; any HTTP answer will do here. Raises AwayError."""
    host = urllib.parse.urlsplit(uri).hostname
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=15):
            return
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "start it (`mlflow server ...`) or give another --tracking"
        raise AwayError("tracking", Fault(f"MLflow server at {host}", str(reason), "an answer", remedy)) from error


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """One process at a time makes or migrates `database`. The lock ends with its process, however that ends."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(database.with_name(f".{database.name}.lock"), os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        fault = Fault(
            str(database.parent), error.strerror or str(error), "a folder to write to", "give another --tracking"
        )
        raise UserError("tracking", fault) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def as_uri(place: str) -> str:
    """A folder as an absolute file URI; a URI as it is, without a slash at its end."""
    return place.rstrip("/") if "://" in place else Path(place).absolute().as_uri()
