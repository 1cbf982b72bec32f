"""A sweep's numbers from the spool to an MLflow server on PostgreSQL: 500 runs of 60 results and 20 curves of 100 points.

ours: values a second, from what is asked to what stands in MLflow: spool, search, parent, runs with params and data set, seals. theirs:
MLflow's own client on the same server, run after run, with `log_batch` alone: neither a spool nor what makes a replay change nothing.
detail has a second log of the same sweep, as a resume does: what it wrote, and its share of the first one's time. With --smoke: SQLite, no
server.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upath import UPath

from benchmarks.line import finish, note
from benchmarks.served import free_port, mlflow_server, no_postgres, postgres
from gelo.sweeps.tracking.client import before_import, client_of
from gelo.sweeps.tracking.logged import Metric, checked
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.runlog import Asked
from gelo.sweeps.tracking.spool import Spool
from gelo.sweeps.tracking.values import Input

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4, help="of the MLflow server")
    asked = parser.parse_args()
    runs, curves, points = (3, 2, 10) if asked.smoke else (asked.runs, 20, 100)
    values = [Metric(f"zero_shot/set_{number}/top1", (number + 0.5) / 61) for number in range(60)]
    values += [
        Metric(f"forgetting/curve_{number}", 1 / (step + number + 1), 10 * step)
        for number in range(curves)
        for step in range(points)
    ]
    ours: list[float] = []
    theirs: list[float] = []
    first = second = 0.0
    with tempfile.TemporaryDirectory() as scratch, _store(Path(scratch), asked.smoke, asked.workers) as uri:
        before_import()
        _plain(uri, "warm", 1, values)  # the server's first requests load what the others find
        for number in range(1 if asked.smoke else ROUNDS):  # one sweep in as many parts, between them the other side
            part = [f"run{number}-{index}" for index in range(runs // (1 if asked.smoke else ROUNDS))]
            seconds = _spooled(uri, Path(scratch), number, part, values, len(part) * len(values))
            first, ours = first + seconds, [*ours, len(part) * len(values) / seconds]
            second += _spooled(uri, Path(scratch), number, part, values, 0)
            few = max(len(part) // 10, 1)
            theirs.append(few * len(values) / _plain(uri, f"plain {number}", few, values))
            note(
                f"round {number + 1}: ours {ours[-1]:,.0f}, theirs {theirs[-1]:,.0f} values/s; again {second / first:.3f}"
            )
        shown = _shown(uri, number, part[-1])
    assert shown == {metric.name: metric.value for metric in values}, "MLflow shows other values"
    detail = {
        "runs": runs, "values": runs * len(values), "seconds": round(first, 2), "second_log_wrote": 0,
        "second_log_share": round(second / first, 4), "store": "sqlite" if asked.smoke else "postgresql",
        "workers": 0 if asked.smoke else asked.workers, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    finish("tracking", ours, theirs, "values/s", ">= 5,000 values/s; second log 0 values, <= 5 % of the time", detail)


@contextmanager
def _store(scratch: Path, smoke: bool, workers: int) -> Iterator[str]:
    if smoke:
        uri = f"sqlite:///{scratch}/mlflow.db"
        Outbox(Spool(UPath(scratch / "schema")), uri, "schema").open()
        yield uri
        return
    if reason := no_postgres():
        raise SystemExit(f"{reason}; --smoke needs none")
    with postgres() as database:
        database.psql("-c", "create database mlflow")
        os.environ["PGPASSWORD"] = database.password
        login, port = f"postgres@127.0.0.1:{database.port}", free_port()
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            f"postgresql+psycopg://{login}/mlflow",
        ]
        command += ["--artifacts-destination", str(scratch / "artifacts"), "--workers", str(workers)]
        with mlflow_server(scratch, [*command, "--host", "127.0.0.1", "--port", str(port)], port):
            yield f"http://127.0.0.1:{port}"


def _spooled(uri: str, scratch: Path, number: int, keys: list[str], values: list[Metric], expected: int) -> float:
    """Seconds that a sweep's log takes, which sends `expected` rows."""
    started = time.perf_counter()
    box = Outbox(Spool(UPath(scratch / f"spool-{number}")), uri, f"ours {number}")
    sent = box.open()
    for key in keys:
        box.put(
            Asked(
                key, key, {f"param_{index}": index for index in range(40)}, "FINISHED", {"gelo.scale": "full"}, 1.7e9, 1.7e9 + 60,
                (Input("faces", "0" * 16, "training", "/data/faces", {"train": 1}),), checked(values), ("zero_shot/",),
            )
        )  # fmt: skip
    sent += box.send()
    box.end("FINISHED")
    assert (box.away, sent) == (None, expected), (box.away, sent, expected)
    return time.perf_counter() - started


def _plain(uri: str, name: str, runs: int, values: list[Metric]) -> float:
    """Seconds that MLflow's client takes for so many runs."""
    from mlflow.entities import Metric as Entry

    client = client_of(uri)
    started = time.perf_counter()
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    for _ in range(runs):
        run = client.create_run(experiment).info
        rows = [Entry(metric.name, metric.value, run.start_time, metric.step or 0) for metric in values]
        for start in range(0, len(rows), 1000):
            client.log_batch(run.run_id, metrics=rows[start : start + 1000])
        client.set_terminated(run.run_id)
    return time.perf_counter() - started


def _shown(uri: str, number: int, key: str) -> dict[str, Any]:
    """What MLflow shows of a trial's run."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name(f"ours {number}")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`gelo.trial` = '{key}'")
    return dict(run.data.metrics)


if __name__ == "__main__":
    main()
