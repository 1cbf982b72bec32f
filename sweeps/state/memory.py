"""How much memory a sweep needs at the very least, before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from gelo.models.backbones.containers import size_of
from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.models.words import counted
from gelo.sweeps.spec.sweep import SweepSpec

_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def of_machine() -> int:
    """Bytes that this machine has, or that its container may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):  # another version of cgroups, or no limit
            continue
    return total


def memory_faults(spec: SweepSpec, cpus: int, total: int) -> list[Fault]:
    """Why `total` bytes cannot hold what is certain: the weights of every backbone where the sweep is led, and for each trial that trains
    at once those of its own, twice where a whole vision tower moves (its gradients and AdamW's two moments are more than a CLIP's file
    again). Activations come on top. [] where it may fit; a file that is missing is another fault's matter.
    """
    sizes = {}
    for name in dict.fromkeys(spec.backbones):
        try:
            given = spec.weights.get(name)
            sizes[name] = size_of(resolve(name).weights_path(Path(given) if given else None))
        except (OSError, UserError):
            continue
    held = sum(sizes.values())
    trained = [
        sizes.get(trial.backbone, 0) * (2 if trial.adaptation.kind == "full" else 1)
        for trial in spec.trials()
        if trial.trains
    ]
    ranks = spec.resources.ranks  # each holds weights of its own
    at_once = min(len(trained), max(1, cpus // (spec.resources.cpus * ranks)))
    needed = held + ranks * sum(sorted(trained, reverse=True)[:at_once])
    if needed <= total:
        return []
    expected = f"{needed / 1e9:,.1f} GB at the least, with {counted(at_once, 'trial')} training at once"
    remedy = "raise resources.cpus, so that fewer train at once, or take a machine with more memory"
    return [Fault("memory", f"{total / 1e9:,.1f} GB on this machine", expected, remedy)]
