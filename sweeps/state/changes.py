"""What a saved sweep may become: it grows, and never changes."""

from __future__ import annotations

from gelo.models.faults import Fault, UserError
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.tasks.ledger.trial import Trial


def refuse_change(old: SweepSpec, new: SweepSpec) -> None:
    """A spec under a used name may add trials, suites and resources; taking one away or altering it is an error that shows both."""
    was, now = {t.key: t for t in old.trials()}, {t.key: t for t in new.trials()}
    labels = Trial.labels(list(was.values()))
    gone, added = [t for key, t in was.items() if key not in now], [t for key, t in now.items() if key not in was]
    faults = []
    for trial in gone:
        twin = next(
            (
                t
                for t in added
                if (t.backbone, t.task, t.adaptation.kind) == (trial.backbone, trial.task, trial.adaptation.kind)
            ),
            None,
        )
        found = f"now {_difference(trial, twin)}" if twin else "is missing from the new spec"
        faults.append(
            Fault(labels[trial.key], found, "every trial of the saved sweep unchanged", "give the sweep a new name")
        )
    for suite in old.evaluate:
        if suite not in new.evaluate:
            faults.append(
                Fault(
                    "evaluate",
                    f"{suite} was taken away",
                    "at least the suites of the saved sweep",
                    "give the sweep a new name",
                )
            )
    if faults:
        raise UserError(f"sweep {new.name} was run with another spec", faults)


def _difference(old: Trial, new: Trial) -> str:
    before, after = old.flat(), new.flat()
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return ", ".join(f"{key} {before.get(key)} -> {after.get(key)}" for key in keys)
