"""What several ranks are granted and refused, before any of them starts; and whose error it was when they fail together."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
import torch.distributed as dist

from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.sweeps.engine import gang
from gelo.sweeps.engine.cluster import must_grant
from gelo.sweeps.engine.joined import is_of_others
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import SweepSpec, parse_spec
from gelo.sweeps.state.memory import memory_faults
from gelo.sweeps.state.preflight import preflight

RESET = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer")


def spec(resources: dict[str, Any], **changes: Any) -> SweepSpec:
    return parse_spec({"name": "own", "backbones": ["mini-s"], "resources": resources, **changes}, "own.yaml")


@pytest.mark.parametrize(
    ("resources", "ranks", "each"),
    [
        ({}, 1, 0),
        ({"workers": 3}, 3, 0),
        ({"gpus": 0.5}, 1, 0.5),
        ({"gpus": 1}, 1, 1),
        ({"gpus": 4}, 4, 1),
        ({"gpus": 4, "workers": 4}, 4, 1),
    ],
)
def test_a_rank_a_gpu(resources: dict[str, Any], ranks: int, each: float) -> None:
    made = spec(resources).resources
    assert (made.ranks, made.gpus_of_a_rank) == (ranks, each)


@pytest.mark.parametrize(
    ("resources", "ranks"),
    [({"gpus": 3, "workers": 2}, 3), ({"gpus": 4, "workers": 1}, 4), ({"gpus": 0.5, "workers": 2}, 1)],
)
def test_two_ranks_on_a_gpu_or_two_gpus_of_a_rank_are_refused(resources: dict[str, Any], ranks: int) -> None:
    with pytest.raises(UserError) as caught:
        spec(resources)
    (fault,) = caught.value.faults
    assert fault.where == "resources.workers" and f"one rank a GPU: {ranks} with gpus" in fault.expected


def test_workers_are_no_part_of_a_trials_key() -> None:
    tasks = {"tasks": {"faces": {"adaptation": "lora"}}}
    one, two = (spec({"workers": ranks}, **tasks).trials() for ranks in (1, 2))
    assert [trial.key for trial in one] == [trial.key for trial in two]


def test_a_bundle_for_each_rank() -> None:
    four = gang.bundles(Resources(gpus=4, cpus=3))
    assert four.bundles == [{"CPU": 3.0, "GPU": 1.0}] * 4 and four.strategy == "PACK"
    assert gang.bundles(Resources(workers=2)).bundles == [{"CPU": 1.0}] * 2
    assert gang.bundles(Resources(gpus=0.5)).bundles == [{"CPU": 1.0, "GPU": 0.5}]


def test_a_batch_that_ranks_cannot_share_is_refused_before_anything_starts(tmp_path: Path) -> None:
    places = {"storage": str(tmp_path / "out"), "data": str(tmp_path), "cache": str(tmp_path / "cache")}
    replay = {"replay": {"batch": 15}}
    tasks = {"faces": {"adaptation": "lora", "batch": [32, 30], "accumulate": 2, "remedy": ["none", replay]}}
    asked = spec({"workers": 2}, tasks=tasks, evaluate=["zero_shot"])
    found = [fault for fault in preflight(asked, Settings(cpus=2, **places)) if "multiple" in fault.expected]
    assert sorted((fault.where.rpartition(": ")[2], fault.found) for fault in found) == [
        ("batch", "30"),
        ("batch", "30"),
        ("batch of replay", "15"),
        ("batch of replay", "15"),
    ]
    assert {fault.expected for fault in found} == {"a multiple of 4 (2 ranks x accumulate 2)"}
    assert {fault.remedy.partition(",")[0] for fault in found} == {"set it to 28 or 32", "set it to 12 or 16"}
    assert all("mini-s faces lora" in fault.where for fault in found)


def test_more_ranks_than_a_machine_has_cpus_for_are_refused(tmp_path: Path) -> None:
    places = {"storage": str(tmp_path / "out"), "data": str(tmp_path), "cache": str(tmp_path / "cache")}
    (fault,) = preflight(spec({"workers": 3, "cpus": 2}), Settings(cpus=4, **places))
    assert (fault.where, fault.found) == ("resources", "4 CPUs given with --cpus")
    assert fault.expected == "6 (3 ranks of 2 CPUs), which one trial asks for" and "resources.cpus=1" in fault.remedy
    (fault,) = preflight(spec({"workers": 5}), Settings(cpus=4, **places))
    assert "resources.workers=4 or less" in fault.remedy
    assert preflight(spec({"workers": 2, "cpus": 2}), Settings(cpus=4, **places)) == []
    assert preflight(spec({"workers": 3, "cpus": 2}), Settings(cpus=4, address="10.0.0.1:6379", **places)) == []


def test_each_rank_holds_weights_of_its_own() -> None:
    size = resolve("mini-s").weights_path(None).stat().st_size
    asked = spec({"workers": 2}, tasks={"faces": {"adaptation": "lora"}}, seeds=[0, 1])
    assert memory_faults(asked, 2, 3 * size) == []  # the sweep's own, and one trial of two ranks at once
    (fault,) = memory_faults(asked, 2, 3 * size - 1)
    assert "1 trial training at once" in fault.expected
    assert memory_faults(asked, 4, 5 * size - 1) != []


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pretend(*nodes: dict[str, float]) -> None:
        alive = [{"NodeID": str(key), "Alive": True, "Resources": there} for key, there in enumerate(nodes)]
        monkeypatch.setattr(ray, "nodes", lambda: alive)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "0"))

    return pretend


def test_a_gang_is_granted_over_machines_and_refused_with_numbers(nodes: Any) -> None:
    display: Any = SimpleNamespace(say=lambda text: None)
    nodes({"CPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 1.0})
    must_grant(Resources(gpus=3), "local", display)
    must_grant(Resources(workers=11), "local", display)
    with pytest.raises(
        UserError, match=r"room for 3 ranks in all.*4 ranks of 1 CPU and 1 GPU, which one trial asks for"
    ):
        must_grant(Resources(gpus=4), "local", display)
    with pytest.raises(UserError, match=r"room for 2 ranks in all.*3 ranks of 2 CPUs and 1 GPU"):
        must_grant(Resources(gpus=3, cpus=2), "local", display)


def test_whose_error_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs stand for themselves: each is what it failed with, or None."""
    monkeypatch.setattr(ray, "wait", lambda jobs, num_returns, timeout: (jobs, []))
    monkeypatch.setattr(gang, "_failure", lambda job: job)
    mistake, full = UserError("x", Fault("data", "gone", "there")), OSError(28, "No space left on device")
    died, lost = ray.exceptions.ActorDiedError(), dist.DistBackendError("NCCL error: remote process exited")
    memory = torch.cuda.OutOfMemoryError("CUDA out of memory")
    for own, jobs, seen, expected in (
        (RESET, [RESET, mistake], False, mistake),
        (RESET, [died, mistake, RESET], False, mistake),  # one killed because of the other
        (lost, [died, lost], False, died),
        (lost, [memory], False, memory),
        (RESET, [full, None], False, full),
        (RESET, [RESET, None], False, RESET),
        (full, [mistake], False, full),  # its own came first: then the peers' is what follows from it
        (mistake, [died], True, died),  # computed from an aborted group
        (mistake, [RESET], True, mistake),
    ):
        assert gang.cause(own, jobs, seen) is expected
    assert not is_of_others(memory) and not is_of_others(RuntimeError("shapes cannot be multiplied"))


