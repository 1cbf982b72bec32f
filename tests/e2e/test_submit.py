"""A sweep handed to a cluster that this process is no part of: a head of its own with token authentication on."""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.long]
SPEC = "name: small\nbackbones: [mini-s]\ntasks:\n  morphs: {adaptation: lora, epochs: 1}\nevaluate: [zero_shot]\ndatasets: [shapes]\n"


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Cluster:
    """A head of one node, and what a laptop that knows its token has in its environment."""

    def __init__(self, place: Path, data: Path) -> None:
        self.place, self.port, self.dashboard = place, _port(), _port()
        token = secrets.token_hex(32)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "OMP_NUM_THREADS": "1", "COLUMNS": "200",
            "PYTHONPATH": str(ROOT), "GELO_DATA": str(data), "GELO_CACHE": str(place / "cache"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        command = [
            *(
                "ray",
                "start",
                "--head",
                f"--port={self.port}",
                "--num-cpus=2",
                f"--temp-dir=/tmp/ray-{self.port}",
                "--block",
            ),
            *(
                "--include-dashboard=true",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={self.dashboard}",
                f"--dashboard-agent-listen-port={_port()}",
                "--disable-usage-stats",
            ),
        ]
        self.log = (place / "head.log").open("w")
        self.head = subprocess.Popen(
            command, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    def close(self) -> None:
        os.killpg(self.head.pid, signal.SIGTERM)
        self.head.wait(60)
        self.log.close()

    def gelo(self, *words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gelo", *words]
        return subprocess.run(
            command, cwd=cwd, env={**self.environment, **more}, capture_output=True, text=True, timeout=300
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("head")
    made = Cluster(place, place / "data")
    try:
        for _ in range(240):  # until it lists its jobs: before, it takes none
            asked = f"from ray.job_submission import JobSubmissionClient as C; C({made.address!r}).list_jobs()"
            if not subprocess.run([sys.executable, "-c", asked], env=made.environment, capture_output=True).returncode:
                break
            time.sleep(0.5)
        yield made
    finally:
        made.close()


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC)
    return tmp_path


def _places(folder: Path) -> list[str]:
    return ["--storage", str(folder / "out"), "--tracking", "http://127.0.0.1:9"]


def test_what_only_this_machine_has_is_told_before_anything_is_sent(cluster: Cluster, laptop: Path) -> None:
    done = cluster.gelo(
        "submit",
        "small.yaml",
        "--address",
        cluster.address,
        "--storage",
        "out",
        "--tracking",
        "sqlite:///x.db",
        cwd=laptop,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--storage out: a path of this machine" in done.stderr and "no server" in done.stderr


def test_a_cluster_that_is_not_there_is_one_message(laptop: Path, cluster: Cluster) -> None:
    done = cluster.gelo("submit", "small.yaml", "--address", "http://127.0.0.1:9", *_places(laptop), cwd=laptop)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--address http://127.0.0.1:9" in done.stderr


def test_without_its_token_nobody_submits(cluster: Cluster, laptop: Path) -> None:
    done = cluster.gelo(
        "submit", "small.yaml", "--address", cluster.address, *_places(laptop), cwd=laptop, RAY_AUTH_TOKEN="0" * 64
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "0" * 64 not in done.stdout + done.stderr


def test_a_job_s_own_mistake_is_followed_to_its_exit_code(cluster: Cluster, laptop: Path) -> None:
    """The tracking server is away: `gelo run` says so on the cluster, the laptop has its words and its code, and attach says them again."""
    done = cluster.gelo("submit", "small.yaml", "--address", cluster.address, *_places(laptop), cwd=laptop)
    assert done.returncode == 2, done.stdout + done.stderr
    (job,) = set(re.findall(r"gelo-small-[0-9a-f]{6}", done.stdout)) or [done.stderr]
    assert done.stdout.count("MLflow server at 127.0.0.1") == 1
    again = cluster.gelo("attach", job, "--address", cluster.address, cwd=laptop)
    assert again.returncode == 2 and again.stdout.count("MLflow server at 127.0.0.1") == 1
    by_name = cluster.gelo("attach", "small", "--address", cluster.address, cwd=laptop)
    assert (by_name.returncode, by_name.stdout) == (again.returncode, again.stdout)
    wrong = cluster.gelo("attach", "smell", "--address", cluster.address, cwd=laptop)
    assert wrong.returncode == 2 and "nearest: small" in wrong.stderr


def test_what_neither_side_says_is_told_by_the_cluster(cluster: Cluster, laptop: Path) -> None:
    (laptop / "other.yaml").write_text(SPEC.replace("name: small", "name: other"))
    done = cluster.gelo(
        "submit", "other.yaml", "--address", cluster.address, "--tracking", "http://127.0.0.1:9", cwd=laptop
    )
    assert done.returncode == 2 and "GELO_STORAGE: is not set on the cluster; say --storage" in done.stdout, done.stderr


def test_every_machine_is_looked_at_before_money_is_spent(cluster: Cluster, laptop: Path) -> None:
    """Through the dashboard, as from a laptop; the one machine has a storage, an encoder, and no tracking server to talk to."""
    words = ["doctor", "small.yaml", "--address", cluster.address, *_places(laptop), "--json"]
    done = cluster.gelo(*words, cwd=laptop)
    assert done.returncode == 2, done.stdout + done.stderr
    (found,) = re.findall(r"^\{\n.*?^\}", done.stdout, re.MULTILINE | re.DOTALL) or [done.stdout + done.stderr]
    told = json.loads(found)
    (machine,) = told["machines"]
    assert machine["encode"]["mini-s"] > 0 and len(machine["fingerprints"]["weights of mini-s"]) == 16
    assert machine["versions"]["python"] == platform.python_version()
    (lack,) = told["lacks"]
    assert lack["where"].startswith("--tracking") and "Connection refused" in lack["found"]


def test_the_job_goes_on_without_the_laptop(cluster: Cluster, laptop: Path) -> None:
    """Killed while it follows: attach has every line from the first, the sweep ends, and what is asked for again has nothing left to do."""
    port = _port()
    server = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{laptop}/mlflow.db", "--artifacts-destination", f"{laptop}/artifacts",
              "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    (laptop / "lasting.yaml").write_text(SPEC.replace("name: small", "name: lasting"))
    words = ["submit", "lasting.yaml", "--address", cluster.address, "--storage", str(laptop / "out"),
             "--tracking", f"http://127.0.0.1:{port}"]  # fmt: skip
    with (laptop / "server.log").open("w") as log:
        tracking = subprocess.Popen(server, env=cluster.environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        command = [sys.executable, "-m", "gelo", *words]
        watching = subprocess.Popen(command, cwd=laptop, env=cluster.environment, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None
        first = next(line for line in watching.stdout if "Running entrypoint" in line)
        watching.kill()
        watching.wait()
        done = cluster.gelo("attach", "lasting", "--address", cluster.address, cwd=laptop)
        assert done.returncode == 0, done.stdout + done.stderr
        assert first in done.stdout and "succeeded" in done.stderr
        assert len(list((laptop / "out" / "lasting" / "trials").glob("*/results/zero_shot/shapes.json"))) == 2
        again = cluster.gelo(*words, cwd=laptop)
        assert again.returncode == 0 and "log: 0 metrics" in again.stdout, again.stdout + again.stderr
    finally:
        os.killpg(tracking.pid, signal.SIGTERM)
        tracking.wait(60)
