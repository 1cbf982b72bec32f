"""Real servers on loopback, for benchmarks and tests: MLflow's, and PostgreSQL from Debian's packages."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_INITDB = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1:]


def no_postgres() -> str:
    """Why there is no PostgreSQL on this machine; "" where there is one."""
    if not _INITDB:
        return "no PostgreSQL of Debian's packages in /usr/lib/postgresql"
    return "no runuser: PostgreSQL does not run as root" if os.geteuid() == 0 and not shutil.which("runuser") else ""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_server(
    folder: Path, command: Sequence[str], port: int, seconds: int = 300
) -> Iterator[subprocess.Popen[bytes]]:
    """An MLflow server that answers at 127.0.0.1:port, in a session of its own; killed with its workers at the end."""
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=quiet, cwd=folder, start_new_session=True)
    try:
        for _ in range(5 * seconds):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.2)
        else:
            raise RuntimeError(f"no server within {seconds} s: {(folder / 'log').read_text()}")
        yield server
    finally:
        with suppress(ProcessLookupError):  # it may have been killed
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class Postgres:
    """A cluster of databases in a folder of its own; `stop` as a power cut does."""

    def __init__(self) -> None:
        self.bin, self.port, self.password = _INITDB[0].parent, free_port(), secrets.token_hex(12)
        self.folder = Path(tempfile.mkdtemp(prefix="gelo-postgres-"))
        (self.folder / "password").write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, "postgres")

    def run(self, program: str, *arguments: str) -> str:
        """One of PostgreSQL's programs, as a user that it takes; what it printed."""
        command = [str(self.bin / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", "env", f"PGPASSWORD={self.password}", *command]
        environment = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=environment)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def make(self) -> None:
        place = ("--pgdata", str(self.folder / "data"))
        self.run(
            "initdb", *place, "--auth", "scram-sha-256", "--username", "postgres", "--no-sync",
            "--pwfile", str(self.folder / "password"),
        )  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        place = ("--pgdata", str(self.folder / "data"), "--log", str(self.folder / "log"))
        self.run("pg_ctl", *place, "--options", options, "--wait", "--timeout", "300", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "--pgdata", str(self.folder / "data"), "--mode", "immediate", "--wait", "stop")

    def client(self, program: str, *arguments: str) -> str:
        """One of its programs that asks this server, as its superuser."""
        return self.run(program, "--host", "127.0.0.1", "--port", str(self.port), "--username", "postgres", *arguments)

    def psql(self, *arguments: str) -> str:
        return self.client("psql", "-At", *arguments)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new one, until the end of the block; where `no_postgres` says nothing."""
    made = Postgres()
    try:
        made.make()
        made.start()
        yield made
    finally:
        with suppress(RuntimeError):  # it may have been stopped
            made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)
