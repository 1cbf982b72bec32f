"""What a trained trial is of must be what there is now: weights, data, and the code of the training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.faults import Fault, UserError
from sweeps.folder import SweepFolder
from sweeps.trial import Trial


def refuse_others(
    folder: SweepFolder,
    trials: Sequence[Trial],
    labels: Mapping[str, str],
    key: str,
    what: str,
    now: Callable[[Trial], str | None],
) -> None:
    """Raise UserError naming every trained trial, merged ones and their sources included, whose training.json has another `key` than
    `now` gives, and both values. An older gelo's file that lacks the key, or None from `now`, cannot be told and passes.

    labels: how messages call a trial, by key; what: what the value is of.
    """
    faults = []
    for trial in {each.key: each for one in trials for each in (one, one.source)}.values():
        made, wanted = folder.trial(trial).training().get(key), now(trial)
        if made is not None and wanted is not None and made != wanted:
            label, remedy = labels.get(trial.key, trial.label), "bring the old one back, or give the sweep a new name"
            faults.append(Fault(label, f"trained with {what} {made}", f"{wanted}, as it is now", remedy))
    if faults:
        raise UserError(f"sweep {folder.name}", faults)
