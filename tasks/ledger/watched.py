"""What is looked at while a trial trains: of which sets, by how many images. A function of the trial and of what is prepared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from gelo.models.backbones.geometry import geometry
from gelo.models.training.footprint import Plan
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.training import TASKS

SHARE, LEAST, MOST = 0.04, 8, 666  # of a training's arithmetic; images of each of the three kinds
CHOSEN = ("val", "train")  # the split of a general set that its validation images are of: the first that it has
OWN = "val"  # the split of a training set that is never trained on


def named_validation(trial: Trial) -> tuple[str, str] | None:
    """(data set, split) of the task's validation images where the trial or gelo itself names a set of their own."""
    if trial.training is None or trial.task not in TASKS or TASKS[trial.task].validation is None:
        return None
    task, told = TASKS[trial.task], trial.training.watch.validation
    validation = task.validation
    if told is None and validation is not None and trial.training.data == task.data[trial.collection]:
        told = validation.data.get(trial.collection)
    if told is None:
        return None
    dataset, _, split = told.partition("/")
    return dataset, split or OWN


def validation_of(trial: Trial, splits: Callable[[str], Collection[str]]) -> tuple[str, str] | None:
    """The same, or the training set's own `val` split where it has one; None where nothing is there to choose by.

    splits: of a prepared data set.
    """
    named = named_validation(trial)
    if named is not None or trial.training is None or trial.task not in TASKS or TASKS[trial.task].validation is None:
        return named
    data = trial.training.data
    return (data, OWN) if OWN in splits(data) else None


def general_sets(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The sets of a sweep that are looked at: those that it scores by zero-shot. pairs: (data set, protocol)."""
    return [name for name, protocol in pairs if protocol == "zero_shot"]


def images_of(trial: Trial, trained: int) -> int:
    """Images of each kind in one look: general validation, general test, the task's. trained: images that the tower trains on, in all.

    By default so many that forward passes of all looks cost at most 4 % of the training's arithmetic (forward 1; an image trained on 3 in
    full, 2 by LoRA; heads and what a remedy adds left out), at least 8: with what a look costs besides, 5 % of its time.
    """
    assert trial.training is not None
    watch, size = trial.training.watch, geometry(trial.backbone)
    if watch.images:
        return watch.images
    if size is None:  # no plain transformer: a training takes no less than this
        cost = 1.0 if trial.adaptation.kind in ("none", "linear") else 2.0
    else:
        cost = Plan(size, trial.adaptation, trial.training).operations() / size.forward()
    return max(LEAST, min(MOST, int(SHARE * trained * cost / (watch.points + 1) / 3)))


def unvalidated(trials: Iterable[Trial], datasets: Mapping[str, Dataset]) -> list[str]:
    """In words, once for each task and data set: that a curve has no number of the task. datasets: those that are whole."""
    found: dict[str, None] = {}
    for trial in trials:
        data = trial.training.data if trial.training is not None else ""
        if not trial.trains or data not in datasets or trial.training is None or not trial.training.watch.points:
            continue
        if validation_of(trial, lambda name: datasets[name].card.splits) is None:
            why = f"{data} has no `{OWN}` split, and `watch.validation` names none"
            found[f"{trial.task} on {data}: nothing to choose by while it trains ({why})"] = None
    return list(found)


def decided_by(trial: Trial, pairs: Iterable[tuple[str, str]], datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """`watched shapes/train` -> fingerprint, of what the trial's remedy decides by while it trains; {} of one that decides by nothing."""
    sets = [name for name in general_sets(pairs) if name in datasets] if trial.remedy.trained().watching else []
    return {f"watched {name}/{split}": datasets[name].fingerprint for name in sets for split in CHOSEN}
