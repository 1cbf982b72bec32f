"""Trials of a sweep whose remedy acts after training: what each needs is looked up, and what went wrong is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.sweeps.stages import finish as stage
from gelo.sweeps.stages.data import found_in
from gelo.sweeps.stages.train import sources_of
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial


def finish_all(
    wave: Sequence[Trial],
    labels: Mapping[str, str],
    bases: Mapping[str, Encoder],
    folder: SweepFolder,
    datasets: Mapping[str, Dataset],
    general: Sequence[str],
    cache: Path,
    keep: Callable[[Trial, Mapping[str, str] | None], None],
    display: Display,
) -> None:
    """Make those of a wave that are made of others, where these are all trained; keep: takes each one's failure, None where it has none.

    A stage of its own: a merge looks at its validation images at each setting on its way, which takes seconds.
    """
    ready = [trial for trial in wave if _is_ready(trial, folder)]
    if ready:
        with display.stage("finish", len(ready), "trials") as stage:
            for trial in ready:
                stage.describe(labels[trial.key])
                keep(trial, finish(trial, bases[trial.backbone], folder, datasets, general, cache))
                stage.tick()


def _is_ready(trial: Trial, folder: SweepFolder) -> bool:
    if trial.training is None or trial.trains or folder.trial(trial).is_trained():
        return False
    return all(folder.trial(each).is_trained() for each in trial.made_of)


def finish(
    trial: Trial,
    base: Encoder,
    folder: SweepFolder,
    datasets: Mapping[str, Dataset],
    general: Sequence[str],
    cache: Path,
) -> dict[str, str] | None:
    """Make the trial from what others trained; the failure where that cannot be. datasets: those that are whole. general: sets to look
    at."""
    find = partial(found_in, datasets)
    try:
        sources = sources_of(trial, find, base.transform, cache)
        own, score = datasets.get(trial.learnt_from[0][0]), validated(trial, base, find)
        look = partial(eye_of, trial, base, general, find, cache)
        stage.finish(trial, base, folder.trial, sources, dataset=own, cache=cache, validated=score, look=look)
    except UserError as error:
        return {"kind": "user", "error": str(error)}
    return None
