"""The Ray cluster of a run: one of its own on this machine, or an existing one; and what several machines must share."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upath import UPath

from models.durable import is_local
from models.faults import Fault, UserError
from sweeps.progress import Display


@contextmanager
def started(address: str, cpus: int | None, display: Display) -> Iterator[None]:
    """Connect, or start a cluster of this machine (`address` "local": a killed one's leftover address is never asked). Raises UserError."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        _must_answer(address)
        if address == "local":
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        fault = Fault(
            f"--address {address}",
            str(error).strip().splitlines()[0],
            "a running Ray cluster",
            "start one with `ray up cluster.yaml`",
        )
        raise UserError("cluster", fault) from None
    total = ray.cluster_resources()
    display.say(
        f"Ray {ray.__version__}: {len(ray.nodes())} nodes, {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"
    )
    try:
        yield
    finally:
        ray.shutdown()


def _must_answer(address: str) -> None:
    """Raise OSError when nothing listens at HOST:PORT: Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def unshared(storage: UPath, tracking: str, data: str) -> None:
    """Refuse what only one machine of a cluster can see. A folder is asked for on every machine: a shared one passes. Raises UserError."""
    import ray

    nodes = {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    faults = []
    if tracking.startswith("sqlite:"):
        fault = Fault(
            "--tracking",
            "SQLite on a cluster of several machines",
            "an MLflow server",
            "--tracking http://HOST:5000 (docs/cluster.md)",
        )
        faults.append(fault)
    folders = {"--data": Path(data)} | ({"--storage": Path(str(storage))} if is_local(storage) else {})
    for option, folder in folders.items():
        blind = _blind(folder.absolute(), nodes)
        if blind:
            fix = "give a folder that all machines mount" + (", or s3:// or gs://" if option == "--storage" else "")
            faults.append(
                Fault(f"{option} {folder}", f"not seen from {', '.join(blind)}", "a place that every machine sees", fix)
            )
    if faults:
        raise UserError("cluster", faults)


def _blind(folder: Path, nodes: dict[str, str]) -> list[str]:
    """Addresses of the machines that do not see a file put into `folder` just now."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".gelo-{uuid.uuid4().hex}"
    probe.touch()
    try:
        look = ray.remote(num_cpus=0)(lambda path: Path(path).exists())
        seen = {
            address: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                str(probe)
            )
            for address, node in nodes.items()
        }
        return [address for address, answer in seen.items() if not ray.get(answer)]
    finally:
        probe.unlink()
