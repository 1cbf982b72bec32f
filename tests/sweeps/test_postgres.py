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


class Served(NamedTuple):
    database: Postgres
    command: list[str]
    port: int
    folder: Path

    def server(self) -> Any:
        return mlflow_server(self.folder, self.command, self.port)

    def box(self) -> Outbox:
        return Outbox(Spool(UPath(self.folder / "spool")), f"http://127.0.0.1:{self.port}", "sweep")

    def select(self, query: str) -> dict[str, list[tuple[Any, ...]]]:
        with psycopg.connect(
            host="127.0.0.1", port=self.database.port, user="postgres", password=self.database.password, dbname="mlflow"
        ) as connection:
            return by_experiment(connection.execute(query).fetchall())

    def rows(self) -> list[tuple[str, str, int, float]]:
        """Trial, name, step and value of every row; fails where one stands twice."""
        found = [row[:4] for row in self.select(ROWS)["sweep"]]
        assert len(set(found)) == len(found)
        return found


def recipe() -> tuple[str, str]:
    """The lines that make the database and start the server."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    (block,) = re.findall(r"```bash\n(pip install -c constraints.txt mlflow.*?)```", page, re.DOTALL)
    _, psql, server = block.replace("\\\n", " ").strip().splitlines()
    return psql, server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("postgres"), free_port()
    with postgres() as database:
        here = {
            "$PASSWORD": database.password,
            "127.0.0.1/mlflow": f"127.0.0.1:{database.port}/mlflow",
            "/srv/gelo": str(folder),
            "10.0.0.10:5000": f"127.0.0.1:{port}",
            "10.0.0.10": "127.0.0.1",
        }
        lines = recipe()
        for there, value in here.items():
            assert any(there in line for line in lines), there
            lines = tuple(line.replace(there, value) for line in lines)
        psql, server = (shlex.split(line) for line in lines)
        assert psql[:4] == ["sudo", "-u", "postgres", "psql"] and server[0] == "mlflow"
        database.psql(*psql[4:])
        yield Served(database, [sys.executable, "-m", *server, "--port", str(port), "--workers", "1"], port, folder)


def wanted(*runs: tuple[str, list[Metric]]) -> set[tuple[str, str, int, float]]:
    return {(key, metric.name, metric.step or 0, metric.value) for key, each in runs for metric in each}


def test_a_database_and_a_server_that_die_lose_and_double_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, list[Metric]]] = []
    with served.server() as server:
        box = served.box()
        box.open()

        def put(key: str, sets: int) -> int:
            said.append((key, metrics(sets)))
            box.put(asked(*said[-1]))
            return 6 * sets

        count = put("one", 3)
        assert box.send() == count and box.away is None
        assert set(served.rows()) == wanted(*said)

        served.database.stop()
        count = put("two", 2)
        assert box.send() == 0 and isinstance(box.away, AwayError)
        assert f"{count} metrics of 1 trial wait in {served.folder}/spool" in box.waits()
        count += put("three", 300)  # two requests; its database dies between them
        served.database.start()
        sends, real = iter(range(1000)), requests.adapters.HTTPAdapter.send

        def send(self: Any, request: Any, **options: Any) -> Any:
            if (
                request.path_url.endswith("log-batch")
                and b"forgetting" not in (request.body or b"")
                and next(sends) == 3
            ):
                served.database.stop()
            return real(self, request, **options)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        box.send()
        assert isinstance(box.away, AwayError), "it died on the way"
        served.database.start()
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", real)
        box.send(patience=60)
        assert box.away is None and box.waits() == ""
        assert set(served.rows()) == wanted(*said)
        os.killpg(server.pid, signal.SIGKILL)

        count = put("four", 2)
        assert box.send() == 0 and isinstance(box.away, AwayError)
    box = served.box()  # a resume while the server is away
    assert box.open() == 0 and f"{count} metrics of 1 trial wait" in box.waits()
    with pytest.raises(UserError, match=r"MLflow server at 127\.0\.0\.1"):  # which never answered this sweep
        Outbox(Spool(UPath(served.folder / "another")), box.uri, "another").open()
    assert not (served.folder / "another").exists()

    with served.server():
        assert box.send() == count and box.away is None
        assert set(served.rows()) == wanted(*said)
        asks: list[str] = []

        def counted(self: Any, request: Any, **options: Any) -> Any:
            asks.append(request.path_url)
            return real(self, request, **options)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", counted)
        box = served.box()
        assert box.open() == 0 and box.send() == 0
        assert len(asks) <= 4, asks
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", real)

        command = [sys.executable, "-m", "tests.sweeps.killed", box.uri, str(served.folder), "17"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        rows, runs = served.select(ROWS), served.select(RUNS)
        assert len(done.stdout.split()) >= 3
        for name in done.stdout.split():
            assert (rows[name], runs[name]) == (rows["unharmed"], runs["unharmed"]), name
