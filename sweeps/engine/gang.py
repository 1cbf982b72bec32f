"""A trial of several ranks: the trial's own process is rank 0, its peers are actors in the placement group that Tune gave the trial.

Tune grants that group whole or not at all, and takes it back whole, peers included, however the trial ends. torch.distributed joins the
ranks: NCCL on GPUs, gloo on CPUs. Where ranks fail together, the failure that came first is raised, not "connection reset by peer".
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from gelo.models.training.world import World
from gelo.sweeps.engine.failures import raised_in
from gelo.sweeps.engine.joined import is_of_others, joined
from gelo.sweeps.spec.resources import Resources

_LOOK, _PATIENCE, _LEAVE = 1.0, 10.0, 60.0  # seconds
_TELL = 5.0  # seconds that peers have to say what went wrong with them


def bundles(resources: Resources, gpus: float | None = None) -> tune.PlacementGroupFactory:
    """What Tune reserves for one trial: a bundle for each rank, on as few machines as there is room on. gpus: of each rank, where it is
    not what `resources` says."""
    each = {"CPU": float(resources.cpus), "GPU": resources.gpus_of_a_rank if gpus is None else gpus}
    return tune.PlacementGroupFactory([each] * resources.ranks, strategy="PACK")


def nodes_of(size: int) -> set[str]:
    """Ids of the machines that a trial of so many ranks runs on; asked by its rank 0."""
    group = ray.util.get_current_placement_group()
    if size == 1 or group is None:
        return {ray.get_runtime_context().get_node_id()}
    return set(ray.util.placement_group_table(group)["bundles_to_node_id"].values())


class Peer:
    """A rank outside the trial's own process."""

    def ready(self) -> None:
        """Import what a rank needs: the ranks meet when all are here."""
        import gelo.sweeps.stages.rank  # noqa: F401

    def run(self, work: Callable[[World], object], rank: int, size: int, host: str, port: int, gpus: bool) -> None:
        """Its part of the trial, from meeting to parting."""
        with joined(rank, size, host, port, gpus) as world:
            work(world)


@contextmanager
def gang(size: int, cpus: int, gpus: float, work: Callable[[World], object]) -> Iterator[World]:
    """Rank 0's World, while `work` runs with theirs on the peers; one process needs none. cpus, gpus: of each rank.

    Raises what the block raises, or what went wrong with a peer where that came first.
    """
    if size == 1:
        yield World()
        return
    group = ray.util.get_current_placement_group()
    host = _host(ray.util.placement_group_table(group)["bundles_to_node_id"].values())
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus)(Peer)
    places = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank) for rank in range(1, size)]
    peers = [remote.options(scheduling_strategy=place).remote() for place in places]
    over, seen, jobs = threading.Event(), threading.Event(), []
    try:
        ray.get([peer.ready.remote() for peer in peers])
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as door:
            port = door.getsockname()[1]
            jobs = [peer.run.remote(work, rank, size, host, port, gpus > 0) for rank, peer in enumerate(peers, 1)]
            threading.Thread(target=_watch, args=(jobs, over, seen), daemon=True, name="peers").start()
            with joined(0, size, host, port, gpus > 0, door) as world:
                yield world
    except Exception as error:
        raise cause(error, jobs, seen.is_set()) from None
    finally:
        over.set()
        for peer in peers:
            ray.kill(peer)


def cause(own: Exception, jobs: Sequence[Any], seen: bool = False) -> Exception:
    """What went wrong first: rank 0's own error, unless that only says that a peer is gone, or a peer was `seen` to fail before; then the
    peers', a reason before a death."""
    if not (seen or is_of_others(own)):
        return own
    ended, _ = ray.wait(list(jobs), num_returns=len(jobs), timeout=_TELL) if jobs else ([], [])
    failures = [failure for failure in map(_failure, ended) if failure is not None and not is_of_others(failure)]
    failures.sort(key=lambda failure: isinstance(failure, ray.exceptions.RayError))
    return failures[0] if failures else own


def _failure(job: Any) -> Exception | None:
    """What ended a peer before its work was done."""
    try:
        ray.get(job)
    except ray.exceptions.RayTaskError as error:
        return raised_in(error)
    except Exception as error:
        return error
    return None


def _watch(jobs: Sequence[Any], over: threading.Event, seen: threading.Event) -> None:
    """Let rank 0 not wait for a peer that is gone: NCCL would for ever, gloo where the peer's machine went with it.

    First the group is aborted, so that rank 0 raises by itself; if that does not free it, its process ends, and Tune starts the trial
    again. What rank 0 computes from an aborted group is no one's: `seen` says so.
    """
    from torch.distributed import distributed_c10d

    while not over.wait(_LOOK):
        ended, _ = ray.wait(list(jobs), num_returns=len(jobs), timeout=0)
        if all(_failure(job) is None for job in ended):
            continue
        seen.set()
        if not over.wait(_PATIENCE) and distributed_c10d.is_initialized():
            distributed_c10d._abort_process_group()
        if not over.wait(_LEAVE):
            print("a peer of this trial is gone, and its rank 0 waits on: it ends", file=sys.stderr, flush=True)
            os._exit(1)
        return


def _host(nodes: Sequence[str]) -> str:
    """Where rank 0 listens: on loopback, unless a peer is on another machine."""
    wanted = set(nodes)
    addresses = {node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] in wanted}
    return "127.0.0.1" if len(addresses) == 1 else ray.util.get_node_ip_address()
