"""Forgetting curves of a sweep: what its trials were worth at each look while they trained, as a tidy frame, and image by image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from upath import UPath

from gelo.analysis.folders import children, read_curve, read_right, read_spec
from gelo.models.faults import Fault

COLUMNS = ["trial", "step", "images", "name", "value"]
NAMES = ("task", "validation", "test")  # of a point; beside them "set/<data set>", of test images


@dataclass(frozen=True)
class Right:
    """Of each look, which test images were told right, for intervals over images that all points and trials of a sweep share.

    correct: bool (points, test images). sets: (test images,), the data set of each. steps: (points,).
    """

    correct: NDArray[np.bool_]
    sets: NDArray[np.str_]
    steps: NDArray[np.int64]


@dataclass(frozen=True)
class Curves:
    """frame: one row a trial x look x number (`COLUMNS`), values in [0, 1], higher = better; an undefined one has no row. about: `task` and
    `general` of each trial's curve.json: metric, sets, numbers of images. right: by trial, where test images were looked at. faults: what
    could not be read.
    """

    frame: pd.DataFrame
    about: dict[str, dict[str, Any]]
    right: dict[str, Right]
    faults: tuple[Fault, ...] = ()


def read_curves(storage: UPath | Path | str, sweep: str) -> Curves:
    """Of every trial of `<storage>/<sweep>` that was looked at while it trained; one that merges others' training has no curve of its own.

    Raises UserError for an unknown sweep.
    """
    root = UPath(storage) / sweep
    read_spec(UPath(storage), root, sweep)
    faults: list[Fault] = []
    rows: list[dict[str, Any]] = []
    about: dict[str, dict[str, Any]] = {}
    right: dict[str, Right] = {}
    for folder in children(root / "trials"):
        curve = read_curve(folder, faults)
        if curve is None:
            continue
        points = curve["points"]
        about[folder.name] = {name: value for name, value in curve.items() if name != "points"}
        rows += [{"trial": folder.name, **row} for point in points for row in _rows(point)]
        found = read_right(folder, faults)
        if found is not None and len(found["correct"]) == len(points):
            names = np.array(sorted(curve["general"]["test"]["sets"]), dtype=str)
            steps = np.array([point["step"] for point in points], np.int64)
            right[folder.name] = Right(found["correct"].astype(bool), names[found["set"]], steps)
    return Curves(pd.DataFrame(rows, columns=COLUMNS), about, right, tuple(faults))


def _rows(point: dict[str, Any]) -> Iterator[dict[str, Any]]:
    named = {name: point[name] for name in NAMES if name in point}
    named |= {f"set/{name}": value for name, value in sorted(point["sets"].items())}
    for name, value in named.items():
        yield {"step": int(point["step"]), "images": int(point["images"]), "name": name, "value": float(value)}
