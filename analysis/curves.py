"""Forgetting curves as they were kept with their trials: `trained/curve.json`, and beside it which test images were right at each point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load
from upath import UPath

from gelo.models.faults import Fault
from gelo.models.untrusted import parse_json
from gelo.tasks.metrics.intervals import Interval, mean_of_rates, rate_interval
from gelo.tasks.protocols.zeroshot import watched

COLUMNS = ["trial", "step", "images", "name", "value", "low", "high", "n"]
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


def read_curve(trained: UPath | Path, faults: list[Fault]) -> Curve | None:
    """Of a trial's folder `trained`; None where none was kept, and, with a fault, where it cannot be what it says."""
    path = trained / "curve.json"
    try:
        curve = _described(parse_json(path.read_bytes()))
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
    `forgetting/<set>/top1`, in the order trial, step; what a point lacks has no row.

    low, high: 95 % interval, n: its images, as those of a result have them (`rate_interval`; `mean_of_rates`, each set a stratum); NaN of
    what was measured on images that the curve does not hold: the task's, and those of validation.
    """
    rows = []
    for trial, curve in curves.items():
        names, right = list(curve.sets), _right(curve)
        for place, (_, point) in enumerate(curve.points.iterrows()):
            named: dict[str, tuple[float, tuple[str, ...]]] = {
                f"forgetting/{_NAMES[name]}": (float(point[name]), ()) for name in _SHARES
            }
            named[f"forgetting/{_NAMES['test']}"] = float(point["test"]), tuple(names)
            named |= {watched(name): (float(curve.by_set[name].iloc[place]), (name,)) for name in curve.by_set}
            for name, (value, of) in named.items():
                if not math.isnan(value):
                    told = (trial, int(point["step"]), int(point["images"]), name, value)
                    rows.append((*told, *_interval(curve, of, right[place] if of and right is not None else None)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _right(curve: Curve) -> list[dict[str, int]] | None:
    """At each point how many images of each set were right; None where it is not known which."""
    if curve.correct is None or curve.of is None:
        return None
    counts = {name: curve.correct[:, curve.of == place].sum(axis=1) for place, name in enumerate(curve.sets)}
    return [{name: int(each[place]) for name, each in counts.items()} for place in range(len(curve.points))]


def _interval(curve: Curve, sets: tuple[str, ...], right: Mapping[str, int] | None) -> tuple[float, float, float]:
    """(low, high, images) of the mean over these sets."""
    images = float(sum(curve.sets[name] for name in sets)) if sets else math.nan
    if right is None:
        return math.nan, math.nan, images
    return *_mean_of_rates(tuple(right[name] for name in sets), tuple(curve.sets[name] for name in sets)), images


@lru_cache(maxsize=65536)
def _mean_of_rates(right: tuple[int, ...], images: tuple[int, ...]) -> Interval:
    return rate_interval(right[0], images[0]) if len(images) == 1 else mean_of_rates(right, images)


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
