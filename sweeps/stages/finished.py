"""Trials of a sweep whose remedy acts after training: what each needs is looked up, and what went wrong is told.

Decisions: where a sweep is granted GPUs, or has other machines, they are made there, with a rank's resources each, several at once. On one
machine without, the first is made here and timed, and processes take over what would need more than a minute: each takes seconds to start.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from upath import UPath

from gelo.models.encoder import Encoder
from gelo.models.faults import UserError, cannot_write, pass_interrupt
from gelo.models.storage.away import StorageAwayError
from gelo.models.training.peak import forget
from gelo.models.words import counted
from gelo.sweeps.engine.errands import errands
from gelo.sweeps.engine.failures import Loss
from gelo.sweeps.engine.orders import StopFlag
from gelo.sweeps.spec.resources import Resources
from gelo.sweeps.stages import finish as stage
from gelo.sweeps.stages.data import found_in
from gelo.sweeps.stages.rank import base_of
from gelo.sweeps.stages.train import sources_of
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.lease import follow
from gelo.sweeps.state.memory import is_out_of_memory
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.catalogue import locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.stream import PATIENCE, alone
from gelo.tasks.ledger.trial import Trial

Failure = Mapping[str, str] | None


@dataclass(frozen=True)
class Workbench:
    """What trials are made of, as one process has it. bases: by backbone; datasets: those that are whole; general: sets to look at."""

    folder: SweepFolder
    bases: Mapping[str, Encoder]
    datasets: Mapping[str, Dataset]
    general: Sequence[str]
    cache: Path


def finish_all(
    wave: Sequence[Trial],
    labels: Mapping[str, str],
    here: Workbench,
    resources: Resources,
    given: Mapping[str, Any],
    stop: StopFlag,
    keep: Callable[[Trial, Failure], None],
    display: Display,
) -> None:
    """Make those of a wave that are made of others, where these are all trained; keep: takes each one's failure, None where it has none.

    given: what any process of the cluster needs to know, as trainings are given it. A stage of its own: a merge looks at its validation
    images at each setting on its way, which takes seconds. Raises OSError (storage).
    """
    ready = [trial for trial in wave if _is_ready(trial, here.folder)]
    if not ready:
        return

    def said(trial: Trial, line: str) -> None:
        display.say(escape(f"lost {labels[trial.key]}: {line}"))

    with display.stage("finish", len(ready), "trials") as stage:
        config = {"root": str(here.folder.root), "cpus": resources.cpus, "gpus": resources.gpus_of_a_rank, **given}
        config["whole"] = sorted(here.datasets)
        done, slowest = 0, 0.0
        while done < len(ready) and not resources.gpus and (len(ready) == 1 or alone()):
            if slowest * (len(ready) - done) > PATIENCE:
                break
            began, trial = time.monotonic(), ready[done]
            stage.describe(labels[trial.key])
            keep(trial, _made_here(trial, here, resources.cpus))
            stage.tick()
            done, slowest = done + 1, max(slowest, time.monotonic() - began)
        if not (others := ready[done:]):
            return
        for trial in others:
            here.folder.trial(trial).shared()
        stage.describe(f"{counted(len(others), 'trial')} on the machines of the cluster")
        trainings = {
            each.key for trial in wave for each in trial.made_of
        }  # as many were found to fit beside each other
        for trial, end in errands(partial(made, config), others, resources, stop, said, len(trainings)):
            keep(trial, end.failure() if isinstance(end, Loss) else end)
            stage.tick()


def _is_ready(trial: Trial, folder: SweepFolder) -> bool:
    if trial.training is None or trial.trains or folder.trial(trial).is_trained():
        return False
    return all(folder.trial(each).is_trained() for each in trial.made_of)


def _made_here(trial: Trial, here: Workbench, cpus: int) -> Failure:
    """In this process, with as many threads as another would have: a sum in another order is rounded differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(cpus)
    try:
        return finish(trial, here)
    except Exception as error:  # of a remedy's own code: the others are made all the same
        pass_interrupt(error)
        if isinstance(error, StorageAwayError) or cannot_write(error):
            raise
        return {"kind": "fault", "error": traceback.format_exc().strip()[-4000:]}
    finally:
        torch.set_num_threads(before)


def made(config: Mapping[str, Any], trial: Trial) -> Failure:
    """`finish` in any process of the cluster. config: as of a training, and `whole`, the data sets that are."""
    torch.set_num_threads(config["cpus"])
    forget()  # of the trial before
    root, device = UPath(config["root"]), "cuda" if config["gpus"] else "cpu"
    follow(root, config["lead"])
    datasets: dict[str, Dataset] = {}
    for name in config["whole"]:
        with suppress(UserError):  # what needs it says so
            datasets[name] = locate(name, Path(config["data"]))
    folder = SweepFolder(root.parent, root.name)
    try:
        base = base_of(trial.backbone, config["weights"].get(trial.backbone), device)
    except Exception as error:
        return _told(error)
    return finish(trial, Workbench(folder, {trial.backbone: base}, datasets, config["general"], Path(config["cache"])))


def finish(trial: Trial, bench: Workbench) -> Failure:
    """Make the trial from what others trained; the failure where that cannot be."""
    find = partial(found_in, bench.datasets)
    base = bench.bases[trial.backbone]
    try:
        sources = sources_of(trial, find, base.transform, bench.cache)
        own = bench.datasets.get(trial.learnt_from[0][0])
        score = validated(trial, base, find)
        look = partial(eye_of, trial, base, bench.general, find, bench.cache)
        places = (bench.folder.trial, sources)
        stage.finish(trial, base, *places, dataset=own, cache=bench.cache, validated=score, look=look)
    except Exception as error:
        return _told(error)
    return None


def _told(error: Exception) -> Failure:
    """Of what trying again cannot mend; raises what it might."""
    if isinstance(error, UserError):
        return {"kind": "user", "error": str(error)}
    if is_out_of_memory(error):
        return {"kind": "out of memory", "error": str(error).strip() or "out of memory"}
    raise error
