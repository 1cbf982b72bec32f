"""How much memory a sweep's trials need, before anything is loaded: what is certain, and what is predicted."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from upath import UPath

from gelo.models.adapt import AdaptationSpec
from gelo.models.backbones.containers import size_of
from gelo.models.backbones.geometry import geometry, text_geometry
from gelo.models.backbones.registry import resolve
from gelo.models.faults import Fault, UserError
from gelo.models.training.footprint import IMPORTS, SPARE, Plan, Where
from gelo.models.untrusted import read_json
from gelo.models.words import bytes_told, counted
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.tasks.ledger.trial import Trial, described

MARGIN = 1.2  # a prediction may be a fifth too high: what is refused does not fit even then
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_CARD = "import torch; print(min(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())))"


def give_back() -> None:
    """Give the system what this process has freed. glibc keeps it: over 500 trials, each pass of encoders in other threads, a driver
    grew by a third though it held nothing more."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library has no such function, and no such habit
        ctypes.CDLL(None).malloc_trim(0)


def of_machine() -> int:
    """Bytes that this machine has, or that its container may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):  # another version of cgroups, or no limit
            continue
    return total


def of_card() -> int | None:
    """Free bytes of the fullest card of this machine, asked by a process of its own, which leaves nothing on it; None without one."""
    done = subprocess.run([sys.executable, "-c", _CARD], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else None


def plan_of(trial: Trial, resources: Resources, classes: int) -> Plan | None:
    """Of a trial that trains; None for one that does not, or whose tower has a size that is not known here."""
    size = geometry(trial.backbone)
    if size is None or trial.training is None or not trial.trains:
        return None
    where: Where = "cuda" if resources.gpus else "cpu"
    sample = float(getattr(trial.head, "sample", 1.0))
    text = text_geometry(trial.backbone) if trial.adaptation.both else None
    return Plan(size, trial.adaptation, trial.training, classes, sample, where, resources.ranks, text)


def memory_faults(spec: SweepSpec, cpus: int, total: int) -> list[Fault]:
    """Why `total` bytes cannot hold what is certain: the weights of every backbone where the sweep is led, and for each trial that trains
    at once those of its own, twice where a whole vision tower moves (its gradients and AdamW's two moments are more than a CLIP's file
    again), four times where the text tower moves whole too. Activations come on top. [] where it may fit; a file that is missing is
    another fault's matter.
    """
    sizes = {}
    for name in dict.fromkeys(spec.backbones):
        try:
            given = spec.weights.get(name)
            sizes[name] = size_of(resolve(name).weights_path(Path(given) if given else None))
        except (OSError, UserError):
            continue
    held = sum(sizes.values())
    trained = [sizes.get(trial.backbone, 0) * _times(trial.adaptation) for trial in spec.possible() if trial.trains]
    ranks = spec.resources.ranks  # each holds weights of its own
    at_once = min(len(trained), max(1, cpus // (spec.resources.cpus * ranks)))
    needed = held + ranks * sum(sorted(trained, reverse=True)[:at_once])
    if needed <= total:
        return []
    expected = f"{bytes_told(needed)} at the least, with {counted(at_once, 'trial')} training at once"
    remedy = "raise resources.cpus, so that fewer train at once, or take a machine with more memory"
    return [Fault("memory", f"{bytes_told(total)} on this machine", expected, remedy)]


def _times(adaptation: AdaptationSpec) -> int:
    """How often a trial holds the file of its backbone at the least."""
    if adaptation.kind not in ("full", "lp_ft"):
        return 1
    return 4 if adaptation.both else 2


def batch_faults(spec: SweepSpec, cpus: int, total: float, classes: Callable[[str], int]) -> list[Fault]:
    """Trials whose batch `total` bytes cannot hold by what is predicted, each with what would fit: on a card, or on this machine, where as
    many train at once as it has CPUs for. classes: of a data set's head, 0 where not known."""
    trials = [trial for trial in spec.possible() if trial.trains]
    on_card = spec.resources.gpus > 0
    ranks = spec.resources.ranks
    at_once = 1 if on_card else max(1, min(len(trials), cpus // (spec.resources.cpus * ranks)))
    shared = 0.0 if on_card else SPARE * IMPORTS  # the programs' pages are there once, whoever runs them
    held = (
        0.0
        if on_card
        else sum(4.0 * (size.vision + size.text) for name in {*spec.backbones} if (size := geometry(name)))
    )
    processes = 1 if on_card else at_once * ranks
    room = (total * min(1.0, spec.resources.gpus or 1.0) - held - shared) / processes + shared
    which = (
        "a card"
        if on_card
        else f"this machine, with {counted(at_once, 'trial')}{f' of {ranks} ranks' if ranks > 1 else ''} at once"
    )
    found: dict[Fault, None] = {}
    for trial in trials:
        assert trial.training is not None
        plan = plan_of(trial, spec.resources, classes(trial.training.data))
        if plan is not None and plan.footprint().peak > MARGIN * room:
            where = f"batch of {trial.backbone} {trial.task} {trial.adaptation.kind}"
            found[Fault(where, _takes(plan), f"at most {bytes_told(room)} ({which})", _advice(plan, room))] = None
    return list(found)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a card or of the machine was short. Of the machine's torch says a RuntimeError, the system an OSError."""
    import torch

    short = getattr(error, "errno", None) == errno.ENOMEM or "DefaultCPUAllocator" in str(error)
    return short or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)


def out_of_memory(error: BaseException, config: Mapping[str, Any]) -> str:
    """The failure of a trial that ran out of memory, with what would have fitted. config: of the trial in Tune: root, key, gpus, ranks."""
    told = (str(error).strip().splitlines() or ["out of memory"])[0]
    place = UPath(config["root"]) / "trials" / config["key"]
    trial = described(read_json(place / "trial.json"), str(place))
    gpus = float(config["gpus"]) * int(config.get("ranks", 1))
    plan = plan_of(trial, Resources(cpus=1, gpus=gpus if gpus <= 1 else float(int(gpus))), 0)
    if plan is None:
        return f"{told}; take a smaller batch, or accumulate"
    room = float(of_machine())
    if plan.where == "cuda":
        import torch

        room = torch.cuda.get_device_properties(0).total_memory * min(1.0, gpus)
    room = min(room, plan.footprint().peak / MARGIN)  # it did not fit: what is advised takes a fifth less at the least
    return f"{told}; predicted are {_takes(plan)} without the head; {_advice(plan, room)}"


def _takes(plan: Plan) -> str:
    return f"{bytes_told(plan.footprint().peak)} with {counted(plan.micro, 'image')} going through at once"


def _advice(plan: Plan, room: float) -> str:
    options = plan.remedies(room)
    if not options:
        return "nothing of batch, accumulate and checkpointing brings it below that: take a larger one"
    return f"what fits: {', or '.join(options)}"
