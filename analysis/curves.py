"""Forgetting curves as they were kept with their trials: `trained/curve.json`, and beside it which test images were right at each point."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load
from upath import UPath

from gelo.models.faults import Fault
from gelo.tasks.protocols.zeroshot import watched

COLUMNS = ["trial", "step", "images", "name", "value"]
_NAMES = {
    "task": "task",
    "validation": "general_validation",
    "test": "general_test",
}  # as MLflow has them, behind `forgetting/`
_SHARES = ("task", "validation", "test")
_ROUNDED = 1e-4  # by which a mean in curve.json may differ from that of its images


@dataclass(frozen=True, slots=True)
class Curve:
    """One trial's. points: a row each, the steps rising from 0: step, images, task, validation, test as shares, NaN where one was not
    looked at or is undefined; by_set: the test accuracies of each set, a row each. metric: the task's validation metric, "" where it has
    none. sets: test images by set. correct: (points, images) 0 or 1, and of: (images,) the place of an image's set in the sorted names of
    `sets`; None where the file beside is missing.
    """

    points: pd.DataFrame
    by_set: pd.DataFrame
    metric: str
    sets: Mapping[str, int]
    correct: npt.NDArray[np.uint8] | None = None
    of: npt.NDArray[np.int16] | None = None


def read_curve(trained: UPath, faults: list[Fault]) -> Curve | None:
    """Of a trial's folder `trained`; None where none was kept, and, with a fault, where it cannot be what it says."""
    path = trained / "curve.json"
    try:
        curve = _described(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        faults.append(Fault(str(path), f"cannot be read ({type(error).__name__}: {error})", "a forgetting curve"))
        return None
    beside = trained / "curve.safetensors"
    try:
        tensors = load(beside.read_bytes())
        correct, of = tensors["correct"], tensors["set"]
    except (FileNotFoundError, NotADirectoryError):
        return curve
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        faults.append(Fault(str(beside), f"cannot be read ({type(error).__name__}: {error})", "the images of a curve"))
        return curve
    if wrong := _contradiction(curve, correct, of):
        faults.append(Fault(str(beside), wrong, "the images that curve.json is the mean of"))
        return curve
    return Curve(curve.points, curve.by_set, curve.metric, curve.sets, correct, of)


def tidy(curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Every curve by trial as rows (`COLUMNS`), named as in MLflow: `forgetting/task`, `forgetting/general_test`,
    `forgetting/<set>/top1`, in the order trial, step; what a point lacks has no row."""
    rows = []
    for trial, curve in curves.items():
        for place, point in curve.points.iterrows():
            named = {f"forgetting/{_NAMES[name]}": float(point[name]) for name in _SHARES}
            named |= {watched(name): float(value) for name, value in curve.by_set.loc[place].items()}
            told = (trial, int(point["step"]), int(point["images"]))
            rows += [(*told, name, value) for name, value in named.items() if not math.isnan(value)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _described(document: Mapping[str, Any]) -> Curve:
    """curve.json as frames. Raises ValueError, KeyError or TypeError with what is wrong."""
    points = pd.DataFrame(
        [{"step": int(point["step"]), "images": int(point["images"]), **{name: _share(point, name) for name in _SHARES}}
         for point in document["points"]]
    )  # fmt: skip
    steps = points["step"]
    if steps.iloc[0] != 0 or not steps.is_monotonic_increasing or steps.duplicated().any():
        raise ValueError("the steps of its points do not rise from 0")
    task = document.get("task") or {}
    sets = {str(name): int(count) for name, count in document["general"]["test"]["sets"].items()}
    named = [{str(name): float(value) for name, value in point.get("sets", {}).items()} for point in document["points"]]
    return Curve(
        points, pd.DataFrame(named, columns=sorted(sets)), str(task.get("metric", "")), dict(sorted(sets.items()))
    )


def _share(point: Mapping[str, Any], name: str) -> float:
    value = point.get(name)
    if value is None:
        return math.nan
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{name} {value} is no share")
    return float(value)


def _contradiction(curve: Curve, correct: npt.NDArray[Any], of: npt.NDArray[Any]) -> str:
    """How the two files disagree; "" where they do not."""
    images = sum(curve.sets.values())
    if correct.shape != (len(curve.points), images) or of.shape != (images,):
        return f"correct {correct.shape}, set {of.shape} beside {len(curve.points)} points of {images} images"
    counts = np.bincount(of, minlength=len(curve.sets)) if images and of.min() >= 0 else np.zeros(0)
    if counts.tolist() != list(curve.sets.values()):
        return f"{counts.tolist()} images by set"
    means = np.mean([correct[:, of == place].mean(axis=1) for place in range(len(curve.sets))], axis=0)
    apart = float(
        (means - curve.points["test"]).abs().max()
    )  # where the curve has no value there is nothing to compare
    return f"a mean accuracy that is {apart:.4f} off" if apart > _ROUNDED else ""
