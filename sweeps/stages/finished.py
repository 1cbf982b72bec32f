"""Of one trial of a sweep whose remedy acts after training: what it needs is looked up, and what went wrong is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.sweeps.stages import finish as stage
from gelo.sweeps.stages.data import found_in
from gelo.sweeps.stages.train import sources_of
from gelo.sweeps.stages.watch import eye_of, validated
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial


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
