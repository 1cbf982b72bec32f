"""What the specialisation bought: verification after - before, detectors against text prompts, in points."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import Finding, groups, signed, spelled
from gelo.analysis.resampling import interval
from gelo.models.words import counted
from gelo.tasks.training import TASKS
from gelo.tasks.training.base import Gain

MOST_SHOWN = 8  # settings of a task that are told one by one


def gains(comparison: Comparison, plain: pd.DataFrame) -> Iterator[Finding]:
    """A finding for each task that was trained, with the mean gain over its backbones and adaptations."""
    for task, title in ((name, task.question) for name, task in TASKS.items()):
        gain, factor = comparison.measures(task), comparison.factor(task)
        share, points = (" %", " points") if factor == 100 else ("", "")
        rows = plain[plain["task"] == task]
        parts, found = [], []
        for cell, trials in groups(rows, ["backbone", "adaptation"]):
            ends = [_ends(comparison, gain, trial) for trial in trials["trial"]]
            known = np.array([pair for pair in ends if not any(map(math.isnan, pair))])
            if len(known):
                first, last = known.mean(axis=0)
                found.append(factor * (last - first))
                many = f", mean of {len(known)} trials" if len(known) > 1 else ""
                name = f"{cell[0]} {spelled(cell[1])}"
                parts.append(f"{name} {factor * first:.2f} to {factor * last:.2f}{share} ({signed(found[-1])}{many})")
        if parts:
            spread = f"{signed(min(found))} to {signed(max(found))}" if len(found) > 1 else signed(found[0])
            number, ends_told, test = _mean(comparison, gain, factor, rows, points)
            each = (
                f": {'; '.join(parts)}."
                if len(parts) <= MOST_SHOWN
                else f" over {len(parts)} settings, each in the tables below."
            )
            yield Finding(title, "measured", f"{spread}{points}{each}", number, ends_told, test)
        elif len(rows):
            missing = f"{', '.join(gain.after)} after, or {', '.join(gain.before)} of the baseline, is missing"
            missing = next(filter(None, map(comparison.why_no_gain, rows["trial"])), missing)
            yield Finding(title, "cannot be said", f"{missing[0].upper()}{missing[1:]}.")


def _ends(comparison: Comparison, gain: Gain, trial: str) -> tuple[float, float]:
    """Before and after, as they are measured; NaN where they make no gain."""
    if comparison.why_no_gain(trial):
        return math.nan, math.nan
    before = comparison.measured(comparison.baseline.get(trial, ""), gain.before)
    return before, comparison.measured(trial, gain.after)


def _mean(comparison: Comparison, gain: Gain, factor: int, rows: pd.DataFrame, points: str) -> tuple[str, str, str]:
    """The mean difference over backbones and adaptations, its interval, and what that stands on; "" where not known. Both sides are taken
    as independent, and the mean as noisy as one of its trials: they share their images."""
    differences = rows.assign(
        difference=[factor * -float(np.subtract(*_ends(comparison, gain, trial))) for trial in rows["trial"]],
        error=rows["trial"].map(comparison.gain_error),
    ).dropna(subset=["difference"])
    cells = differences.groupby(["seed", "backbone", "adaptation"])["difference"].mean().unstack("seed")
    if cells.isna().any().any():
        return "", "", ""
    values = cells.mean(axis=0).tolist()
    number = f"{signed(float(np.mean(values)))}{points}"
    error = float(differences["error"].mean(skipna=False))
    if math.isnan(error):
        return number, "", "none: the noise is not known"
    low, high = interval(values, error)
    seeds = counted(len(values), "seed") + ("" if len(values) > 1 else ", whose spread is not known")
    over = f", mean of {len(cells)}" if len(cells) > 1 else ""
    return number, f"{signed(low)} to {signed(high)}", f"intervals of both sides, taken as independent{over}; {seeds}"
