"""What a specialisation cost: averages over data sets, GELO, differences to a trial's own baseline.

GELO = average accuracy after / average accuracy of its own baseline (same backbone, task none), over the same data sets, and only where
both have them all; GELO 1 = nothing lost. Source: the published tables (`analysis/published`), whose figures this recomputes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from gelo.analysis.labels import is_baseline
from gelo.analysis.runs import Runs
from gelo.analysis.select import Status, choice, expected, select
from gelo.tasks.catalogue import PROBES

GENERAL: tuple[str, ...] = ("zero_shot", *PROBES)
Z95 = 1.959963984540054
# task -> (metrics after, the baseline's metrics before, +1 where higher is better); several are averaged, and only where all are there
_DETECTORS = {
    "morphs": (("mad/mean/eer",), ("mad_text/mean/eer",), -1),
    "spoofs": (("pad/mean/hter",), ("pad_text/mean/hter",), -1),
}
# of a collection, the sets whose accuracy is the task's: in the paper's, the study's five verification sets
_FACES = {"miniature": ("pairs",), "paper": ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")}
Gain = tuple[tuple[str, ...], tuple[str, ...], int]


@dataclass(frozen=True)
class General:
    """One general suite as a table: fractions by trial (index) and data set (column), NaN where unknown.

    choice: "" where the columns are the collection's own sets, else `_12`, their number: it stands behind the names of what is averaged.
    average, gelo and their standard errors by trial, NaN where undefined; `why` gives the reason of an undefined average or GELO. The
    errors come from the 95 % intervals of the data sets, taken as independent; trials share their test images, so they err on the wide
    side.
    """

    scores: pd.DataFrame
    average: pd.Series
    average_error: pd.Series
    gelo: pd.Series
    gelo_error: pd.Series
    why: Mapping[str, str]
    choice: str = ""


@dataclass(frozen=True)
class Comparison:
    """A sweep, compared: `general` by suite, `baseline` = each trial's own baseline (its key, absent when there is none)."""

    runs: Runs
    status: Mapping[str, Status]
    baseline: Mapping[str, str]
    general: Mapping[str, General]

    def value(self, trial: str, metric: str) -> float:
        """One metric of one trial as a fraction; NaN when it is not there."""
        rows = self.runs.metrics
        found = rows.loc[(rows["trial"] == trial) & (rows["metric"] == metric), "value"]
        return float(found.iloc[0]) if len(found) else float("nan")

    def error(self, trial: str, metric: str) -> float:
        """Its standard error, from the 95 % interval; NaN without one."""
        rows = self.runs.metrics
        found = rows[(rows["trial"] == trial) & (rows["metric"] == metric)]
        return float((found["high"] - found["low"]).mean()) / (2 * Z95)

    def measures(self, task: str) -> Gain:
        """What a task is measured by on this sweep's collection: metrics after, metrics of the baseline before, direction."""
        if task == "faces":
            collection = str(self.runs.spec.get("collection") or "miniature")
            accuracy = tuple(f"fr/{name}/accuracy" for name in _FACES.get(collection, ()))
            return accuracy, accuracy, 1
        return _DETECTORS.get(task, ((), (), 1))

    def measured(self, trial: str, metrics: tuple[str, ...]) -> float:
        """Their mean as a fraction; NaN where one is not there."""
        return float(np.mean([self.value(trial, metric) for metric in metrics])) if metrics else math.nan

    def gain(self, trial: str) -> float:
        """What the trial's own task gained, in points, + is better: after - before; NaN for a baseline or an unknown side.

        Before is the untouched backbone: its own verification, or its text prompts where the trial trained a detector.
        """
        task = self.runs.trials.set_index("trial")["task"].get(trial)
        after, before, sign = self.measures(str(task))
        return 100 * sign * (self.measured(trial, after) - self.measured(self.baseline.get(trial, ""), before))

    def gain_error(self, trial: str) -> float:
        """Standard error of what the trial itself reached, in points: that of the baseline is common to all of one backbone."""
        task = self.runs.trials.set_index("trial")["task"].get(trial)
        after, _, _ = self.measures(str(task))
        squares = [self.error(trial, metric) ** 2 for metric in after]
        return 100 * math.sqrt(sum(squares)) / len(squares) if squares else math.nan


