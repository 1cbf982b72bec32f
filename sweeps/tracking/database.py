"""MLflow's SQLite file: made, or brought up to this MLflow's schema, whole or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gelo.models.faults import Fault, UserError, system_errors
from gelo.sweeps.tracking.store import SQLITE, as_uri


@contextmanager
def usable(database: Path) -> Iterator[None]:
    """Raises UserError where the disk below `database` is full, or cannot be written to."""
    try:
        with system_errors(database):
            yield
    except OSError as error:
        found, remedy = error.strerror or str(error), "free some room, or choose another --tracking"
        raise UserError("tracking", Fault(str(database), found, "a file to write to", remedy)) from error


def migrate(database: Path, artifacts: str) -> None:
    """Make `database`, or bring its schema up to date, keeping the old file as <name>.before-<revision>."""
    revision = _revision(database)
    head = _head_revision()
    if revision == head:
        return
    scratch = database.with_name(f".partial-{database.name}")
    for suffix in ("", "-journal", "-wal", "-shm"):  # a killed writer's journal would be rolled back into the new file
        scratch.with_name(scratch.name + suffix).unlink(missing_ok=True)
    if revision is not None:
        with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(scratch)) as new:
            old.backup(new)
    elif database.exists() and database.stat().st_size:
        raise UserError("tracking", Fault(str(database), "no MLflow database", "one that MLflow made, or no file"))
    from alembic.util import CommandError
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if revision is None:
        SqlAlchemyStore(f"{SQLITE}{scratch}", as_uri(artifacts)).engine.dispose()
    else:
        engine = create_sqlalchemy_engine(f"{SQLITE}{scratch}")
        try:
            _upgrade_db(engine)
        except CommandError as error:  # a revision that this MLflow has never heard of
            fault = Fault(
                str(database), f"schema {revision}", f"one up to {head}", "use the newer MLflow that wrote it"
            )
            raise UserError("tracking", fault) from error
        finally:
            engine.dispose()
        shutil.copy2(database, database.with_name(f"{database.name}.before-{revision}"))
    scratch.replace(database)


def _revision(database: Path) -> str | None:
    """The schema revision of a SQLite file, None where there is none."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(database)) as connection:
            row = connection.execute("select version_num from alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _head_revision() -> str:
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())
