"""What each machine of a cluster sees and can do, looked at from the machine itself, and what keeps them from running a sweep together."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.models.faults import Fault, UserError
from gelo.models.secrets import redacted
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.terminal.listing import Listing

_PACKAGES = ("gelo-sweeps", "ray", "torch", "mlflow", "numpy", "pillow", "pyarrow", "open_clip_torch")
_IMAGES = 32  # through the encoder, whose time is that of one
_APART = 60.0  # seconds between two clocks: what is dated by one of them would be wrong by so much
_OF_A_CARD = 0.01
_ROOM = 20.0  # GB free below the cache


@dataclass(frozen=True)
class Asked:
    """What every machine is to look at. datasets: names below the settings' `data`; weights: file by backbone, "" for gelo's own."""

    settings: dict[str, Any]
    datasets: tuple[str, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What one machine saw. clock: seconds since 1970 when it was asked; free: GB below the cache; encode: ms an image, by backbone.

    fingerprints: of data sets and weights, by name. faults: what it could not do, each (where, found).
    """

    node: str
    host: str
    clock: float
    versions: dict[str, str]
    cpus: int
    gpus: tuple[str, ...]
    free: float
    encode: dict[str, float]
    fingerprints: dict[str, str]
    faults: tuple[tuple[str, str], ...] = ()

    def told(self) -> dict[str, Any]:
        return asdict(self)


def look(asked: Asked, node: str) -> Seen:
    """See `Seen`; run on the machine itself. Nothing is raised: what fails is a fault."""
    clock, faults = time.time(), list[tuple[str, str]]()
    settings = Settings(**asked.settings)
    for where, trial in (
        (f"--storage {settings.storage}", lambda: _write(settings.place())),
        (f"--cache {settings.cache}", lambda: _write(UPath(Path(settings.cache).absolute()))),
        (f"--tracking {settings.tracking}", lambda: _asks(settings.tracking)),
    ):
        try:
            trial()
        except UserError as error:
            faults += [(where, fault.found) for fault in error.faults]
        except Exception as error:  # whatever a store's library raises
            faults.append((where, _first(error)))
    found: dict[str, str] = {}
    for name in asked.datasets:
        try:
            found[f"data set {name}"] = _fingerprint(Path(settings.data), name)
        except UserError as error:
            faults += [(f"data set {name}", fault.found) for fault in error.faults]
    encode: dict[str, float] = {}
    for name, given in asked.weights.items():
        try:
            encode[name], found[f"weights of {name}"] = _encoded(name, Path(given) if given else None)
        except UserError as error:
            faults += [(f"weights of {name}", fault.found) for fault in error.faults]
        except OSError as error:
            faults.append((f"weights of {name}", _first(error)))
    return Seen(
        node, socket.gethostname(), clock, _versions(), len(os.sched_getaffinity(0)), _gpus(), _free(Path(settings.cache)), encode,
        found, tuple(faults),
    )  # fmt: skip


