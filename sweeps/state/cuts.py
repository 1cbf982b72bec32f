"""Trials that a scheduler cut, and those that somebody wants finished all the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from upath import UPath

from gelo.models.durable import is_done, publish_bytes
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.words import counted
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.ledger.cuts import FILE, Cut, held, read_cut
from gelo.tasks.ledger.looks import Look, looks_of
from gelo.tasks.ledger.trial import Trial

_NAMED = 5  # of several that a word fits


def set_cut(folder: TrialFolder, cut: Cut) -> None:
    """Say that the trial is cut, or, with `go_on`, that it is to be finished."""
    publish_bytes(folder.root / FILE, cut.model_dump_json().encode())


def cut_of(trial: Trial, folder: SweepFolder) -> Cut | None:
    """Why a trial is not trained to its end: its own cut, or that of one it is made of; None where nothing holds it."""
    for each in (trial.made_of or [trial]) if trial.training is not None else []:
        cut = None if folder.trial(each).is_trained() else held(folder.trial(each).root)
        if cut is not None:
            return cut
    return None


def past_looks(folder: TrialFolder) -> list[Look]:
    """The looks of a trial as its files have them: to its end, to where it was cut, or to its last checkpoint."""
    if folder.is_trained():
        return looks_of(folder.curve())
    cut = read_cut(folder.root)
    if cut is not None and not cut.go_on:
        return list(cut.looks)
    saved = [each for each in folder.checkpoints.iterdir() if is_done(each)] if folder.checkpoints.exists() else []
    if not saved:
        return list(cut.looks) if cut is not None else []
    newest: UPath = max(saved, key=lambda each: each.name)
    try:
        return looks_of((json.loads((newest / "state.json").read_bytes()).get("curve") or {}).get("points") or [])
    except (OSError, ValueError, AttributeError):  # a checkpoint that is not whole is refused by the trial itself
        return []


def finish(asked: Iterable[str], trials: Sequence[Trial], labels: Mapping[str, str], folder: SweepFolder) -> list[str]:
    """Let cut trials go on, each named by its key, the beginning of it, or its label; returns the labels of those that do.

    Raises UserError, and lets none go on, where a word names none or several, or one that was not cut.
    """
    chosen, faults = dict[str, Trial](), list[Fault]()
    known = {name: trial for trial in trials for name in (trial.key, labels[trial.key])}
    for word in asked:
        fitting = [trial for trial in trials if trial.key.startswith(word) or labels[trial.key] == word] if word else []
        if not fitting:
            faults.append(unknown("--finish", word, known, "trial of this sweep"))
        elif len(fitting) > 1:
            named = ", ".join(f"{t.key} ({labels[t.key]})" for t in fitting[:_NAMED])
            faults.append(Fault("--finish", f"{word!r} begins the keys of {counted(len(fitting), 'trial')}", named))
        elif not (own := [each for each in fitting[0].made_of if _waits(folder.trial(each))]):
            faults.append(Fault("--finish", f"{labels[fitting[0].key]} is not cut", "a trial whose state is cut"))
        else:
            chosen |= {each.key: each for each in own}
    if faults:
        raise UserError(f"sweep {folder.name}", faults)
    for trial in chosen.values():
        cut = read_cut(folder.trial(trial).root)
        if cut is not None and not cut.go_on:
            set_cut(folder.trial(trial), cut.model_copy(update={"go_on": True}))
    return [labels.get(key, trial.label) for key, trial in chosen.items()]


def _waits(folder: TrialFolder) -> bool:
    return not folder.is_trained() and read_cut(folder.root) is not None
