"""The Ray cluster of a run: one of its own on this machine, or an existing one; and what several machines must share."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path

from upath import UPath

from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.models.words import counted
from gelo.sweeps.engine.alive import SILENT, gone, last_words, of_a_dead_machine, watch
from gelo.sweeps.engine.signals import install
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.terminal.progress import Display, waiting

_LATE = "run it again when this machine is less busy; Ray's logs are in /tmp/ray/session_latest/logs"

# Ray would end the program after a minute without its head, and not say how to go on: `watch` does. It reads this when it is imported.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(int(10 * SILENT)))


def _lock() -> None:
    """Ray listens on every address of the machine: only who has the token of this process, which is in no file, may enter. A user's
    RAY_AUTH_MODE stays.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")  # Ray reads both when it is imported, which may have been long before
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def started(address: str, cpus: int | None, display: Display, resume: str) -> Iterator[None]:
    """Connect, or start a cluster of this machine (`address` "local": a killed one's leftover address is never asked). Raises UserError.

    When Ray is gone while the block runs the program ends, with exit code 1 and the line to `resume`: Ray's own calls wait on.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    if address == "local":
        _lock()
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    # Ray puts the working folder first on its workers' path, where a user's own `models` would be taken for gelo's; they are started in
    # it, so it stays as long as they do.
    empty = tempfile.TemporaryDirectory(prefix="gelo-ray-")
    what = "Ray to start" if address == "local" else f"Ray to answer at {address}"
    try:
        _must_answer(address)
        with waiting(what, display.say), chdir(empty.name):
            if address == "local":
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        install()  # Ray sets a handler of its own
    except Exception as error:  # Ray's own, and plain ones when it does not start in time
        fault = Fault(
            f"--address {address}",
            (str(error).strip() or type(error).__name__).splitlines()[0],
            "a running Ray cluster",
            _LATE if address == "local" else "start one with `ray up cluster.yaml`",
        )
        raise UserError("cluster", fault) from None
    total = ray.cluster_resources()
    display.say(
        f"Ray {ray.__version__}: {counted(len(ray.nodes()), 'node')}, {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"
    )
    over = threading.Event()
    try:
        with last_words(resume) as told_so:
            threading.Thread(target=watch, args=(over, display, resume, told_so), daemon=True).start()
            yield
    except Exception as error:
        if not of_a_dead_machine(error):
            raise
        display.say(gone(resume))
        raise SystemExit(1) from None
    finally:
        over.set()
        ray.shutdown()
        empty.cleanup()


def _must_answer(address: str) -> None:
    """Raise OSError when nothing listens at HOST:PORT, and ValueError for what is no such address: Ray itself would wait for minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("no address: auto on the cluster's head, or HOST:PORT")
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


def must_grant(resources: Resources, address: str, display: Display) -> None:
    """Refuse a trial that no machine of the cluster has room for (one of several ranks: that all together have not), and a driver without
    a CPU to score on. Raises UserError.

    Where machines come when they are asked for, or nothing tells whether they do, what is waited for is said instead.
    """
    import ray

    nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    faults = []
    if nodes.get(ray.get_runtime_context().get_node_id(), {}).get("CPU", 0) < 1:
        found, remedy = "Ray has no CPU of this machine", "start Ray here with --num-cpus=1 or more"
        faults.append(Fault(f"--address {address}", found, "one to score on, where the cache is", remedy))
    cpus, gpus, ranks = resources.cpus, resources.gpus_of_a_rank, resources.ranks
    room = room_of(resources)
    if room < ranks:
        one = counted(cpus, "CPU") + (f" and {gpus:g} GPU" if gpus else "")
        most: dict[str, float] = max(
            nodes.values(), key=lambda node: (node.get("GPU", 0) if gpus else 0, node.get("CPU", 0)), default={}
        )
        found = f"at most {most.get('CPU', 0):g} CPUs" + (f" and {most.get('GPU', 0):g} GPU" if gpus else "")
        found, asked = f"{found} on one machine", one
        if ranks > 1:
            found, asked = f"{found}, room for {counted(room, 'rank')} in all", f"{ranks} ranks of {one}"
        if address == "local" or _is_fixed(set(nodes)):
            remedy = f"set resources.cpus{', workers' if ranks > 1 else ''} and resources.gpus to what there is"
            faults.append(Fault("resources", found, f"{asked}, which one trial asks for", remedy))
        else:
            display.say(f"a trial asks for {asked}, and there are {found}: waiting for another to come")
    if faults:
        raise UserError("cluster", faults)


def room_of(resources: Resources) -> int:
    """How many ranks of trials the machines that are there now have room for, if nothing else runs."""
    import ray

    alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return sum(_room(node, resources.cpus, resources.gpus_of_a_rank) for node in alive)


def _room(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """How many processes that need so much a machine has room for."""
    by_cpus = int(node.get("CPU", 0) // cpus)
    return min(by_cpus, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpus


def _is_fixed(nodes: set[str]) -> bool:
    """Whether no machine will ever come: Ray's monitor then names each one's kind after the machine itself."""
    from ray.experimental import internal_kv

    try:
        said = json.loads(internal_kv._internal_kv_get(b"__autoscaling_status") or b"{}")
        kinds = {*said["autoscaler_report"]["active_nodes"], *(said["autoscaler_report"].get("idle_nodes") or ())}
    except (ValueError, KeyError, TypeError):
        return False
    return kinds <= {f"node_{node}" for node in nodes}


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