def everywhere(asked: Asked) -> tuple[list[Seen], list[Fault]]:
    """Of each machine of the cluster that this process is connected to, by address; and one fault for each that gave no answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(look)
    waiting = {}
    for node in (each for each in ray.nodes() if each["Alive"]):
        address, place = str(node["NodeManagerAddress"]), NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        card = _OF_A_CARD if node["Resources"].get("GPU") else 0  # else it would see none
        name = f"{address}:{node['NodeManagerPort']}"  # several may share an address
        waiting[name] = task.options(scheduling_strategy=place, num_gpus=card).remote(asked, name)
    seen, faults = [], []
    for address, answer in sorted(waiting.items()):
        try:
            seen.append(ray.get(answer, timeout=600))
        except Exception as error:  # a worker that cannot start, another gelo, no answer
            faults.append(
                Fault(address, _first(error), "an answer", "gelo and its releases as on the head (docs/cluster.md)")
            )
    return seen, faults + list(doubts(seen))


def doubts(seen: Sequence[Seen]) -> Iterator[Fault]:
    """What the machines could not do, and in what they differ though they must not."""
    said: dict[tuple[str, str], list[str]] = {}
    for each in seen:
        for fault in each.faults:
            said.setdefault(fault, []).append(each.node)
    for (where, found), nodes in said.items():
        yield Fault(where, found, "the same on every machine", f"from {', '.join(nodes)}")
    for title, remedy in (
        ("versions", "one image, or pip install -c constraints.txt"),
        ("fingerprints", "one copy for all"),
    ):
        names = dict.fromkeys(name for each in seen for name in getattr(each, title))
        for name in names:
            by_node = {each.node: getattr(each, title)[name] for each in seen if name in getattr(each, title)}
            if len(set(by_node.values())) > 1:
                usual = Counter(by_node.values()).most_common(1)[0][0]
                odd = ", ".join(f"{value} on {node}" for node, value in by_node.items() if value != usual)
                yield Fault(name, odd, f"{usual}, as on the others", remedy)
    clocks = [each.clock for each in seen]
    if clocks and max(clocks) - min(clocks) > _APART:
        late = min(seen, key=lambda each: each.clock)
        found = f"{max(clocks) - min(clocks):.0f} s behind the first clock"
        yield Fault(f"clock of {late.node}", found, f"clocks within {_APART:.0f} s", "chrony or ntpd on every machine")
    for each in seen:
        if each.free < _ROOM:
            yield Fault(
                f"disk of {each.node}",
                f"{each.free:.0f} GB free below the cache",
                f"{_ROOM:.0f} GB",
                "a larger disk, or --cache elsewhere",
            )


def listing(seen: Sequence[Seen]) -> Listing:
    """A row a machine."""
    headings = ("machine", "host", "CPUs", "GPUs", "GB free", "ms an image")
    table = Listing("the cluster", headings, right=("CPUs", "GB free"))
    for each in seen:
        encode = ", ".join(f"{name} {taken:.1f}" for name, taken in each.encode.items())
        table.add(
            each.node, each.host, str(each.cpus), ", ".join(each.gpus) or "none", f"{each.free:.0f}", encode or "?"
        )
    return table


def _write(place: UPath) -> None:
    """Write, read, publish whole, remove. Raises what the store does, UserError where what is read is not what was written."""
    name, content = f".gelo-doctor-{uuid.uuid4().hex}", os.urandom(64)
    place.mkdir(parents=True, exist_ok=True)
    publish_bytes(place / name, content)
    try:
        if (place / name).read_bytes() != content:
            raise UserError("doctor", Fault(str(place), "other bytes than were written", "what was written"))
    finally:
        (place / name).unlink()


def _asks(tracking: str) -> None:
    from gelo.sweeps.tracking.store import SQLITE, must_answer, resolve_uri

    address = resolve_uri(tracking)
    if not address.startswith(SQLITE):
        must_answer(address)


def _fingerprint(data: Path, name: str) -> str:
    from gelo.tasks.data.catalogue import entry_of, locate

    if not (data / name / "dataset.json").exists() and entry_of(name, data).builder:
        return "drawn when it is needed"
    return locate(name, data).fingerprint


def _encoded(name: str, weights: Path | None) -> tuple[float, str]:
    """(ms an image at its best of three, fingerprint of the vision tower), on a GPU where this machine has one."""
    import numpy as np
    import torch

    from gelo.models.backbones.zoo import load_backbone

    encoder = load_backbone(name, weights, "cuda" if torch.cuda.is_available() else "cpu")
    size = encoder.transform.size
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, size, size, 3), dtype=np.uint8)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        encoder.encode_images(images)
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken) / _IMAGES, encoder.vision_fingerprint


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def _gpus() -> tuple[str, ...]:
    import torch

    return tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))


def _free(place: Path) -> float:
    there = next(
        (each for each in (place.absolute(), *place.absolute().parents) if each.exists()), Path(tempfile.gettempdir())
    )
    return shutil.disk_usage(there).free / 1e9


def _first(error: Exception) -> str:
    lines = [line.strip() for line in redacted(str(error)).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
