"""One sweep's folder, file by file: trial.json, training.json, failure.json and the results. What is broken becomes a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from upath import UPath

from gelo.analysis.memory import memory_of
from gelo.models.faults import Fault, UserError, unknown
from gelo.models.remedies import Remedy, RemedySpec
from gelo.models.untrusted import parse_json, read_model
from gelo.tasks.ledger.cuts import held
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.metricnames import parse_metric
from gelo.tasks.protocols import direction, suites
from gelo.tasks.results import Result

Place = TypeVar("Place", UPath, Path)
_FACTS = ("data", "sources", "ranks", "watch_seconds", "base")  # of training.json, as the methods section tells them


def read_spec(storage: UPath, root: UPath, sweep: str) -> dict[str, Any]:
    """sweep.json. Raises UserError when the sweep is unknown or the file cannot be read."""
    path = root / "sweep.json"
    if not path.is_file():
        known = [folder.name for folder in children(storage) if (folder / "sweep.json").is_file()]
        raise UserError(f"report {sweep}: nothing has run yet", unknown(str(storage), sweep, known, "sweep"))
    try:
        spec = parse_json(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"report {sweep}", Fault(str(path), f"not JSON ({error})", "the resolved spec of a sweep")
        ) from None
    if not isinstance(spec, dict):
        raise UserError(f"report {sweep}", Fault(str(path), type(spec).__name__, "the resolved spec of a sweep"))
    inner = spec.get("spec")  # beside it stand the settings and the data sets of the sweep
    scored = {"datasets": spec.get("evaluated", spec.get("datasets"))}  # in the spec itself the key is a choice
    return {**spec, **inner, **scored} if isinstance(inner, dict) else spec


def read_trial(folder: UPath | Path, faults: list[Fault], resources: Mapping[str, Any]) -> dict[str, Any] | None:
    """One row of the trials frame, with `history` beside; None, and a fault, when trial.json is missing or broken. resources: the
    sweep's."""
    described = _json(folder / "trial.json", faults, needed=True)
    if described is None:
        return None
    missing = [name for name in ("backbone", "task", "adaptation", "remedy", "seed") if name not in described]
    if missing:
        faults.append(Fault(str(folder / "trial.json"), f"no {', '.join(missing)}", "a trial's description"))
        return None
    failure = _json(folder / "failure.json", faults)
    training = _json(folder / "trained" / "training.json", faults) or {}
    sources: tuple[str, ...] = ()
    if training.get("source", described.get("key")) != described.get("key"):
        sources = tuple(dict.fromkeys([str(training["source"]), *map(str, training.get("parents") or [])]))
        training = {"ledger": training.get("ledger")}  # merged from another trial: seconds and history are that trial's
    untouched = _kind(described["adaptation"]) == "none" and _kind(described["remedy"]) == "none"
    ledger = training.get("ledger") or []
    return {
        "trial": str(described.get("key", folder.name)),
        "backbone": str(described["backbone"]),
        "task": str(described["task"]),
        "adaptation": described["adaptation"],
        "remedy": described["remedy"],
        "seed": int(described["seed"]),
        "settings": _flat({"head": described.get("head"), **(described.get("training") or {})}),
        "trained": bool(training),
        "sources": sources,
        "curved": _curved(described["remedy"]),
        "memory_bytes": memory_of(described, training, resources),
        "train_seconds": 0.0 if untouched else training.get("train_seconds"),
        "trainable_parameters": 0 if untouched else training.get("trainable_parameters"),
        "tower_parameters": sum(int(row.get("parameters", 0)) for row in ledger if isinstance(row, dict)) or None,
        "history": [row for row in training.get("history") or [] if isinstance(row, dict)],
        "error": None if failure is None else _in_short(str(failure.get("error", ""))),
        "error_kind": None if failure is None else str(failure.get("kind", "")),
        "cut": "" if (folder / "trained" / "training.json").is_file() else _cut(folder, described, faults),
        "facts": {name: training[name] for name in _FACTS if training.get(name)},
    }


