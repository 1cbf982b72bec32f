"""What may be recommended: each setting of a backbone and task at the end of its training, by what its forgetting curves say on validation
images of what it gained and kept. No test image is looked at here.

A setting is chosen as what it ends in, which is what `gelo export` hands over. So a trial whose curve ends elsewhere (`RemedySpec.curved`)
cannot be chosen, and a setting of which a seed is missing neither: a mean over the other seeds would be another quantity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.contenders import UNWATCHED
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE
from gelo.models.faults import Fault, UserError, unknown

POINTS = 100  # of a validation metric, which is a share


@dataclass(frozen=True)
class Candidate:
    """trials: the key by seed. gains: by seed, the task's validation metric at the end minus that of the untouched backbone, in points;
    kept: zero-shot accuracy on the general sets' validation images over that of the untouched backbone."""

    backbone: str
    task: str
    name: str
    trials: Mapping[int, str]
    gains: Mapping[int, float]
    kept: Mapping[int, float]

    @property
    def gain(self) -> float:
        """The mean over seeds."""
        return float(np.mean(list(self.gains.values())))

    @property
    def share(self) -> float:
        """The mean over seeds of what is kept."""
        return float(np.mean(list(self.kept.values())))


@dataclass(frozen=True)
class Cell:
    """One backbone and task. metric: the task's validation metric. left: by name of a setting that cannot be chosen, why."""

    backbone: str
    task: str
    metric: str
    candidates: tuple[Candidate, ...]
    left: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.backbone}, {self.task}"


def cells(comparison: Comparison, task: str | None = None, backbone: str | None = None) -> list[Cell]:
    """Of every backbone and task that was trained, in table order; of one of them where it is named.

    Raises UserError for a name that the sweep has not, for a sweep without a trained trial, and one that kept no forgetting curve.
    """
    runs, subject = comparison.runs, f"recommend {comparison.runs.sweep}"
    trained = runs.trials[runs.trials["task"] != NONE]
    if trained.empty:
        raise UserError(subject, Fault("its trials", "untouched backbones alone", "trials that train for a task"))
    asked = {"task": task, "backbone": backbone}
    faults = [
        unknown(f"--{name}", value, sorted(set(trained[name])), name)
        for name, value in asked.items()
        if value is not None and value not in set(trained[name])
    ]
    if faults:
        raise UserError(subject, faults)
    for name, value in asked.items():
        trained = trained[trained[name] == value] if value is not None else trained
    if trained.empty:
        raise UserError(subject, Fault("its trials", f"none of {backbone} on {task}", "a pair that was trained"))
    if not any(key in runs.curves for key in trained["trial"]):
        done = trained["trained"].any()
        remedy = (
            "run it under a new name with `watch: {points: 5}` (the default) in its tasks"
            if done
            else f"gelo resume {runs.sweep}"
        )
        expected = (
            "forgetting curves, whose validation images a trial is chosen by: test images are for the answer alone"
        )
        found = f"{UNWATCHED} by any of {len(trained)} trials" if done else f"none of {len(trained)} trials is trained"
        raise UserError(subject, Fault("its trials", found, expected, remedy))
    return [_cell(comparison, cell, rows) for cell, rows in groups(trained, ["backbone", "task"])]


def _cell(comparison: Comparison, cell: tuple[str, ...], rows: pd.DataFrame) -> Cell:
    (backbone, task), found, left, metric = cell, list[Candidate](), dict[str, str](), ""
    for (adaptation, remedy), each in groups(rows, ["adaptation", "remedy"]):
        name = spelled(adaptation) + ("" if remedy == NONE else f" + {remedy}")
        ends = {int(row["seed"]): _end(comparison, row) for _, row in each.iterrows()}
        lacking = [end for end in ends.values() if isinstance(end, str)]
        if lacking:
            many = f"{len(lacking)} of {len(each)} seeds: " if len(each) > 1 else ""
            left[name] = many + "; ".join(dict.fromkeys(lacking))
            continue
        if len(ends) < len(each):  # trials that differ in something that no label shows
            left[name] = "several trials of one seed"
            continue
        known = {seed: end for seed, end in sorted(ends.items()) if not isinstance(end, str)}
        trials = {int(row["seed"]): str(row["trial"]) for _, row in each.iterrows()}
        metric = next(comparison.runs.curves[key].metric for key in trials.values())
        gains, kept = ({seed: end[place] for seed, end in known.items()} for place in (0, 1))
        found.append(Candidate(backbone, task, name, {seed: trials[seed] for seed in known}, gains, kept))
    return Cell(backbone, task, metric, tuple(found), left)


def _end(comparison: Comparison, row: pd.Series) -> tuple[float, float] | str:
    """(points gained, share kept) of one trial on validation images where its curve ends, or why that is not known."""
    status, curve = comparison.status[str(row["trial"])], comparison.runs.curves.get(str(row["trial"]))
    if status.state in ("failed", "diverged", "cut"):
        return status.state
    if not row["trained"] and not len(row["sources"]):
        return "not trained yet"
    if curve is None:
        return UNWATCHED
    if not row["curved"]:
        return "its curve ends at other weights than it keeps"
    if not curve.metric:
        return "the task has no validation metric here"
    if len(curve.points) < 2:
        return "its curve has no point after the start"
    first, last = curve.points.iloc[0], curve.points.iloc[-1]
    gain, before = POINTS * float(last["task"] - first["task"]), float(first["validation"])
    if math.isnan(gain):
        return "its curve lacks the task's validation metric at one end"
    kept = float(last["validation"]) / before if before > 0 else math.nan
    return (gain, kept) if not math.isnan(kept) else "its curve lacks what is kept on validation images"
