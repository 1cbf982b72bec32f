"""A sweep whose MLflow server dies goes on without it, says so, and brings it the rest when it is back; by the command line."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from benchmarks.served import free_port, mlflow_server
from gelo.tasks.data.catalogue import datasets_for
from tests.e2e.conftest import Gelo
from tests.e2e.test_one_set import colours

pytestmark = [pytest.mark.slow, pytest.mark.long]  # two starts of a server, and two minutes in which it is asked again


def test_a_server_that_is_away_stops_nothing_and_a_resume_brings_it_the_rest(gelo: Gelo, tmp_path: Path) -> None:
    data, port, database = tmp_path / "out" / "data", free_port(), tmp_path / "server" / "mlflow.db"
    database.parent.mkdir()
    for place, entry in enumerate(datasets_for("miniature", "zero_shot")):
        colours(data, entry.name, scale="miniature", shade=place)
    colours(data, "mine")
    spec = {"name": "small", "backbones": ["mini-s"], "evaluate": ["zero_shot"]}
    options = ("--tracking", f"http://127.0.0.1:{port}")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{database}",
        "--workers",
        "1",
    ]
    command += ["--artifacts-destination", str(database.parent / "artifacts"), "--port", str(port)]

    def metrics() -> list[tuple[str, int]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute("select key, step from metrics").fetchall()

    def run(**more: list[str]) -> tuple[int, str]:
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(spec | more))
        said = gelo("run", "small.yaml", *options)
        assert "Traceback" not in said.text, said.text
        return said.code, said.text

    code, text = run()
    assert code == 2 and "MLflow server at 127.0.0.1" in text and "CPUs" not in text, "never answered: a wrong address"
    with mlflow_server(database.parent, command, port):
        code, text = run()
        assert code == 0, text
    before = metrics()
    assert before and "zero_shot/mine/top1" not in dict(before)

    code, text = run(also=["mine"])
    assert code == 75, text
    assert "not logged, all results are saved: MLflow server at 127.0.0.1" in text
    assert "of 1 trial wait in" in text and "go on with: gelo resume small" in text
    assert (tmp_path / "out/small/report/index.html").exists()
    assert metrics() == before

    with mlflow_server(database.parent, command, port):
        said = gelo("resume", "small")
        assert said.code == 0 and "that waited written to MLflow" in said.text, said.text
        assert "zero_shot/mine/top1" in dict(metrics()) and len(set(metrics())) >= len(before)
        said = gelo("resume", "small")
        assert said.code == 0 and "log: 0 metrics" in said.text, said.text
