"""Where a sweep stands, from its folders alone; and what this machine has."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gelo.models import durable
from gelo.models.faults import UserError
from gelo.models.words import counted
from gelo.sweeps.stages.embed import Known, pairs_of, stale
from gelo.sweeps.state.cuts import cut_of
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.sweeps.terminal.listing import Listing
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.ledger.owed import owed
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.protocols import PROTOCOLS

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "peft", "ray", "mlflow", "scikit-learn", "pyarrow", "numpy")


def standing(folder: SweepFolder) -> list[dict[str, Any]]:
    """One row a trial: key, label, state (waiting, half-trained, trained, stale, complete, failed, diverged, cut), results there and
    expected, note. cut: a scheduler ended it, or what it is made of, at the step that `note` says (docs/searches.md).

    Only results of the data, weights and protocols of now are there; stale: others are, and will be scored again. What is not on this
    machine (data elsewhere) cannot be compared and counts as unchanged.
    """
    spec = folder.spec()
    data = Path(folder.read()["settings"]["data"])
    pairs = pairs_of(spec, data)
    fingerprints = {name: _fingerprint(data / name) for name, _ in pairs}
    bases = folder.bases()
    rows, trials = [], spec.trials()
    labels = Trial.labels(trials)
    for trial in trials:
        place = folder.trial(trial)
        found, old, wanted = _results(trial, place, pairs, fingerprints, bases)
        failures = (folder.trial(each).failure() for each in (trial, *trial.made_of))
        failure = next((each for each in failures if each is not None), None)
        note = _in_a_line(failure["error"]) if failure else ""
        if found == wanted:
            state = "complete"
        elif (cut := cut_of(trial, folder)) is not None:
            state, note = "cut", cut.told
        elif failure:
            state = "diverged" if failure["kind"] == "diverged" else "failed"
        elif not trial.tuned or place.is_trained():
            state = "stale" if old else "trained" if trial.tuned else "waiting"
            note = f"{counted(len(old), 'result')} to score again: {next(iter(old.values()))}" if old else note
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
                "label": labels[trial.key],
                "state": state,
                "results": found,
                "expected": wanted,
                "note": note,
            }
        )
    return rows


def _results(
    trial: Trial,
    place: TrialFolder,
    pairs: Sequence[tuple[str, str]],
    fingerprints: Mapping[str, str | None],
    bases: Mapping[str, tuple[str, str]],
) -> tuple[int, dict[str, str], int]:
    """(current results, what each stale one is of, results that the trial owes)."""
    made = place.training()
    vision, text = bases.get(trial.backbone, (None, None))
    found, wanted, old = 0, 0, dict[str, str]()
    for suite, name, protocol in owed(pairs, trial.task):
        wanted += 1
        declared, result = PROTOCOLS[protocol], place.result(suite, name)
        if result is None:
            continue
        own = made.get("detector" if suite == declared.detector else "vision") if trial.tuned else vision
        why = stale(result, declared, Known(fingerprints[name], own, made.get("text", text)))
        if why:
            old[f"{suite}/{name}"] = f"{suite}/{name} ({why})"
        else:
            found += 1
    return found, old, wanted


def _in_a_line(error: str) -> str:
    """The first fault of a UserError's text, whose head names the trial again and counts them; else the first line."""
    head, *faults = error.splitlines() or [""]
    return faults[0].strip() if faults and head.endswith((" fault", " faults")) else head


def _fingerprint(root: Path) -> str | None:
    try:
        return open_dataset(root).fingerprint
    except UserError:
        return None


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


def machine_table(facts: dict[str, Any]) -> Listing:
    """The facts of `machine` for a terminal."""
    table = Listing("this machine", ("what", "here"))
    for key, value in facts.items():
        table.add(key, str(value))
    return table
