"""What a trained trial is of must be what there is now: weights, data, and the code of the training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gelo.models.faults import Fault, UserError
from gelo.sweeps.state.folder import SweepFolder
from gelo.tasks.ledger.trial import Trial

_NAMES = {
    "base": "weights",
    "base text": "text tower",
    "data": "data",
    "step": "version of the training step",
}  # keys of training.json


def refuse_others(
    folder: SweepFolder, trials: Sequence[Trial], labels: Mapping[str, str], now: Callable[[Trial], Mapping[str, str]]
) -> None:
    """Raise UserError naming every trained trial, merged ones and their sources included, whose training.json says something else than
    `now`, and both values. What an older gelo's file or `now` lacks cannot be told and passes.

    labels: how messages call a trial, by key; now: what `base`, `data`, `step` and the images of its remedy are of here.
    """
    faults = []
    for trial in {each.key: each for one in trials for each in (one, *one.made_of)}.values():
        made = folder.trial(trial).training()
        made |= {f"images of {name}": of for name, of in made.get("sources", {}).items()}
        made |= {f"watched {name}": of for name, of in made.get("watched", {}).items()}
        for key, value in now(trial).items() if made else ():
            if made.get(key, value) != value:
                label, remedy = (
                    labels.get(trial.key, trial.label),
                    "bring the old one back, or give the sweep a new name",
                )
                found = f"trained with {_NAMES.get(key, key)} {made[key]}"
                faults.append(Fault(label, found, f"{value}, as it is now", remedy))
    if faults:
        raise UserError(f"sweep {folder.name}", faults)
