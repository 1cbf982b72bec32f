"""Where a sweep stands, from its folders alone; and what this machine has."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models import durable
from sweeps.evaluate import protocols_of
from sweeps.folder import SweepFolder
from sweeps.listing import Listing
from tasks.suites import WIRING
from tasks.training import TASKS

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "peft", "ray", "mlflow", "scikit-learn", "pyarrow", "numpy")


def standing(folder: SweepFolder) -> list[dict[str, Any]]:
    """One row a trial: key, label, state (waiting, half-trained, trained, complete, failed), results there and expected, note."""
    spec = folder.spec()
    data = Path(folder.read()["settings"]["data"])
    pairs = protocols_of(spec.collection, spec.evaluate, data, spec.also)
    rows = []
    for trial in spec.trials():
        place = folder.trial(trial)
        task = TASKS.get(trial.task)
        wanted = [
            (suite, name)
            for name, protocol in pairs
            for suite in (
                *WIRING[protocol].suites,
                *([WIRING[protocol].detector] if task and task.suite == WIRING[protocol].detector else []),
            )
        ]
        there = sum((place.root / "results" / suite / f"{name}.json").exists() for suite, name in wanted)
        failure = place.failure()
        note = failure["error"].splitlines()[0] if failure else ""
        if there == len(wanted):
            state = "complete"
        elif failure:
            state = "failed"
        elif trial.training is None or place.is_trained():
            state = "trained" if trial.training else "waiting"
        else:
            saved = (
                [e.name for e in place.checkpoints.iterdir() if durable.is_done(e)]
                if place.checkpoints.exists()
                else []
            )
            state, note = ("half-trained", max(saved)) if saved else ("waiting", note)
        rows.append(
            {
                "key": trial.key,
                "label": trial.label,
                "state": state,
                "results": there,
                "expected": len(wanted),
                "note": note,
            }
        )
    return rows


def machine() -> dict[str, Any]:
    """CPUs, memory, GPUs, free disk and the versions of what numbers depend on."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts = {
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "gpus": ", ".join(gpus) or "none",
        "free disk here": f"{shutil.disk_usage('.').free / 2**30:.0f} GiB",
    }
    return facts | {name: version(name) for name in _PACKAGES}


def status_table(name: str, rows: list[dict[str, Any]]) -> Listing:
    """The rows of `standing` for a terminal."""
    table = Listing(f"sweep {name}", ("key", "trial", "state", "results", "note"))
    for row in rows:
        table.add(row["key"], row["label"], row["state"], f"{row['results']} of {row['expected']}", row["note"])
    return table


def machine_table(facts: dict[str, Any]) -> Listing:
    """The facts of `machine` for a terminal."""
    table = Listing("this machine", ("what", "here"))
    for key, value in facts.items():
        table.add(key, str(value))
    return table
