"""What a cluster cannot give is refused before anything starts; where machines come when they are asked for, it is said instead."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.experimental import internal_kv

from models.faults import UserError
from sweeps.cluster import must_grant

HEAD, WORKER = "a" * 8, "b" * 8


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cluster(nodes, kinds)`: Ray's answers; kinds: what its monitor calls the machines' types, None before it said anything."""

    def pretend(nodes: dict[str, dict[str, float]], kinds: list[str] | None) -> None:
        alive = [{"NodeID": key, "Alive": True, "Resources": there} for key, there in nodes.items()]
        dead = {"NodeID": "c" * 8, "Alive": False, "Resources": {"CPU": 640.0, "GPU": 8.0}}
        said = None if kinds is None else json.dumps({"autoscaler_report": {"active_nodes": dict.fromkeys(kinds, 1)}})
        monkeypatch.setattr(ray, "nodes", lambda: [*alive, dead])
        monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: HEAD))
        monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key: said and said.encode())

    return pretend


def asked(cpus: int, gpus: float = 0, address: str = "10.0.0.1:6379") -> list[str]:
    said: list[str] = []
    must_grant(cpus, gpus, address, SimpleNamespace(say=said.append))  # type: ignore[arg-type]
    return said


def test_a_machine_with_room_is_enough_and_two_halves_are_not(cluster: Any) -> None:
    cluster({HEAD: {"CPU": 2.0}, WORKER: {"CPU": 4.0, "GPU": 1.0}}, [f"node_{HEAD}", f"node_{WORKER}"])
    assert asked(4) == asked(4, 1) == asked(1, 0.5) == []
    for cpus, gpus, found in (
        (6, 0, "at most 4 CPUs on one machine"),
        (1, 2, "at most 4 CPUs and 1 GPU on one machine"),
    ):
        with pytest.raises(UserError, match=found) as caught:
            asked(cpus, gpus)
        assert f"expected {cpus} CPU" in str(caught.value)


def test_where_machines_come_it_is_said_and_waited_for(cluster: Any) -> None:
    for kinds in (["head"], ["head", "gpu"], None):
        cluster({HEAD: {"CPU": 8.0}}, kinds)
        assert asked(8) == []
        (said,) = asked(8, 1)
        assert "asks for 8 CPUs and 1 GPU" in said and "at most 8 CPUs and 0 GPU" in said
    with pytest.raises(UserError, match="at most 8 CPUs"):
        asked(9, address="local")


def test_a_driver_without_a_cpu_is_refused(cluster: Any) -> None:
    """It would train everything, and then wait for ever to score."""
    cluster({HEAD: {}, WORKER: {"CPU": 4.0}}, [f"node_{HEAD}", f"node_{WORKER}"])
    with pytest.raises(UserError, match="start Ray here with --num-cpus=1"):
        asked(1)
