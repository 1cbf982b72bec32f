"""Driving the command line as a user does: start a sweep in a folder of its own, wait for a moment, interrupt it, read what it left."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import forked

LIMIT = 600  # seconds that any one command may take on a busy machine
SMALL = """
name: small
backbones: [mini-s]
tasks:
  faces: {adaptation: lora, epochs: 2, remedy: [none, {wise: {alpha: 0.5}}]}
  morphs: {adaptation: full, epochs: 3}
datasets: [shapes, digits, shapes_shifted, pairs, templates, morphs, spoofs]  # every protocol, and fewer sets of one
"""


@dataclass(frozen=True)
class Place:
    """A user's working folder; data sets may be shared between places, caches are not unless said."""

    folder: Path
    data: Path
    cache: Path

    @property
    def sweep(self) -> Path:
        return self.folder / "out" / "small"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "GELO_DATA": str(self.data), "GELO_CACHE": str(self.cache), "COLUMNS": "160"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`gelo ARGUMENTS` in a session of its own, its output in `log`."""
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [Path(sys.executable).with_name("gelo"), *arguments],
                cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip

    def gelo(self, *arguments: str) -> int:
        """Run to the end; the exit code."""
        log = self.folder / "log"
        log.touch()
        return forked.SERVER.run(arguments, self.folder, self.environment, log, log, LIMIT)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """The report's CSV files as rows, without the timing column."""
        found = {}
        for path in sorted((self.sweep / "report").glob("*.csv")):
            with path.open(newline="") as stream:
                found[path.name] = [
                    {k: v for k, v in row.items() if k not in ("train_seconds", "memory_gb")}
                    for row in csv.DictReader(stream)
                ]
        return found

    def metrics(self) -> dict[tuple[str, str, int], float]:
        """Every metric in MLflow's own table by (trial, name, step); fails when one stands there twice."""
        with sqlite3.connect(self.folder / "out" / "mlflow.db") as database:
            query = (
                "select t.value, m.key, m.step, m.value from metrics m join tags t on t.run_uuid = m.run_uuid "
                "where t.key = 'gelo.trial'"
            )
            rows = database.execute(query).fetchall()
        found = {(trial, name, step): value for trial, name, step, value in rows}
        assert len(found) == len(rows), "a metric is in MLflow twice"
        return found

    def parent(self) -> tuple[str, dict[str, float], dict[str, set[str]]]:
        """The sweep's own run in MLflow: its id and its metrics; and what its trials read data sets for, by name."""
        with sqlite3.connect(self.folder / "out" / "mlflow.db") as database:
            ((run,),) = database.execute(
                "select run_uuid from tags where key = 'gelo.role' and value = 'sweep'"
            ).fetchall()
            rows = database.execute("select key, value from metrics where run_uuid = ?", (run,)).fetchall()
            query = (
                "select d.name, t.value, i.destination_id from datasets d join inputs i on i.source_id = d.dataset_uuid "
                "join input_tags t on t.input_uuid = i.input_uuid"
            )
            read = database.execute(query).fetchall()
        assert len(set(read)) == len(read) and len(dict(rows)) == len(rows), "something is in MLflow twice"
        return run, dict(rows), {name: {role for other, role, _ in read if other == name} for name, _, _ in read}

    def runs(self) -> list[tuple[str, str]]:
        """(name, status) of every run in MLflow, sorted."""
        with sqlite3.connect(self.folder / "out" / "mlflow.db") as database:
            return sorted(database.execute("select name, status from runs").fetchall())


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str], what: str) -> None:
    """Poll until `happened`; fails when the process ends first or the limit passes."""
    limit = time.monotonic() + LIMIT
    while not happened():
        assert process.poll() is None, f"the run ended before {what}"
        assert time.monotonic() < limit, f"no {what} within {LIMIT} s"
        time.sleep(0.02)
