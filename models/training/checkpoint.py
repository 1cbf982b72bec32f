"""Checkpoints from which training goes on bit for bit: tensors in safetensors, the rest in JSON, published whole or not
at all.

Decisions: no pickle. Whatever a state dict nests (dicts with integer keys, tuples, tensors) is written as tagged JSON
whose tensors stand in safetensors beside it; a type that would not come back the same is refused when saving, not when
loading.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from upath import UPath

from gelo.models.durable import DamagedError, fetched, is_done, publish_folder, remove
from gelo.models.faults import Fault, UserError
from gelo.models.untrusted import parse_json

FORMAT = 3  # 3: no random states, since a step's random numbers follow from (seed, step)
STATE = "state.json"
KEPT = 2  # checkpoints of a run: where the newest is damaged it goes on from the one before
PARTS = ("tensors", "optimizers", "sums")  # each may hold tensors; one safetensors file per part that does


@dataclass
class TrainingState:
    """All that the next step depends on, whatever the number of processes.

    step: finished so far. tensors: groups such as "adapted" and "head". optimizers: state dicts by name. sums: of the running epoch.
    history: one row per epoch. curve: looks so far, as JSON takes them. made_from: fingerprints of all that is not in here: base weights,
    data, the code of a step. ranks: how many processes it has been so far, in their order, for whoever reads that. The next step depends on
    neither curve nor ranks.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    optimizers: dict[str, dict[str, Any]] = field(default_factory=dict)
    sums: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    curve: dict[str, Any] = field(default_factory=dict)
    made_from: dict[str, str] = field(default_factory=dict)
    ranks: list[int] = field(default_factory=list)


def save(folder: UPath | Path, state: TrainingState) -> None:
    """Publish `state` at `folder`, with DONE. Raises OSError (disk full, ...), leaving nothing there and other
    checkpoints intact; TypeError for a value that would not come back the same."""
    document: dict[str, Any] = {
        "format": FORMAT, "step": state.step, "history": state.history, "curve": state.curve, "made_from": state.made_from,
        "ranks": state.ranks,
    }  # fmt: skip
    files: dict[str, dict[str, Tensor]] = {}
    for part in PARTS:
        files[part] = {}
        document[part] = _encode(getattr(state, part), part, files[part])
    with publish_folder(folder, summed=True) as scratch:
        for part, tensors in files.items():
            if tensors:
                save_file(tensors, scratch / f"{part}.safetensors")
        (scratch / STATE).write_text(json.dumps(document))


def load(folder: UPath | Path) -> TrainingState:
    """What `save` wrote, tensors on the CPU. Raises DamagedError where its bytes are not those that were written, UserError for a folder
    that is not a whole checkpoint of this format, OSError where it cannot be read now."""
    where = f"checkpoint {folder}"
    if not is_done(folder):
        raise UserError(where, Fault(str(folder), "no finished checkpoint", "a folder with DONE in it"))
    with fetched(folder) as local:
        try:
            document = parse_json((local / STATE).read_bytes())
            if document.get("format") != FORMAT:
                remedy = f"remove {UPath(folder).parent}: the trial is then trained from its start"
                fault = Fault(str(folder), f"format {document.get('format')}", f"format {FORMAT}", remedy)
                raise UserError(where, fault)
            parts = {part: _decode(document[part], _read(local / f"{part}.safetensors")) for part in PARTS}
            kept = {name: document[name] for name in ("step", "history", "made_from")}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            fault = Fault(
                str(folder), f"damaged ({type(error).__name__}: {error})", "a whole checkpoint", "delete this folder"
            )
            raise DamagedError(where, fault) from error
    return TrainingState(**kept, ranks=document.get("ranks", []), curve=document.get("curve", {}), **parts)


def refuse_other(where: str, made_from: Mapping[str, str], now: Mapping[str, str], remedy: str) -> None:
    """Raise UserError naming every fingerprint that is not what it was when something was made, and what it is now."""
    faults = [
        Fault(
            f"{where}: {name}", f"made from {made_from.get(name, 'an unknown one')}", f"{value}, as it is now", remedy
        )
        for name, value in now.items()
        if made_from.get(name) != value
    ]
    if faults:
        raise UserError("trained from something else", faults)


def latest(root: UPath | Path) -> UPath | Path | None:
    """The finished `epoch-NNNN` folder of the highest number directly below `root`; None when there is none."""
    done = _finished(root)
    return done[-1] if done else None


def newest_whole(root: UPath | Path, tell: Callable[[str], None]) -> tuple[str, TrainingState] | None:
    """(name, state) of the newest checkpoint below `root` that is not damaged; None where there is none. A damaged one is told and removed,
    so that the run comes to it again. Raises UserError for one of another format."""
    while (folder := latest(root)) is not None:
        try:
            return folder.name, load(folder)
        except DamagedError as error:
            before = _finished(root)[:-1]
            instead = f"going on from {before[-1].name}" if before else "there is none before it: training starts again"
            tell(f"checkpoint {folder.name} is damaged ({error.faults[0].found}), and is removed; {instead}")
            remove(folder)
    return None


def prune(root: UPath | Path, keep: int = KEPT) -> None:
    """Remove all finished `epoch-NNNN` folders below `root` but the `keep` newest. Raises ValueError for keep < 1."""
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least the newest checkpoint stays")
    for folder in _finished(root)[:-keep]:
        remove(folder)


def _finished(root: UPath | Path) -> list[UPath | Path]:
    """`epoch-NNNN` folders with DONE, oldest first: by number, since the 10,000th has one digit more."""
    if not root.exists():
        return []
    done = [entry for entry in root.iterdir() if entry.name.startswith("epoch-") and is_done(entry)]
    return sorted(done, key=lambda entry: [int(number) for number in re.findall(r"\d+", entry.name)])


def _encode(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for `value`: plain scalars as they are, all else as {tag: ...}; tensors are put aside under their path."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        tensors[where] = value.detach().to("cpu", copy=True).contiguous()  # a copy: safetensors refuses shared memory
        return {"tensor": where}
    if type(value) in (dict, OrderedDict, defaultdict):
        return {"dict": [[_encode(k, where, tensors), _encode(v, f"{where}/{k}", tensors)] for k, v in value.items()]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_encode(v, f"{where}/{i}", tensors) for i, v in enumerate(value)]}
    raise TypeError(f"{where}: a {type(value).__name__} cannot be kept in a checkpoint")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    match tag:
        case "tensor":
            return tensors[content]
        case "dict":
            return {_decode(k, tensors): _decode(v, tensors) for k, v in content}
        case "list":
            return [_decode(v, tensors) for v in content]
        case "tuple":
            return tuple(_decode(v, tensors) for v in content)
    raise ValueError(f"unknown tag {tag!r}")


def _read(path: Path) -> dict[str, Tensor]:
    return load_file(path) if path.is_file() else {}
