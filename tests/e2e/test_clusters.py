"""A sweep ends on one CPU, and on a cluster of two nodes that it did not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.sweeping import Place, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

TWO = """
name: small
backbones: [mini-s]
tasks:
  morphs: {adaptation: [full, lora], epochs: 1}
evaluate: [zero_shot]
datasets: [digits, shapes]
"""


def _place(folder: Path, world: Path) -> Place:
    (folder / "small.yaml").write_text(TWO)
    return Place(folder, world / "data", world / "cache")


def _is_complete(place: Place) -> bool:
    averages = [row["average_2"] for row in place.tables()["zero_shot.csv"]]
    return len(averages) == 3 and all(averages)


@pytest.mark.long
def test_a_sweep_ends_on_one_cpu(small_world: Path, tmp_path: Path) -> None:
    place = _place(tmp_path, small_world)
    assert place.gelo("run", "small.yaml", "--cpus", "1") == 0, place.log()
    assert "1 node, 1 CPUs" in place.log()
    assert _is_complete(place)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch):
    """Two nodes of one CPU each, as processes of this machine."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_two_trials_on_an_existing_cluster_of_two_nodes(small_world: Path, tmp_path: Path, two_nodes) -> None:
    place = _place(tmp_path, small_world)
    assert place.gelo("run", "small.yaml", "--address", two_nodes.address) == 0, place.log()
    assert "2 nodes, 2 CPUs" in place.log()
    assert _is_complete(place)
    settings = json.loads((place.sweep / "sweep.json").read_text())["settings"]
    assert settings["address"] == two_nodes.address


def test_a_cluster_that_is_not_there_is_one_clear_message(small_world: Path, tmp_path: Path) -> None:
    place = _place(tmp_path, small_world)
    assert place.gelo("run", "small.yaml", "--address", "127.0.0.1:1") == 2
    assert "Traceback" not in place.log()
    assert "--address 127.0.0.1:1" in place.log()


@pytest.mark.long  # on one machine: test_interruptions.py
def test_a_run_whose_head_is_gone_says_how_to_go_on(small_world: Path, tmp_path: Path, two_nodes) -> None:
    """Ray itself would end the program after a minute, without a word of the sweep, were it not told to wait longer than gelo."""
    place = _place(tmp_path, small_world)
    (tmp_path / "small.yaml").write_text(TWO.replace("epochs: 1", "epochs: 90"))
    program = (
        "import sys; from gelo.sweeps.engine import alive; alive.SILENT = 5.0; from gelo.sweeps.cli import main; main()"
    )
    environment = {**os.environ, "GELO_DATA": str(place.data), "GELO_CACHE": str(place.cache)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "run", "small.yaml", "--address", two_nodes.address],
            cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    wait_for(lambda: any(place.sweep.glob("trials/*/checkpoints/epoch-*/DONE")), process, "checkpoint")
    two_nodes.head_node.kill_gcs_server()
    assert process.wait(200) == 1
    assert "Ray is gone" in place.log() and "gelo resume small" in place.log(), place.log()
