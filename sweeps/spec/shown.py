"""What remedies are shown beside the task's own images, and what they may not be: nothing that is scored, and no test split.

This is the part that a sweep's file alone can answer; what the data sets themselves say is in `sweeps.state.shown`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gelo.models.faults import Fault
from gelo.models.members import kind_of
from gelo.tasks.data.catalogue import COLLECTIONS, ENTRIES
from gelo.tasks.ledger.trial import Trial, split_of

SCORED = ("test", "dev")  # splits that are scored, or on which a threshold is set
_ELSE = {
    "miniature": "reference/train, which gelo draws, or a set of your own (gelo prepare NAME --from DIR --reader folder)",
    "paper": "a prepared set that is not scored, such as imagenet/train (gelo prepare imagenet --from DIR)",
}


@dataclass(frozen=True)
class Shown:
    """A split that a remedy asks for (`RemedySpec.data`). where: in the sweep's file. batch: images that it takes a step, where it does."""

    where: str
    dataset: str
    split: str
    batch: int = 0

    @property
    def place(self) -> str:
        """`shapes/train`."""
        return f"{self.dataset}/{self.split}"


def shown_of(trials: Iterable[Trial]) -> list[Shown]:
    """All that remedies of the trials, and of those they are made of, are shown, each once; not what the task itself trains on."""
    found = []
    for trial in (each for one in trials for each in (one, *one.made_of)):
        own = (trial.training.data, "train") if trial.training is not None else None
        for member in trial.remedy.members():
            for name, place in member.data().items():
                if split_of(place) != own:
                    where = f"tasks.{trial.task}.remedy.{kind_of(type(member))}.{name}"
                    found.append(Shown(where, *split_of(place), batch=getattr(member, "batch", 0)))
    return list(dict.fromkeys(found))


def refused(shown: Iterable[Shown], scored: Collection[str], collection: str) -> list[Fault]:
    """Splits that no remedy of the sweep may see, by their names. scored: the data sets that it scores."""
    faults = []
    for each in shown:
        drawn = each.dataset in ENTRIES and bool(ENTRIES[each.dataset].builder)
        why = [f"a split {each.split}, which is scored"] if each.split in SCORED else []
        why += [f"of {each.dataset}, a data set that this sweep scores"] if each.dataset in scored else []
        why += ["drawn for the miniature alone"] if drawn and COLLECTIONS.get(collection) == "full" else []
        if why:
            remedy = f"name {_ELSE.get(collection, _ELSE['miniature'])}"
            if each.dataset in scored and each.split not in SCORED:
                remedy += f"; or do not score it: `without: [{each.dataset}]`"
            expected = "images that nothing in this sweep scores, and no test split"
            faults.append(Fault(each.where, f"{each.place}: {', '.join(why)}", expected, remedy))
    return faults
