"""`tasks: {imported: {NAME: {path: DIR}}}`: encoders that `gelo import` brought in, as trials beside those that a sweep trains.

What the folder says is written into the sweep with its path, so that a sweep that was run needs the folder no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gelo.models.adapt import Imported
from gelo.models.durable import is_done
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.untrusted import read_json
from gelo.models.words import kind_of
from gelo.tasks.ledger.trial import Trial

IMPORTED = "imported"
_KEYS = ("path", "task", "trial")  # trial: what the folder said, written by gelo
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
_FORM = "a mapping such as {NAME: {path: DIR}}"
_MADE = "a folder that gelo import has made"


def apart(tasks: Any) -> tuple[Any, Any]:
    """(the tasks that are trained, what stands under `imported`; None where nothing does)."""
    if not isinstance(tasks, Mapping) or IMPORTED not in tasks:
        return tasks, None
    return {name: blocks for name, blocks in tasks.items() if name != IMPORTED}, tasks[IMPORTED]


def filled(given: Any) -> Any:
    """The same with what the folders say; an entry with a fault stays as it is."""
    if not isinstance(given, Mapping):
        return given
    return {name: _read(str(name), entry, [])[0] for name, entry in given.items()}


def imported_trials(given: Any, backbones: Iterable[str], collection: str, faults: list[Fault]) -> list[Trial]:
    """One trial each, in the file's order. What is wrong joins `faults`."""
    if given is None:
        return []
    if not isinstance(given, Mapping) or not given:
        faults.append(Fault(f"tasks.{IMPORTED}", kind_of(given) if given else "nothing in it", _FORM))
        return []
    found, known = [], list(backbones)
    for name, entry in given.items():
        read, trial = _read(str(name), entry, faults)
        if trial is None:
            continue
        if trial.backbone not in known:
            where = f"tasks.{IMPORTED}.{name}"
            faults.append(
                Fault(where, f"a tower of {trial.backbone}", "a backbone of this sweep", "add it to backbones")
            )
            continue
        adaptation = trial.adaptation.model_copy(update={"name": str(name), "path": read["path"]})
        found.append(trial.model_copy(update={"adaptation": adaptation, "collection": collection}))
    return found


def _read(name: str, entry: Any, faults: list[Fault]) -> tuple[Any, Trial | None]:
    """The entry with all that is known of it, and its trial; None, and a fault, where it cannot be read."""
    where = f"tasks.{IMPORTED}.{name}"
    entry = {"path": entry} if isinstance(entry, str) else entry
    if not re.fullmatch(_NAME, name):
        faults.append(Fault(where, "a name of other signs", "letters, digits and . _ -"))
        return entry, None
    if not isinstance(entry, Mapping):
        faults.append(Fault(where, kind_of(entry), "{path: DIR}"))
        return entry, None
    strays = [unknown(f"{where}.{key}", key, _KEYS[:2], "key") for key in entry if key not in _KEYS]
    path = entry.get("path")
    if strays or not isinstance(path, str) or not path.strip():
        faults += strays or [
            Fault(f"{where}.path", kind_of(path) if path else "missing", _MADE, "gelo import FILE --to DIR")
        ]
        return entry, None
    folder = Path(path).absolute()
    said, fault = _described(folder, f"{where}.path")
    was = entry.get("trial")
    if said is None and was is not None:  # the sweep has it: see `sweeps.exchange.brought`
        said, fault = was, None
    trial, fault = (None, fault) if said is None else _trial(said, f"{where}.path", folder)
    if said is not None and trial is not None and was is not None and said != was:
        now = said["adaptation"]["fingerprint"]
        remedy = "bring the old one back, or give the sweep a new name"
        fault = Fault(f"{where}.path", f"another encoder ({now})", was["adaptation"]["fingerprint"], remedy)
    elif trial is not None and entry.get("task", trial.task) != trial.task:
        fault = Fault(f"{where}.task", repr(entry["task"])[:60], f"{trial.task}, which it was trained for")
    if fault is not None or trial is None:
        faults += [fault] if fault is not None else []
        return entry, None
    return {**entry, "path": str(folder), "trial": said}, trial


def _described(folder: Path, where: str) -> tuple[dict[str, Any] | None, Fault | None]:
    """trial.json without what follows from it."""
    shown = Fault(f"{where}: {str(folder)[:200]}", "no imported encoder there", _MADE, "gelo import FILE --to DIR")
    try:
        if not (folder / "trial.json").is_file() or not is_done(folder / "trained"):
            return None, shown
        said = read_json(folder / "trial.json")
    except (OSError, UserError):
        return None, shown
    fields = {name: value for name, value in said.items() if name in Trial.model_fields}
    return (fields, None) if fields else (None, shown)


def _trial(said: Mapping[str, Any], where: str, folder: Path) -> tuple[Trial | None, Fault | None]:
    try:
        trial = Trial.model_validate(said)
    except ValidationError as error:
        flaw = error.errors()[0]["msg"]
        return None, Fault(f"{where}: {str(folder)[:200]}", f"a trial.json that cannot be read ({flaw})", _MADE)
    if not isinstance(trial.adaptation, Imported):
        found = f"a trial that was trained here ({trial.label})"
        return None, Fault(f"{where}: {str(folder)[:200]}", found, _MADE, "name it under its own task")
    return trial, None
