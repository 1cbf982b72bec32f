"""The recipe of docs/cluster.md for an MLflow server on PostgreSQL, as it stands there; then one and the other die while a sweep logs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from upath import UPath

from benchmarks.served import Postgres, free_port, mlflow_server, no_postgres, postgres
from gelo.models.faults import UserError
from gelo.sweeps.tracking.logged import Metric
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.spool import Spool
from gelo.sweeps.tracking.store import AwayError
from tests.sweeps.killed import ROWS, RUNS, asked, by_experiment, metrics

psycopg = pytest.importorskip("psycopg")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(no_postgres()), reason=no_postgres())]
ROOT = Path(__file__).parents[2]


Run = tuple[str, list[Metric]]


class Served(NamedTuple):
    database: Postgres
    command: list[str]
    port: int
    folder: Path

    def server(self) -> Any:
        return mlflow_server(self.folder, self.command, self.port)

    def box(self, name: str) -> Outbox:
        return Outbox(Spool(UPath(self.folder / name)), f"http://127.0.0.1:{self.port}", name)

    def select(self, query: str) -> dict[str, list[tuple[Any, ...]]]:
        with psycopg.connect(
            host="127.0.0.1", port=self.database.port, user="postgres", password=self.database.password, dbname="mlflow"
        ) as connection:
            return by_experiment(connection.execute(query).fetchall())

    def holds(self, name: str, *runs: Run) -> None:
        """These values and no other stand there, each once."""
        found = [row[:4] for row in self.select(ROWS)[name]]
        wanted = [(key, metric.name, metric.step or 0, metric.value) for key, each in runs for metric in each]
        assert sorted(found) == sorted(wanted)


def recipe() -> tuple[str, ...]:
    """The lines that make the role, make the database and start the server."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    (block,) = re.findall(r"```bash\n(pip install -c constraints.txt mlflow.*?)```", page, re.DOTALL)
    _, *lines = block.replace("\\\n", " ").strip().splitlines()
    return tuple(lines)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("postgres"), free_port()
    with postgres() as database, pytest.MonkeyPatch.context() as environment:
        here = {
            "$PGPASSWORD": database.password,
            "127.0.0.1/mlflow": f"127.0.0.1:{database.port}/mlflow",
            "/srv/gelo": str(folder),
            "10.0.0.10:5000": f"127.0.0.1:{port}",
            "10.0.0.10": "127.0.0.1",
        }
        lines = recipe()
        for there, value in here.items():
            assert any(there in line for line in lines), there
            lines = tuple(line.replace(there, value) for line in lines)
        role, made, server = (shlex.split(line) for line in lines)
        assert role[:-1] == ["sudo", "-u", "postgres", "psql", "<<<"] and server[0] == "mlflow"
        database.psql("-c", role[-1])
        assert made[:4] == ["sudo", "-u", "postgres", "createdb"]
        database.client("createdb", *made[4:])
        environment.setenv("PGPASSWORD", database.password)
        environment.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # a busy machine is not away
        yield Served(database, [sys.executable, "-m", *server, "--port", str(port), "--workers", "1"], port, folder)


def test_a_database_that_dies_loses_and_doubles_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [("one", metrics(3)), ("two", metrics(2)), ("three", metrics(300))]
    asks: list[str] = []
    real, dies_at = requests.adapters.HTTPAdapter.send, -1

    def send(self: Any, request: Any, **options: Any) -> Any:
        asks.append(request.path_url)
        if sum(path.endswith("log-batch") for path in asks) == dies_at:
            served.database.stop()
        return real(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with served.server():
        box = served.box("dies")
        box.open()
        box.put(asked(*runs[0]))
        assert box.send(patience=60) == 18 and box.away is None, box.away
        served.holds("dies", runs[0])

        served.database.stop()
        box.put(asked(*runs[1]))
        assert box.send() == 0 and isinstance(box.away, AwayError)
        assert f"12 metrics of 1 trial wait in {served.folder}/dies" in box.waits()

        served.database.start()
        assert box.send(patience=60) == 12 and box.waits() == ""
        box.put(asked(*runs[2]))
        asks.clear()
        dies_at = 3  # its params, its first thousand numbers, and there
        box.send()
        assert isinstance(box.away, AwayError)
        dies_at = -1
        served.database.start()
        assert box.send(patience=60) == 1800 and box.waits() == ""
        served.holds("dies", *runs)

        asks.clear()
        box = served.box("dies")  # as a resume does
        for run in runs:
            box.put(asked(*run))
        assert box.open() == 0 and len(asks) <= 4, asks
        served.holds("dies", *runs)


@pytest.mark.long
def test_a_server_that_is_killed_and_a_client_that_is_lose_and_double_nothing(served: Served) -> None:
    runs = [("one", metrics(3)), ("two", metrics(2))]
    with served.server() as server:
        box = served.box("killed")
        box.open()
        box.put(asked(*runs[0]))
        box.send()
        os.killpg(server.pid, signal.SIGKILL)
        box.put(asked(*runs[1]))
        assert box.send() == 0 and isinstance(box.away, AwayError)
    box = served.box("killed")  # a resume while the server is away
    assert box.open() == 0 and "12 metrics of 1 trial wait" in box.waits()
    with pytest.raises(UserError, match=r"MLflow server at 127\.0\.0\.1"):  # which never answered this sweep
        served.box("another").open()
    assert not (served.folder / "another").exists()

    with served.server():
        assert box.send() == 12 and box.away is None
        served.holds("killed", *runs)
        command = [sys.executable, "-m", "tests.sweeps.killed", box.uri, str(served.folder), "9"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        rows, states = served.select(ROWS), served.select(RUNS)
        assert len(done.stdout.split()) >= 5
        for name in done.stdout.split():
            assert (rows[name], states[name]) == (rows["unharmed"], states["unharmed"]), name
