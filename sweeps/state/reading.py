"""Which logs a user means by a trial's name, or by `driver`."""

from __future__ import annotations

from dataclasses import dataclass

from upath import UPath

from gelo.models.faults import Fault, UserError, unknown
from gelo.sweeps.state.folder import SweepFolder, names_in
from gelo.sweeps.state.logs import DRIVER, name_of, ranks_of, read_log
from gelo.tasks.ledger.trial import Trial


@dataclass(frozen=True, slots=True)
class Named:
    """One log: of what is at `root`, by its name there."""

    root: UPath
    name: str

    def read(self) -> bytes:
        """All of it that is kept. Raises OSError."""
        return read_log(self.root, self.name)


def named_logs(storage: UPath, trial: str, sweep: str | None, rank: int | None) -> tuple[SweepFolder, list[Named]]:
    """The sweep, and its logs that are meant. sweep: None for the only one that knows the trial.

    Raises UserError for a sweep, trial or rank that is not there, and for what may be several.
    """
    names = [sweep] if sweep is not None else names_in(storage)
    folders = [SweepFolder(storage, name) for name in names]
    if not folders:
        raise UserError("logs", Fault(str(storage), "no sweep", "the place where a sweep is kept", "--storage"))
    if trial == DRIVER:
        if len(folders) > 1:
            raise UserError("logs", Fault("NAME", f"{len(folders)} sweeps", "the name of one", ", ".join(names)))
        folders[0].read()
        return folders[0], [Named(folders[0].root, DRIVER)]
    found = [(folder, key) for folder in folders for key in _keys(folder, trial)]
    if len(found) != 1:
        _raise(trial, folders, found)
    folder, key = found[0]
    root = folder.root / "trials" / key
    ranks = ranks_of(root)
    if rank is not None and ranks and rank not in ranks:
        raise UserError("logs", Fault(f"--rank {rank}", "no such rank", f"one of {', '.join(map(str, ranks))}"))
    return folder, [Named(root, name_of(each)) for each in ranks if rank in (None, each)]


def _labels(folder: SweepFolder) -> dict[str, str]:
    """Of every trial, by key."""
    return Trial.labels(folder.spec().trials())


def _keys(folder: SweepFolder, trial: str) -> list[str]:
    labels = _labels(folder)
    exact = [key for key, label in labels.items() if trial in (key, label)]
    return exact or [key for key in labels if trial and key.startswith(trial)]


def _raise(trial: str, folders: list[SweepFolder], found: list[tuple[SweepFolder, str]]) -> None:
    if found:
        several = ", ".join(f"{key} of {folder.name}" for folder, key in found[:5])
        fault = Fault(f"TRIAL {trial}", f"{len(found)} trials: {several}", "one trial", "give its key, and NAME")
        raise UserError("logs", fault)
    known = [name for folder in folders for pair in _labels(folder).items() for name in pair]
    raise UserError("logs", unknown("TRIAL", trial, [*known, DRIVER], "trial"))
