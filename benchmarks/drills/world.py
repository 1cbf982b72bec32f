"""What a drill is made on, all of it on loopback: Ray of two machines with tokens, an S3-speaking server, MLflow on PostgreSQL.

Each can be killed and comes back. The S3 server (moto) holds its objects in memory, so what is killed is the door that stands before it;
its clients see the same.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.door import Door, s3
from benchmarks.served import Postgres, free_port, mlflow_server, postgres

TRAINERS = ("ray::ImplicitFunc",)  # rank 0 of each trial
PEERS = ("ray::Peer",)  # its other ranks
HANDS = ("ray::Hand",)  # those that make trials of others


@dataclass
class World:
    """The servers that a drill asked for. environment: what a `gelo` of a user needs to reach them."""

    folder: Path
    environment: dict[str, str]
    cluster: Any = None
    door: Door | None = None
    database: Postgres | None = None
    tracking: str = ""
    storage: str = ""
    stack: ExitStack = field(default_factory=ExitStack)
    _mlflow: Any = None

    def ray(self, workers: int = 1, cpus: int = 1) -> None:
        """A head of so many CPUs and as many machines of the same beside it, as processes."""
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ |= token
        self.environment |= token
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
        from ray.cluster_utils import Cluster

        Config.initialize("")  # it reads both when it is imported, which may have been before
        AuthenticationTokenLoader.instance().reset_cache()
        head = {"num_cpus": cpus, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(workers):
            self.cluster.add_node(num_cpus=cpus)
        self.cpus = cpus

    def no_ray(self) -> None:
        with suppress(Exception):  # of a head that was killed already
            self.cluster.shutdown()
        for process in psutil.process_iter(["cmdline", "environ"]):
            if (process.info["environ"] or {}).get("RAY_AUTH_TOKEN") == self.environment["RAY_AUTH_TOKEN"]:
                with suppress(psutil.Error):
                    if process.pid != os.getpid() and "ray" in " ".join(process.info["cmdline"] or ()):
                        process.kill()

    def machines(self) -> list[Any]:
        """Those beside the head."""
        return [node for node in self.cluster.list_all_nodes() if node is not self.cluster.head_node]

    def processes(self, titles: tuple[str, ...]) -> list[psutil.Process]:
        """Of this cluster, whose title begins so."""
        found = []
        for node in self.cluster.list_all_nodes():
            for raylet in node.all_processes.get("raylet", ()):
                with suppress(psutil.Error):
                    found += psutil.Process(raylet.process.pid).children(recursive=True)
        return [each for each in found if _title(each).startswith(titles)]

    def s3(self) -> None:
        """An empty bucket."""
        self.door = self.stack.enter_context(s3())
        self.environment |= self.door.environment
        os.environ |= self.door.environment
        self.storage = self.bucket("drill")

    def bucket(self, name: str) -> str:
        """A new one's address."""
        import boto3

        assert self.door is not None
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.door.port}").create_bucket(Bucket=name)
        return f"s3://{name}/gelo"

    def mlflow(self) -> None:
        """A server on PostgreSQL."""
        self.database = self.stack.enter_context(postgres())
        self.database.psql("-c", f"create role mlflow login password '{self.database.password}'")
        self.database.client("createdb", "--owner", "mlflow", "mlflow")
        os.environ["PGPASSWORD"] = self.database.password
        self.port = free_port()
        self.tracking = f"http://127.0.0.1:{self.port}"
        self.mlflow_back()
        self.stack.callback(self.mlflow_dies)

    def mlflow_back(self) -> None:
        assert self.database is not None
        (self.folder / "mlflow").mkdir(exist_ok=True)
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)),
            *("--backend-store-uri", f"postgresql+psycopg://mlflow@127.0.0.1:{self.database.port}/mlflow"),
            *("--artifacts-destination", str(self.folder / "mlflow" / "artifacts")),
        ]
        self._mlflow = mlflow_server(self.folder / "mlflow", command, self.port)
        self._server = self._mlflow.__enter__()

    def mlflow_dies(self) -> None:
        """With its workers, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._mlflow.__exit__(None, None, None)

    def strike(self, server: str) -> None:
        """Kill `mlflow`, `postgres` or `s3`."""
        assert self.database is not None and self.door is not None
        {"mlflow": self.mlflow_dies, "postgres": self.database.stop, "s3": self.door.close}[server]()

    def back(self, server: str) -> None:
        """Start it again."""
        assert self.database is not None and self.door is not None
        {"mlflow": self.mlflow_back, "postgres": self.database.start, "s3": self.door.open}[server]()

    def rows(self, experiment: str, query: str) -> list[tuple[Any, ...]]:
        """What MLflow's database holds of an experiment; `{of}` in the query is the condition on `experiments e`."""
        import psycopg

        assert self.database is not None
        own = self.database
        with psycopg.connect(
            host="127.0.0.1", port=own.port, user="postgres", dbname="mlflow", password=own.password
        ) as connection:
            return list(connection.execute(query, {"experiment": experiment}).fetchall())


@contextmanager
def world(folder: Path, data: Path, cache: Path) -> Iterator[World]:
    """Nothing yet but an environment; what is started in it ends with the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends too
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_", "GELO_"))}
    here = {"GELO_DATA": str(data), "GELO_CACHE": str(cache), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    made = World(folder, clean | here)
    with made.stack:
        try:
            yield made
        finally:
            if made.cluster is not None:
                made.no_ray()


class Said:
    """A `gelo` that runs, and each of its lines with the time at which it came."""

    def __init__(self, made: World, *arguments: str, **more: str) -> None:
        """more: beside the world's environment."""
        self.words = arguments
        command = [sys.executable, "-m", "gelo", *arguments]
        self.lines: list[tuple[float, str]] = []
        self.began = self.ended = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=made.folder, env=made.environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))
        self.ended = time.monotonic()

    def wait(self, seconds: float) -> int:
        """Its exit code; kills it, and raises TimeoutExpired, where it takes longer."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        finally:
            self._reader.join(10)
        return code

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def silence(self) -> tuple[float, str]:
        """The longest time between two lines, its start and its end among them, and the line before it."""
        told = [(self.began, "its start"), *self.lines, (self.ended, "")]
        return max((after - before, line) for (before, line), (after, _) in pairwise(told))


def until(happened: Callable[[], Any], seconds: float) -> bool:
    """Whether it did within the time."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if happened():
            return True
        time.sleep(0.05)
    return False


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""
