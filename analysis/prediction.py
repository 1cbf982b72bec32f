"""From what a look saw early, how well is told what a trial keeps in the end: the table `prediction`.

Decisions. The look is the last within a tenth of the steps, or the first. Early numbers are of validation images, what is kept of test
images. Each backbone stands for itself. Left out is one task after the other, the line fitted to the others; where there is one task
alone, one kind of remedy after the other. Trials that were made after training have no look. Seeds of an approach are alike, so
approaches are counted and drawn.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups
from gelo.analysis.foretold import Points, intervals, spearman, told
from gelo.analysis.labels import IDENTITY
from gelo.analysis.tables import Cell, Row, Table

NAME = "prediction"
LEAST, LEAST_OF_A_TASK = (
    10,
    5,
)  # approaches of a backbone below which nothing is said; of a task within which trials are ranked
TENTH = 10  # one in so many of the looks, if there are as many
KEPT_EARLY, MEAN = "kept early", "mean of the task"
WORDS = {
    KEPT_EARLY: KEPT_EARLY, "distance": "weight distance", "drift": "feature drift", "cka": "CKA", "alignment": "gradient alignment",
    "sharpness": "sharpness",
}  # fmt: skip
_NUMBERS = ("rho", "within", "left_out", "error")
_CONSTANT = "the same for every trial of a task: it ranks none of them"
_ONE_TASK = "one task alone: see left out"


def prediction_table(comparison: Comparison) -> Table | None:
    """By backbone a row for each measure, and one for the mean of the task; None where no trial of the sweep kept how far it went."""
    if not comparison.runs.drifts:
        return None
    rows = [row for (backbone,), of in groups(early(comparison), ["backbone"]) for row in _rows(backbone, of)]
    ends = [column for name in _NUMBERS for column in (name, f"{name}_low", f"{name}_high")]
    columns = ("measure", "trials", "approaches", "tasks", "per_cent_of_steps", *ends)
    return Table(
        NAME,
        columns,
        tuple(name for name in columns if name not in ("measure", "error_low", "error_high")),
        tuple(rows),
    )


def early(comparison: Comparison) -> pd.DataFrame:
    """A row for each trial that was looked at while it trained and whose zero-shot accuracy kept is known: backbone, task, kind (of its
    remedy), approach, share (of the steps at the look), kept (in the end), and the measures of `WORDS`, NaN where one is not there."""
    runs, kept = comparison.runs, comparison.general["zero_shot"].gelo
    rows = []
    for _, trial in runs.trials.iterrows():
        key = str(trial["trial"])
        curve = runs.curves.get(key)
        if curve is None or trial["sources"] or math.isnan(kept[key]):
            continue
        looks = int(trial["settings"].get("watch.points", len(curve.points) - 1))
        number = max(1, looks // TENTH)
        if len(curve.points) <= number:
            continue
        point, first = curve.points.iloc[number], curve.points.iloc[0]
        numbers = {KEPT_EARLY: float(point["validation"] / first["validation"]) if first["validation"] else math.nan}
        rows.append({
            "backbone": trial["backbone"], "task": trial["task"], "kind": trial["remedy_kind"], "share": number / looks,
            "approach": f"{trial['task']}/{trial['adaptation']}/{trial['remedy']}", "kept": float(kept[key]),
            **dict.fromkeys(WORDS, math.nan), **numbers, **_drift(comparison, key, int(point["step"])),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["backbone", "task", "kind", "approach", "share", "kept", *WORDS])


def _drift(comparison: Comparison, key: str, step: int) -> dict[str, float]:
    """Of the look at this step; what is measured at one look alone, of the first that has it, where that is no later."""
    drift = comparison.runs.drifts.get(key)
    if drift is None:
        return {}
    looks = drift.looks[drift.looks["step"] <= step]
    here = looks[looks["step"] == step]
    found = {name: float(here[name].iloc[0]) for name in ("distance", "drift", "cka") if len(here)}
    once = {name: looks[name].dropna() for name in ("alignment", "sharpness")}
    return found | {name: float(values.iloc[0]) for name, values in once.items() if len(values)}


def _rows(backbone: str, of: pd.DataFrame) -> list[Row]:
    tasks = list(dict.fromkeys(of["task"]))
    identity = dict.fromkeys(IDENTITY, "") | {"backbone": backbone, "task": ", ".join(tasks)}
    measured = [(words, name, of[of[name].notna()]) for name, words in WORDS.items()]
    rows = [Row(identity, False, _cells(words, name, rows, backbone), words) for words, name, rows in measured]
    return [*rows, Row(identity, True, _of_the_mean(of), MEAN)]


def _cells(words: str, name: str, of: pd.DataFrame, backbone: str) -> dict[str, Cell]:
    found = _counts(words, of)
    approaches = of["approach"].nunique()
    if approaches < LEAST:
        return found | _none(f"cannot be said of {approaches} approaches: {LEAST} at least")
    if of[name].nunique() < 2 or of["kept"].nunique() < 2:
        return found | _none("the same for all trials: there is nothing to rank")
    points = points_of(of, name)
    value, ends = told(points), intervals(points, f"{backbone} {name}")
    several = of["task"].nunique() > 1
    few = several and of.groupby("task")["approach"].nunique().min() < LEAST_OF_A_TASK
    why = {
        "rho": f"a task has fewer than {LEAST_OF_A_TASK} approaches to rank" if few else "",
        "within": _ONE_TASK
        if not several
        else f"a task has fewer than {LEAST_OF_A_TASK} approaches to rank"
        if few
        else "",
    }
    for each in _NUMBERS:
        form = ".3f" if each == "error" else "+.2f"
        number = getattr(value, each)
        reason = why.get(each, "") or ("" if math.isfinite(number) else "what is left has no line, or no ranks")
        found |= _spread(each, number, None if reason else ends[each], reason, form)
    return found


def _of_the_mean(of: pd.DataFrame) -> dict[str, Cell]:
    """It knows the task that is left out, which no measure does; of one task alone it is the mean of the other remedies' trials."""
    found = _counts(MEAN, of)
    if of["approach"].nunique() < LEAST:
        return found | _none(f"cannot be said of {of['approach'].nunique()} approaches: {LEAST} at least")
    several = of["task"].nunique() > 1
    if several:
        mean = of.groupby("task")["kept"].transform("mean")
    else:
        sums, counts = (of.groupby("kind")["kept"].transform(way) for way in ("sum", "count"))
        mean = (of["kept"].sum() - sums) / (len(of) - counts)
    rank = spearman(mean.to_numpy(float), of["kept"].to_numpy(float)) if several else math.nan
    found |= {
        column: cell
        for each in ("rho", "within")
        for column, cell in _spread(each, math.nan, None, _CONSTANT, "").items()
    }
    found |= _spread("left_out", rank, None, "" if several else "one task alone: its mean ranks nothing", "+.2f")
    error = float((mean - of["kept"]).abs().mean())
    return found | _spread("error", error, None, "" if math.isfinite(error) else "one kind of remedy alone", ".3f")


