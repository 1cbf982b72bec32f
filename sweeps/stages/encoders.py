"""What a user calls an encoder: a backbone, a trial as SWEEP/KEY, or the folder of one. Nothing is loaded before it is clear which."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from gelo.models.backbones.registry import name_fault, resolve
from gelo.models.faults import Fault, UserError
from gelo.models.untrusted import read_json
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.data.embed import EncoderRef
from gelo.tasks.ledger.trial import Trial, described

_TRIAL = "trial.json"


@dataclass(frozen=True)
class Named:
    """A backbone, or a trial of one with its folder. weights: those that its sweep was told; None for where they are looked for anyway."""

    backbone: str
    weights: Path | None = None
    trial: Trial | None = None
    place: TrialFolder | None = None

    def ref(self, weights: Path | None = None) -> EncoderRef | None:
        """How a trained trial's encoder is loaded and proved to be the one of its training.json; None where the backbone is untouched."""
        if self.trial is None or self.place is None or not self.trial.tuned:
            return None
        given = weights or self.weights
        made, weights_told = self.place.training(), str(given) if given else None
        trained = str(self.place.trained)
        return EncoderRef(made["vision"], self.backbone, weights_told, trained, text=made.get("text", ""))


def named_encoder(name: str | Path, storage: UPath) -> Named:
    """`mini-s`; `demo/KEY`, KEY being a trial's key, the beginning of one, or its label, of a sweep below `storage`; or the folder of a
    trial. A backbone's name is never taken for anything else.

    Raises UserError, with the nearest name, for what is none of them, and for a trial that is not trained yet.
    """
    text = str(name)
    if isinstance(name, Path):
        return _of_folder(UPath(name))
    if name_fault(text) is None:
        resolve(text)
        return Named(text)
    sweep, slash, wanted = text.partition("/")
    folder = SweepFolder(storage, sweep)
    if folder.exists():
        if wanted:
            return _of_sweep(folder, wanted)
        keys = ", ".join(f"{sweep}/{key} ({label})" for key, label in Trial.labels(folder.spec().trials()).items())
        raise UserError("encoder", Fault(text, "a whole sweep", f"one of its trials: {keys}"))
    place = Path(text)
    if place.is_dir() or (slash and place.parent.is_dir() and place.parent != Path()):
        return _of_folder(UPath(place))
    raise _unheard(text, folder if slash else None)


def _of_sweep(folder: SweepFolder, wanted: str) -> Named:
    """Raises UserError for a sweep that cannot be read, for a name that no trial has, or several, and for one that is not trained."""
    spec = folder.spec()
    trials = {trial.key: trial for trial in spec.trials()}
    labels = Trial.labels(list(trials.values()))
    found = [key for key in trials if wanted in (key, labels[key])] or [key for key in trials if key.startswith(wanted)]
    if len(found) != 1:
        where, told = f"sweep {folder.name}", [f"{key} ({labels[key]})" for key in found or trials]
        if found:
            raise UserError(
                "encoder", Fault(where, f"{wanted!r} begins {len(found)} keys", f"one of {', '.join(told)}")
            )
        near = difflib.get_close_matches(wanted, [*trials, *labels.values()], n=1, cutoff=0.5)
        fault = Fault(
            where, f"unknown trial {wanted!r}", f"one of {', '.join(told)}", f"nearest: {near[0]}" if near else ""
        )
        raise UserError("encoder", fault)
    trial = trials[found[0]]
    own = spec.weights.get(trial.backbone)
    return _trained(trial, folder.trial(trial), Path(own) if own else None, f"gelo resume {folder.name}")


def _of_folder(folder: UPath) -> Named:
    """A trial's folder, or the `trained` in it; of a sweep or copied from one. Raises UserError."""
    where = folder.parent if folder.name == "trained" else folder
    file = where / _TRIAL
    if not file.is_file():
        raise UserError("encoder", _no_trial(folder))
    try:
        trial = described(read_json(file), str(file))
    except UserError as error:
        flaw = error.faults[0].found
        raise UserError("encoder", Fault(str(file), f"cannot be read ({flaw})", "a trial's description")) from None
    sweep = where.absolute().parent.parent
    of = SweepFolder(UPath(sweep.parent), sweep.name)
    own = of.spec().weights.get(trial.backbone) if of.exists() else None
    return _trained(trial, TrialFolder(where), Path(own) if own else None, f"gelo resume {sweep.name}")


def _trained(trial: Trial, place: TrialFolder, weights: Path | None, remedy: str) -> Named:
    if trial.tuned and not place.is_trained():
        raise UserError("encoder", Fault(str(place.root), f"{trial.label}: not trained yet", "a trained trial", remedy))
    return Named(trial.backbone, weights, trial, place)


def _no_trial(folder: UPath) -> Fault:
    """Why a folder is none of a trial, and the nearest that is one."""
    expected = "the folder of a trained trial, STORAGE/SWEEP/trials/KEY"
    if not folder.is_dir():
        beside = [entry.name for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, beside, n=1, cutoff=0.5)
        return Fault(str(folder), "no such folder", expected, f"nearest: {folder.parent / near[0]}" if near else "")
    below = sorted(str(file.parent) for depth in ("*", "trials/*") for file in folder.glob(f"{depth}/{_TRIAL}"))
    return Fault(str(folder), f"no {_TRIAL} in it", expected, f"nearest: {below[0]}" if below else "")


def _unheard(name: str, folder: SweepFolder | None) -> UserError:
    """Of a name that is nothing: the nearest sweep where it has a slash and there is one, else the nearest backbone, else the sweeps."""
    found: list[UserError] = []
    asked: list[Callable[[], object]] = [*([folder.read] if folder else []), lambda: resolve(name)]
    for ask in asked:
        try:
            ask()
        except UserError as error:
            found.append(error)
    return next((error for error in found if error.faults[0].remedy), found[0])
