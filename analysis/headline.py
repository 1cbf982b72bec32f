"""A sweep in a few numbers, for a table in which sweeps stand beside each other."""

from __future__ import annotations

import math
from collections import defaultdict

from gelo.analysis.compare import Comparison
from gelo.analysis.labels import NONE


def headline(comparison: Comparison) -> dict[str, float]:
    """Names as MLflow takes them -> values: how many trials there are, how many are complete and, where some are, how many a
    scheduler cut; for each task, over the trials trained
    for it, the lowest and the highest share kept of a suite (`gelo/zero_shot/faces/lowest`) and gain on the task
    (`gain/faces/highest`), a fraction or what else its measure is. What no trial has is absent; a share over other sets than the
    collection's says how many: `gelo/zero_shot_12/...`.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for _, row in comparison.runs.trials.iterrows():
        if row["task"] == NONE:
            continue
        for suite, general in comparison.general.items():
            found[f"gelo/{suite}{general.choice}/{row['task']}"].append(general.gelo.get(row["trial"], math.nan))
        found[f"gain/{row['task']}"].append(comparison.gain(row["trial"]) / comparison.factor(row["task"]))
    values = {
        "trials/all": float(len(comparison.status)),
        "trials/complete": float(sum(status.state == "complete" for status in comparison.status.values())),
    }
    if cut := sum(status.state == "cut" for status in comparison.status.values()):
        values["trials/cut"] = float(cut)
    for name, each in found.items():
        if known := [value for value in each if math.isfinite(value)]:
            values |= {f"{name}/lowest": float(min(known)), f"{name}/highest": float(max(known))}
    return values
