"""What a sweep reads: its data sets, every split that has to be decoded, for whom, and every split that has to be packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gelo.models.backbones.transforms import Transform
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.stages.embed import pairs_of
from gelo.tasks.data.catalogue import ENTRIES
from gelo.tasks.data.defined import reads_of
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.sizes import published
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.ledger.watched import named_validation


def needed_datasets(spec: SweepSpec, data: Path) -> list[str]:
    """Every data set that the sweep trains on, shows to a remedy, chooses by or evaluates, once."""
    trials = spec.possible()
    learnt = [name for trial in trials for name, _ in trial.learnt_from]
    chosen = [place[0] for trial in trials if (place := named_validation(trial)) is not None]
    return list(dict.fromkeys([*learnt, *chosen, *(name for name, _ in pairs_of(spec, data))]))


def classes_of(name: str, there: Mapping[str, Dataset]) -> int:
    """Classes that a head on this set has; 0 where they are not known. there: data sets that are on this machine."""
    if name in ENTRIES and ENTRIES[name].classes:
        return ENTRIES[name].classes
    if name in there and "train" in there[name].card.splits:
        return int(there[name].labels("train").max()) + 1
    return 0


def taught(training: Training, counts: Mapping[str, Mapping[str, int]], there: Mapping[str, Dataset]) -> int | None:
    """Images that a task is trained on; None where not known. counts: images by data set and split."""
    if training.classes is None:
        return counts[training.data].get("train")
    dataset, entry = there.get(training.data), ENTRIES.get(training.data)
    if dataset is None and entry is not None and entry.builder and entry.classes:  # gelo draws as many images of each
        return published(training.data)["train"] * min(training.classes, entry.classes) // entry.classes
    if dataset is None or "train" not in dataset.card.splits:
        return None
    return int((dataset.labels("train") < training.classes).sum())


def decoded_for(
    pairs: Sequence[tuple[str, str]], own: Mapping[str, Transform], datasets: Mapping[str, Dataset]
) -> Iterator[tuple[str, str, Transform]]:
    """(data set, split, transform) of all that is encoded, of the data sets that are there; some come twice.

    own: the transform of each backbone.
    """
    for name, protocol in pairs:
        for split, _ in reads_of(protocol, datasets[name]) if name in datasets else ():
            yield from ((name, split, transform) for transform in own.values())


def packed_for(trials: Iterable[Trial], datasets: Mapping[str, Dataset]) -> list[tuple[str, str]]:
    """(data set, split) of all that is trained on or shown to a remedy, of the data sets that are there and have the split, once."""
    learnt = dict.fromkeys(each for trial in trials for each in trial.learnt_from)
    return [(name, split) for name, split in learnt if name in datasets and split in datasets[name].card.splits]