def test_a_job_fails_with_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = OSError(28, "No space left on device")

    def get(job: object) -> None:
        raise ray.exceptions.RayTaskError("run", "traceback", reason)

    monkeypatch.setattr(ray, "get", get)
    assert gang._failure("job") is reason


def test_rank_0_does_not_wait_for_a_peer_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process ends when neither an error nor an aborted group has freed it; not when it came out by itself, or all is well."""
    for name, seconds in (("_LOOK", 0.01), ("_PATIENCE", 0.05), ("_LEAVE", 0.05)):
        monkeypatch.setattr(gang, name, seconds)
    ended: list[int] = []
    monkeypatch.setattr(gang.os, "_exit", ended.append)
    over, out = threading.Event(), threading.Event()

    def failure(job: Exception | None) -> Exception | None:
        if out.is_set():
            over.set()
        return job

    monkeypatch.setattr(ray, "wait", lambda jobs, num_returns, timeout: (jobs, []))
    monkeypatch.setattr(gang, "_failure", failure)
    for jobs, frees, told in (([None, RESET], False, [1]), ([None, RESET], True, []), ([None, None], True, [])):
        seen = threading.Event()
        over.clear()
        (out.set if frees else out.clear)()
        gang._watch(jobs, over, seen)
        assert (ended, seen.is_set()) == (told, RESET in jobs)
        ended.clear()


def test_ranks_of_one_machine_meet_on_its_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [
        {"NodeID": key, "NodeManagerAddress": address}
        for key, address in zip("abc", ("10.0.0.1", "10.0.0.1", "10.0.0.2"), strict=True)
    ]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.1")
    assert gang._host(["a", "b"]) == "127.0.0.1"
    assert gang._host(["a", "c"]) == "10.0.0.1"
