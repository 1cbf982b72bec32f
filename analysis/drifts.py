"""How far each trial's tower went from the base, as it was kept with the trial: `trained/drift.json` (docs/watching.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from upath import UPath

from gelo.models.faults import Fault
from gelo.models.untrusted import parse_json

MEASURES = ("distance", "drift", "cka", "alignment", "sharpness")
_BY_BLOCK = ("distance", "cka")


@dataclass(frozen=True, slots=True)
class Drift:
    """One trial's. looks: a row each, the steps rising from 0: step and `MEASURES`, NaN where one is undefined or was not measured; no row
    of a trial that was made after training. blocks: of the tower that is kept, a row each in their order: block, distance, cka. images:
    validation images by set. of: `weights`, or `experts` where the distance is of what does not merge.
    """

    looks: pd.DataFrame
    blocks: pd.DataFrame
    images: Mapping[str, int]
    of: str


def read_drift(trained: UPath | Path, faults: list[Fault]) -> Drift | None:
    """Of a trial's folder `trained`; None where none was kept, and, with a fault, where it cannot be what it says."""
    path = trained / "drift.json"
    try:
        return _described(parse_json(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        faults.append(Fault(str(path), f"cannot be read ({type(error).__name__}: {error})", "how far a tower went"))
        return None


def _described(document: Mapping[str, Any]) -> Drift:
    """drift.json as frames. Raises ValueError, KeyError or TypeError with what is wrong."""
    looks = _rows(document["looks"], "step", MEASURES)
    steps = looks["step"]
    if len(looks) and (steps.iloc[0] != 0 or not steps.is_monotonic_increasing or steps.duplicated().any()):
        raise ValueError("the steps of its looks do not rise from 0")
    blocks = _rows(document["blocks"], "block", _BY_BLOCK)
    if blocks["block"].tolist() != list(range(len(blocks))):
        raise ValueError("its blocks are not numbered from 0")
    images = {str(name): int(count) for name, count in document["images"].items()}
    return Drift(looks, blocks, images, str(document["of"]))


def _rows(entries: Sequence[Mapping[str, Any]], first: str, names: Sequence[str]) -> pd.DataFrame:
    rows = [{first: int(each[first]), **{name: _number(each, name) for name in names}} for each in entries]
    return pd.DataFrame(rows, columns=[first, *names])


def _number(entry: Mapping[str, Any], name: str) -> float:
    if name not in entry:
        return math.nan
    value = float(entry[name])
    if not math.isfinite(value):
        raise ValueError(f"{name} {value} is no number")
    return value
