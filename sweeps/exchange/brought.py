"""Imported encoders of a sweep: copied into its folder before anything runs, from where they are read as any trained trial's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from gelo.models.adapt import Imported
from gelo.models.durable import DONE, is_done, publish_folder
from gelo.models.faults import Fault, UserError
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.trial import Trial


def bring_in(trials: Sequence[Trial], folder: SweepFolder) -> None:
    """Publish `trained/` of every imported trial that the sweep does not have yet. Raises UserError naming every one that is gone."""
    faults = []
    for trial in trials:
        place = folder.trial(trial)
        if not isinstance(trial.adaptation, Imported) or place.is_trained():
            continue
        source = Path(trial.adaptation.path) / "trained"
        if not is_done(source):
            fault = Fault(str(source), "missing", f"the encoder {trial.adaptation.name}", "gelo import it there again")
            faults.append(fault)
            continue
        with publish_folder(place.trained, summed=True) as copy:
            for file in source.iterdir():
                if file.name != DONE:
                    shutil.copyfile(file, copy / file.name)
    if faults:
        raise UserError(f"sweep {folder.name}", faults)