def compare(runs: Runs) -> Comparison:
    """Everything the tables, pictures and findings are made of."""
    status = select(runs)
    own = baselines(runs.trials)
    general = {suite: _general(runs, suite, own, status) for suite in GENERAL}
    return Comparison(runs, status, own, general)


def baselines(trials: pd.DataFrame) -> dict[str, str]:
    """Trial -> its own baseline: same backbone; of several, the one with the same seed, else the first."""
    own: dict[str, str] = {}
    candidates = [row for _, row in trials.iterrows() if is_baseline(row)]
    for _, row in trials.iterrows():
        same = [base for base in candidates if base["backbone"] == row["backbone"]]
        same.sort(key=lambda base: base["seed"] != row["seed"])
        if same and not is_baseline(row):
            own[row["trial"]] = same[0]["trial"]
    return own


def averages(scores: pd.DataFrame) -> pd.Series:
    """Mean over the columns, NaN for a row with a gap: an average over fewer sets would be another quantity. Same unit as `scores`."""
    if not scores.shape[1]:
        return pd.Series(np.nan, index=scores.index, dtype=float)
    return scores.mean(axis=1, skipna=False)


def gelo(average: pd.Series, baseline: Mapping[Any, Any]) -> pd.Series:
    """Average after / average of the own baseline, by trial; NaN for a baseline, a gap on either side, or a baseline of 0."""
    before = pd.Series(
        [average.get(baseline.get(trial), np.nan) for trial in average.index], index=average.index, dtype=float
    )
    return average / before.where(before > 0)


def _general(runs: Runs, suite: str, own: Mapping[str, str], status: Mapping[str, Status]) -> General:
    rows = runs.metrics[(runs.metrics["suite"] == suite) & (runs.metrics["leaf"] == "top1")]
    trials, sets = list(runs.trials["trial"]), expected(runs, suite)
    scores = _square(rows, "value", trials, sets)
    errors = (_square(rows, "high", trials, sets) - _square(rows, "low", trials, sets)) / (2 * Z95)
    average = averages(scores)
    average_error = np.sqrt((errors**2).sum(axis=1, skipna=False)) / max(len(sets), 1)
    kept = gelo(average, own)
    relative = average_error / average
    before = pd.Series([relative.get(own.get(trial, ""), np.nan) for trial in trials], index=trials, dtype=float)
    why = {trial: reason for trial in trials if (reason := _why(trial, scores, own, status))}
    return General(
        scores, average, average_error, kept, kept * np.sqrt(relative**2 + before**2), why, choice(runs, suite)
    )


def _square(rows: pd.DataFrame, column: str, trials: list[str], sets: list[str]) -> pd.DataFrame:
    wide = rows.drop_duplicates(["trial", "part"]).pivot(index="trial", columns="part", values=column)
    return wide.reindex(index=trials, columns=sets).astype(float)


def _why(trial: str, scores: pd.DataFrame, own: Mapping[str, str], status: Mapping[str, Status]) -> str:
    def gaps(key: str) -> list[str]:
        return [str(name) for name in scores.columns if math.isnan(float(scores.at[key, name]))]

    if not scores.shape[1]:
        return "this sweep has no such results"
    if missing := gaps(trial):
        failed = "the trial failed; " if status[trial].state == "failed" else ""
        many = f"{', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}"
        return f"{failed}no accuracy for {many}, and an average over fewer data sets would be another quantity"
    base = own.get(trial)
    if base is not None and (missing := gaps(base)):
        return f"its baseline has no accuracy for {', '.join(missing)}"
    return ""
