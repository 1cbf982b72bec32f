"""What pictures draw of trials: a row each, and a row an approach, the mean over its seeds with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from gelo.analysis.compare import Z95, Comparison
from gelo.analysis.finding import groups, signed, spelled
from gelo.analysis.labels import NONE
from gelo.analysis.resampling import interval


def measured(comparison: Comparison) -> pd.DataFrame:
    """The trials with gelo, its 95 % margin, biometric gain (points, + is better; none of a task that is measured otherwise) and its
    standard error, NaN if unknown."""
    general = comparison.general["zero_shot"]
    trials = comparison.runs.trials
    shares = [comparison.factor(str(task)) == 100 for task in trials["task"]]
    return trials.assign(
        gelo=trials["trial"].map(general.gelo),
        margin=Z95 * trials["trial"].map(general.gelo_error),
        gain=_known(trials, shares, comparison.gain),
        gain_error=_known(trials, shares, comparison.gain_error),
    )


def approaches(comparison: Comparison) -> pd.DataFrame:
    """A row for every backbone, task, adaptation and remedy with its settings, of those whose share kept is known: kept, gain (points) and
    the ends of their 95 % intervals (kept_low, ..., NaN where there is none) as means over seeds; name: adaptation and kind of remedy;
    seeds: how many of `planned` are known."""
    frame = measured(comparison)
    frame = frame[frame["task"] != NONE]
    found = []
    for (backbone, task, adaptation, remedy), rows in groups(frame, ["backbone", "task", "adaptation", "remedy"]):
        known = rows.dropna(subset=["gelo"])
        if known.empty:
            continue
        gained = known.dropna(subset=["gain"])
        found.append(
            {"backbone": backbone, "task": task, "adaptation": adaptation, "remedy": remedy,
             "kind": str(rows["remedy_kind"].iloc[0]), "name": named(adaptation, rows["remedy_kind"].iloc[0]),
             **spread("kept", known["gelo"].tolist(), known["margin"].mean() / Z95),
             **spread("gain", gained["gain"].tolist(), gained["gain_error"].mean()),
             "seeds": len(known), "planned": len(rows)}
        )  # fmt: skip
    columns = ["backbone", "task", "adaptation", "remedy", "kind", "name", "kept", "kept_low", "kept_high", "gain"]
    return pd.DataFrame(found, columns=[*columns, "gain_low", "gain_high", "seeds", "planned"])


def spread(name: str, values: Sequence[float], error: float) -> dict[str, float]:
    """{name, name_low, name_high}: the mean of the seeds' values and the ends of its interval (`resampling.interval`); error: of the test
    images. NaN for no value, ends NaN where the error is not known."""
    low, high = interval(list(values), float(error)) if values and math.isfinite(error) else (math.nan, math.nan)
    return {name: float(np.mean(values)) if values else math.nan, f"{name}_low": low, f"{name}_high": high}


def named(adaptation: object, kind: object) -> str:
    """An approach for people: `LoRA + wise`; settings of a remedy are one approach."""
    return spelled(adaptation) + ("" if kind == NONE else f" + {kind}")


def told(value: float, low: float, high: float, digits: int) -> str:
    """`0.912 (0.905 to 0.919)`; the value alone where it has no interval."""
    if math.isnan(low) or math.isnan(high):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def moved(change: float) -> str:
    """A change in points with its sign: `+13.0`, `−2.5`, and `0.0` for what rounds to it."""
    return signed(change) if abs(change) >= 0.05 else "0.0"


def unique(values: pd.Series) -> list[str]:
    return [str(value) for value in values.unique()]


def cell_name(backbone: str, task: str) -> str:
    """Of a panel."""
    return f"{task}, {backbone}"


def cells(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each task and backbone: the backbones of a task beside each other."""
    tasks = unique(frame["task"])
    return [rows for _, rows in sorted(groups(frame, ["task", "backbone"]), key=lambda cell: tasks.index(cell[0][0]))]


def seeds_of(known: int, planned: int) -> str:
    """`3 seeds`, `1 of 3 seeds`."""
    return f"{known} seed{'s' if known != 1 else ''}" if known == planned else f"{known} of {planned} seeds"


def _known(trials: pd.DataFrame, which: Sequence[bool], value: Callable[[str], float]) -> list[float]:
    return [value(str(key)) if share else math.nan for key, share in zip(trials["trial"], which, strict=True)]