def _cut(folder: UPath | Path, described: Mapping[str, Any], faults: list[Fault]) -> str:
    """Why a trial that is not trained was ended early, or one that it is made of."""
    try:
        trial = Trial.model_validate({name: value for name, value in described.items() if name in Trial.model_fields})
        made_of = {each.key for each in trial.made_of}
    except ValidationError:  # of a gelo that knew other kinds
        made_of = set()
    for key in sorted({*made_of, folder.name}):
        try:
            cut = held(folder.parent / key)
        except UserError as error:
            faults.extend(error.faults)
            continue
        if cut is not None and not (folder.parent / key / "trained" / "training.json").is_file():
            return cut.told
    return ""


def read_metrics(folder: UPath | Path, key: str, faults: list[Fault]) -> Iterator[dict[str, list[Any]]]:
    """The columns of each result file of one trial, a row a metric; a broken file is a fault."""
    there = {each.name for each in children(folder / "results")}
    for suite in (suite for suite in suites() if suite in there):
        for path in (file for file in children(folder / "results" / suite) if file.name.endswith(".json")):
            try:
                result = read_model(path, Result)
            except (UserError, OSError) as error:
                if isinstance(error, UserError):
                    found, remedy = f"not a result ({error.faults[0].found})", "delete it and gelo resume the sweep"
                else:
                    found, remedy = f"cannot be read now ({error})", "gelo report once the storage answers"
                faults.append(Fault(str(path), found, "a Result", remedy))
            else:
                yield _columns(result, key)


def _in_short(error: str) -> str:
    """An error as a cell's reason: of a traceback the last line, the whole stands in failure.json."""
    lines = [line for line in error.strip().splitlines() if line.strip()] or ["no message"]
    return lines[-1].strip() if "Traceback" in error else " ".join(line.strip() for line in lines)


def _columns(result: Result, key: str) -> dict[str, list[Any]]:
    names, nothing = [*result.values, *result.absent], float("nan")
    of_all = {
        "trial": key, "dataset": result.dataset, "n": result.n,
        "counts": ", ".join(f"{count} {name}" for name, count in result.counts.items()),
        "protocol": result.protocol, "version": result.protocol_version, "scale": result.scale, "partial": result.partial,
        "data": result.data, "vision": result.vision, "text": result.text, "leak": result.leak, "unchecked": result.unchecked,
        "few": result.notes.get("rule_of_30", ""),
    }  # fmt: skip
    pieces = [parse_metric(name) for name in names]
    ends = [result.intervals.get(name, (nothing, nothing)) for name in names]
    return {name: [value] * len(names) for name, value in of_all.items()} | {
        **{name: [piece[place] for piece in pieces] for place, name in enumerate(("suite", "part", "leaf"))},
        "metric": names,
        "value": [result.values.get(name, nothing) for name in names],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "reason": [result.absent.get(name, "") for name in names],
        "unit": [result.unit if name in result.intervals else "" for name in names],
        "direction": [direction(name) for name in names],
    }


def _json(path: UPath | Path, faults: list[Fault], *, needed: bool = False) -> dict[str, Any] | None:
    """A JSON object; None when absent (a fault if `needed`) or broken (always a fault)."""
    try:
        content = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if needed:
            faults.append(Fault(str(path), "missing", "a trial's description", "gelo resume the sweep"))
        return None
    except (ValueError, OSError) as error:
        faults.append(Fault(str(path), f"cannot be read ({error})", "a JSON object", "gelo resume the sweep"))
        return None
    if not isinstance(content, dict):
        faults.append(Fault(str(path), type(content).__name__, "a JSON object"))
        return None
    return content


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Training fields by name; those of a head are `head` (its kind) and `head.scale` and so on."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat |= {name if inner == "kind" else f"{name}.{inner}": each for inner, each in value.items()}
        elif value is not None:
            flat[name] = value
    return flat


def _kind(described: object) -> str:
    return str(described.get("kind", "none")) if isinstance(described, Mapping) else str(described)


@cache
def _remedies() -> TypeAdapter[Any]:
    """Made once: it takes longer than to read a trial."""
    return TypeAdapter[Any](Remedy)


def _curved(described: object) -> bool:
    """`RemedySpec.curved`; True for a remedy that is not known here."""
    try:
        remedy: RemedySpec = _remedies().validate_python(described)
    except ValidationError:
        return True
    return remedy.curved


def children(folder: Place) -> list[Place]:
    """Entries of a folder by name, hidden and half-written ones left out; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)
