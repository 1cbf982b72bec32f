"""A trial of several ranks on two machines (processes of this one), one rank on each: killed, failing, and what it gives back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from safetensors.torch import load_file
from upath import UPath

from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import Fault, UserError
from gelo.models.training.world import World
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.data.catalogue import locate
from tests.sweeps.tuned import Tuned, spots, tell_ray, trial

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Ray on two nodes of one CPU each; this process is a driver of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        tell_ray()
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()
    tell_ray()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spots(tmp_path_factory.mktemp("data"))


def peers(cluster: Any) -> list[psutil.Process]:
    """The peers' processes on this cluster's nodes alone: other tests may run theirs."""
    found = []
    for node in cluster.list_all_nodes():
        for each in node.all_processes.get("raylet", ()):
            found += psutil.Process(each.process.pid).children(recursive=True)
    return [process for process in found if _title(process).startswith("ray::Peer.run")]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


def all_free() -> bool:
    limit = time.monotonic() + 30
    while time.monotonic() < limit and ray.available_resources().get("CPU") != 2:
        time.sleep(0.2)
    return ray.available_resources().get("CPU") == 2


@pytest.mark.long  # of gangs every change runs what a peer says
def test_a_killed_rank_costs_its_trial_one_epoch_and_its_sibling_nothing(
    nodes: Any, data: Path, tmp_path: Path
) -> None:
    """Two trials of two ranks share two CPUs, one after the other. `twin` is the same training under another key."""
    killed, twin = trial(), trial(per_identity=2)
    tuned = Tuned(SweepFolder(UPath(tmp_path), "gang"), data)
    struck: list[str] = []

    def strike() -> None:
        checkpoints = Path(str(tuned.folder.trial(killed).checkpoints))
        while not any(checkpoints.glob("epoch-*/DONE")):
            time.sleep(0.01)
        for process in peers(nodes):
            struck.append(_title(process))
            process.kill()

    threading.Thread(target=strike, daemon=True).start()
    assert tuned.train([killed, twin], Resources(workers=2)) == {}, tuned.said.getvalue()
    assert len(struck) == 1
    assert all_free()
    for name, tensor in tuned.weights(twin).items():
        assert torch.equal(tensor, tuned.weights(killed)[name]), name
    told = {each.key: tuned.folder.trial(each).training() for each in (killed, twin)}
    assert told[killed.key]["ranks"] == told[twin.key]["ranks"] == [2]
    assert [row["loss"] for row in told[killed.key]["history"]] == [row["loss"] for row in told[twin.key]["history"]]

    torch.set_num_threads(1)
    alone = TrialFolder(UPath(tmp_path / "alone"))
    assert train(twin, load_backbone("mini-s"), locate("spots", data), data / "cache", alone)
    one = {
        **load_file(Path(str(alone.trained)) / "encoder.safetensors"),
        **load_file(Path(str(alone.trained)) / "head.safetensors"),
    }
    assert max(float((one[name] - tensor).abs().max()) for name, tensor in tuned.weights(twin).items()) <= 1e-5
    assert alone.training()["ranks"] == [1]


def test_what_a_peer_says_is_what_is_raised(nodes: Any) -> None:
    """A user's mistake on another machine; a death, when the ranks meet at this machine's own address as those of several do."""

    @ray.remote(num_cpus=1)
    def rank_0() -> dict[str, Any]:
        import signal
        from functools import partial

        from gelo.sweeps.engine import gang as module

        def work(world: World, how: str) -> None:
            assert world.tell([world.rank, None]) == [0, None]
            if world.rank and how == "user":
                node = ray.get_runtime_context().get_node_id()
                raise UserError("trial x", Fault(f"data on {node}", "gone", "there"))
            if world.rank and how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            world.any(False)

        raised: dict[str, Any] = {"node": ray.get_runtime_context().get_node_id()}
        for how in ("user", "killed"):
            try:
                with module.gang(2, 1, 0, partial(work, how=how)) as world:
                    work(world, how)
            except Exception as error:
                raised[how] = error
            module._host = lambda nodes: ray.util.get_node_ip_address()
        return raised

    group = ray.util.placement_group([{"CPU": 1}] * 2, strategy="PACK")
    at = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, 0, True)
    raised = ray.get(rank_0.options(scheduling_strategy=at).remote(), timeout=400)
    ray.util.remove_placement_group(group)
    assert isinstance(raised["user"], UserError) and raised["user"].subject == "trial x"
    (fault,) = raised["user"].faults
    there = {node["NodeID"] for node in ray.nodes()} - {raised["node"]}
    assert fault.where.removeprefix("data on ") in there and fault.found == "gone"
    assert isinstance(raised["killed"], ray.exceptions.ActorDiedError)
    assert all_free()
