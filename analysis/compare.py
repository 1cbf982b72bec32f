"""What a specialisation cost: averages over data sets, GELO, differences to a trial's own baseline.

GELO is `gelo.tasks.ledger.retention`; a trial's own baseline is the same backbone with task none. The published tables
(`analysis/published`)
recompute with it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gelo.analysis.images import Images, resampled_averages
from gelo.analysis.labels import is_baseline
from gelo.analysis.runs import Runs
from gelo.analysis.select import BROKEN, Status, choice, expected, select
from gelo.tasks.ledger.retention import Average, Retention, Score, average, retention
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
    side. Where scores by image are there, `kept.Kept` has those of the same images.
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
        errors = (rows["high"] - rows["low"]) / (2 * Z95)
        columns = [each.to_numpy() for each in (rows["trial"], rows["metric"], rows["value"], errors)]
        found: dict[tuple[str, str], tuple[float, float]] = {}
        for trial, metric, value, error in zip(*columns, strict=True):
            found.setdefault((trial, metric), (float(value), float(error)))
        return found

    @cached_property
    def _scored_by(self) -> dict[tuple[str, str], tuple[str, int]]:
        """(trial, metric) -> protocol and its version, of the result that `value` is of."""
        rows = self.runs.metrics
        found: dict[tuple[str, str], tuple[str, int]] = {}
        columns = (rows[name].to_numpy() for name in ("trial", "metric", "protocol", "version"))
        for trial, metric, *scored in zip(*columns, strict=True):
            found.setdefault((trial, metric), (str(scored[0]), int(scored[1])))
        return found

    @cached_property
    def _images(self) -> dict[str, Images]:
        return {}

    def images(self, suite: str) -> Images:
        """The suite's averages on test images drawn again, of every trial; files are read at the first call only."""
        if suite not in self._images:
            self._images[suite] = resampled_averages(self.runs, suite, list(self.general[suite].scores.columns))
        return self._images[suite]

    @cached_property
    def _tasks(self) -> dict[str, str]:
        return dict(zip(self.runs.trials["trial"], self.runs.trials["task"], strict=True))

    def task(self, trial: str) -> str:
        """What a trial was trained for; `none` for an untouched backbone."""
        return str(self._tasks[trial])

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
        """What the trial's own task gained, in points (`factor`), + is better: after - before; NaN for a baseline, an unknown side, and
        where `why_no_gain` says something. Before: the untouched backbone's verification, or its text prompts where a detector was trained.
        """
        task = self._tasks.get(trial)
        gain = self.measures(str(task))
        sign = direction(gain.after[0]) if gain.after else 1
        if self.why_no_gain(trial):
            return math.nan
        difference = self.measured(trial, gain.after) - self.measured(self.baseline.get(trial, ""), gain.before)
        return self.factor(str(task)) * sign * difference

    def why_no_gain(self, trial: str) -> str:
        """Why what is there makes no gain: one protocol, several versions, on either side or between them; "" where nothing forbids it."""
        gain = self.measures(str(self._tasks.get(trial)))
        used: dict[str, set[int]] = defaultdict(set)
        for side, metrics in ((trial, gain.after), (self.baseline.get(trial, ""), gain.before)):
            scored = [self._scored_by[side, name] for name in metrics if (side, name) in self._scored_by]
            for protocol, version in scored:
                used[protocol].add(version)
        mixed = {protocol: sorted(versions) for protocol, versions in used.items() if len(versions) > 1}
        return "; ".join(f"scored by versions {_listed(each)} of {protocol}" for protocol, each in mixed.items())

    def gain_error(self, trial: str, *, both: bool = True) -> float:
        """Standard error of its gain, in points, both sides taken as independent; not both: of what the trial itself reached, since that of
        the baseline is common to all of one backbone."""
        task = str(self._tasks.get(trial))
        gain, own = self.measures(task), self.baseline.get(trial, "")
        sides = [(trial, gain.after), *[(own, gain.before)] * both]
        errors = [math.hypot(*(self.error(key, name) for name in names)) / max(1, len(names)) for key, names in sides]
        return self.factor(task) * math.hypot(*errors) if all(names for _, names in sides) else math.nan


def compare(runs: Runs) -> Comparison:
    """Everything the tables, pictures and findings are made of."""
    status = select(runs)
    own = baselines(runs.trials)
    general = {suite: _general(runs, suite, own, status) for suite in averaged()}
    return Comparison(runs, status, own, general)


def baselines(trials: pd.DataFrame) -> dict[str, str]:
    """Trial -> its own baseline: same backbone; of several, the one with the same seed, else the first."""
    own: dict[str, str] = {}
    rows = trials.to_dict("records")
    candidates = [row for row in rows if is_baseline(row)]
    for row in rows:
        same = [base for base in candidates if base["backbone"] == row["backbone"]]
        same.sort(key=lambda base: base["seed"] != row["seed"])
        if same and not is_baseline(row):
            own[row["trial"]] = same[0]["trial"]
    return own


def unlike(rows: pd.DataFrame, own: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Trial -> (why its values are not averaged, why they are not set against its own baseline), of those whose values were scored by
    several versions of a protocol, or by another than the baseline's: numbers of two versions are two quantities. rows: of one suite."""
    versions = {trial: sorted(set(each)) for trial, each in rows.groupby("trial")["version"]}
    found = {}
    for trial, each in versions.items():
        before = versions.get(own.get(str(trial), ""), each)
        alone = f"scored by versions {_listed(each)} of the protocol" if len(each) > 1 else ""
        other = f"scored by version {_listed(each)} of the protocol, its baseline by {_listed(before)}"
        if alone or before != each:
            found[str(trial)] = (alone, "" if alone else other)
    return found


def _listed(versions: Sequence[int]) -> str:
    return " and ".join(map(str, versions))


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
    known, apart = scores.to_dict("index"), errors.to_dict("index")
    means = {trial: _average(known[trial], apart[trial]) for trial in trials}
    mixed = unlike(rows, own)
    means = {trial: Average(None) if mixed.get(trial, ("",))[0] else mean for trial, mean in means.items()}
    kept = {trial: retention(mean, means.get(own.get(trial, ""))) for trial, mean in means.items()}
    kept |= {trial: Retention(None, why=" ".join(told).strip()) for trial, told in mixed.items()}
    why = {}
    for trial in (trial for trial in trials if kept[trial].why):
        broken = means[trial].lacking and status[trial].state in BROKEN
        failed = f"the trial {status[trial].state}; " if broken else ""
        why[trial] = f"{failed}{kept[trial].why}"
    return General(
        scores, _column(means, "value"), _column(means, "error"), _column(kept, "value"), _column(kept, "error"), why,
        choice(runs, suite),
    )  # fmt: skip


def _average(scores: pd.Series | Mapping[Any, float], errors: Mapping[Any, float] | None = None) -> Average:
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
