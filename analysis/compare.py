"""What a specialisation cost: averages over data sets, GELO, differences to a trial's own baseline.

GELO is `gelo.tasks.ledger.retention`; a trial's own baseline is the same backbone with task none. The published tables
(`analysis/published`)
recompute with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gelo.analysis.labels import is_baseline
from gelo.analysis.runs import Runs
from gelo.analysis.select import BROKEN, Status, choice, expected, select
from gelo.tasks.ledger.retention import Average, Score, average, retention
from gelo.tasks.protocols import averaged, direction, suites
from gelo.tasks.results import per_cent
from gelo.tasks.training import TASKS
from gelo.tasks.training.base import Gain

Z95 = 1.959963984540054


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

    @cached_property
    def _metrics(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(trial, metric) -> value and standard error, of the first result that has it."""
        rows = self.runs.metrics
        columns = zip(
            rows["trial"], rows["metric"], rows["value"], (rows["high"] - rows["low"]) / (2 * Z95), strict=True
        )
        found: dict[tuple[str, str], tuple[float, float]] = {}
        for trial, metric, value, error in columns:
            found.setdefault((trial, metric), (float(value), float(error)))
        return found

    @cached_property
    def _tasks(self) -> dict[str, str]:
        return dict(zip(self.runs.trials["trial"], self.runs.trials["task"], strict=True))

    def value(self, trial: str, metric: str) -> float:
        """One metric of one trial as a fraction; NaN when it is not there."""
        return self._metrics.get((trial, metric), (math.nan, math.nan))[0]

    def error(self, trial: str, metric: str) -> float:
        """Its standard error, from the 95 % interval; NaN without one."""
        return self._metrics.get((trial, metric), (math.nan, math.nan))[1]

    def measures(self, task: str) -> Gain:
        """What a task is measured by on this sweep's collection; nothing for an unknown one."""
        collection = str(self.runs.spec.get("collection") or "miniature")
        return TASKS[task].gain.get(collection, Gain((), ())) if task in TASKS else Gain((), ())

    def measured(self, trial: str, metrics: tuple[str, ...]) -> float:
        """Their mean as a fraction; NaN where one is not there."""
        return float(np.mean([self.value(trial, metric) for metric in metrics])) if metrics else math.nan

    def factor(self, task: str) -> int:
        """What the task's measures are multiplied by where people read them: 100, to points, or 1 where they are no shares."""
        return min(map(per_cent, self.measures(task).after), default=100)

    def gain(self, trial: str) -> float:
        """What the trial's own task gained, in points (`factor`), + is better: after - before; NaN for a baseline or an unknown side.

        Before is the untouched backbone: its own verification, or its text prompts where the trial trained a detector.
        """
        task = self._tasks.get(trial)
        gain = self.measures(str(task))
        sign = direction(gain.after[0]) if gain.after else 1
        difference = self.measured(trial, gain.after) - self.measured(self.baseline.get(trial, ""), gain.before)
        return self.factor(str(task)) * sign * difference

    def gain_error(self, trial: str) -> float:
        """Standard error of what the trial itself reached, in points: that of the baseline is common to all of one backbone."""
        task = self._tasks.get(trial)
        squares = [self.error(trial, metric) ** 2 for metric in self.measures(str(task)).after]
        return self.factor(str(task)) * math.sqrt(sum(squares)) / len(squares) if squares else math.nan


def compare(runs: Runs) -> Comparison:
    """Everything the tables, pictures and findings are made of."""
    status = select(runs)
    own = baselines(runs.trials)
    general = {suite: _general(runs, suite, own, status) for suite in averaged()}
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
    """Mean over the columns, NaN for a row with a gap. Same unit as `scores`."""
    means = [_average(scores.loc[trial]).value for trial in scores.index]
    return pd.Series(means, index=scores.index, dtype=float)


def gelo(average: pd.Series, baseline: Mapping[Any, Any]) -> pd.Series:
    """Average after / average of the own baseline, by trial; NaN for a baseline, a gap on either side, or a baseline of 0."""
    means = {trial: Average(_known(value)) for trial, value in average.items()}
    kept = [retention(mean, means.get(baseline.get(trial))).value for trial, mean in means.items()]
    return pd.Series(kept, index=average.index, dtype=float)


def _general(runs: Runs, suite: str, own: Mapping[str, str], status: Mapping[str, Status]) -> General:
    leaf = suites()[suite].averaged
    rows = runs.metrics[(runs.metrics["suite"] == suite) & (runs.metrics["leaf"] == leaf)]
    trials, sets = list(runs.trials["trial"]), expected(runs, suite)
    scores = _square(rows, "value", trials, sets)
    errors = (_square(rows, "high", trials, sets) - _square(rows, "low", trials, sets)) / (2 * Z95)
    means = {trial: _average(scores.loc[trial], errors.loc[trial]) for trial in trials}
    kept = {trial: retention(mean, means.get(own.get(trial, ""))) for trial, mean in means.items()}
    why = {}
    for trial in (trial for trial in trials if kept[trial].why):
        broken = means[trial].lacking and status[trial].state in BROKEN
        failed = f"the trial {status[trial].state}; " if broken else ""
        why[trial] = f"{failed}{kept[trial].why}"
    return General(
        scores, _column(means, "value"), _column(means, "error"), _column(kept, "value"), _column(kept, "error"), why,
        choice(runs, suite),
    )  # fmt: skip


def _average(scores: pd.Series, errors: pd.Series | None = None) -> Average:
    return average(
        {
            str(name): Score(_known(value), None if errors is None else _known(errors[name]))
            for name, value in scores.items()
        }
    )


def _known(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _column(of: Mapping[str, Any], name: str) -> pd.Series:
    return pd.Series({trial: getattr(each, name) for trial, each in of.items()}, dtype=float)


def _square(rows: pd.DataFrame, column: str, trials: list[str], sets: list[str]) -> pd.DataFrame:
    wide = rows.drop_duplicates(["trial", "part"]).pivot(index="trial", columns="part", values=column)
    return wide.reindex(index=trials, columns=sets).astype(float)