def points_of(of: pd.DataFrame, name: str) -> Points:
    """The rows of one backbone, by one measure; left out together are those of a task, of one task alone those of a kind of remedy."""
    several = of["task"].nunique() > 1
    codes = [
        np.asarray(pd.factorize(of[column])[0], np.intp)
        for column in ("task", "task" if several else "kind", "approach")
    ]
    return Points(of[name].to_numpy(float), of["kept"].to_numpy(float), *codes)


def _counts(words: str, of: pd.DataFrame) -> dict[str, Cell]:
    shares = sorted({round(100 * share) for share in of["share"]})
    at = (
        Cell(" to ".join(str(share) for share in dict.fromkeys((shares[0], shares[-1]))))
        if shares
        else Cell("", "no look")
    )
    counts = {"trials": len(of), "approaches": of["approach"].nunique(), "tasks": of["task"].nunique()}
    return {
        "measure": Cell(words),
        **{name: Cell(str(count)) for name, count in counts.items()},
        "per_cent_of_steps": at,
    }


def _spread(name: str, value: float, ends: tuple[float, float] | None, reason: str, form: str) -> dict[str, Cell]:
    """Three cells: the number and the ends of its interval."""
    if reason or not math.isfinite(value):
        return {column: Cell("", reason) for column in (name, f"{name}_low", f"{name}_high")}
    low, high = ends if ends is not None else (None, None)
    own = Cell(format(value, form), low=low, high=high)
    beside = [Cell("", "no interval") if end is None else Cell(format(end, form)) for end in (low, high)]
    return {name: own, f"{name}_low": beside[0], f"{name}_high": beside[1]}


def _none(reason: str) -> dict[str, Cell]:
    return {column: cell for name in _NUMBERS for column, cell in _spread(name, math.nan, None, reason, "").items()}
