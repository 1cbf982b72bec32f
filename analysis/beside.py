"""Our rows beside the paper's, matched by backbone and task, with the difference: of full-size backbones on the official sets alone.

The miniature is in none of these tables: its accuracies are of other images, other classes and encoders a hundredth of the size, so that a
difference to a published number would look like a finding and be none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import Comparison, averages, baselines, gelo, unlike
from gelo.analysis.labels import IDENTITY, NONE
from gelo.analysis.published import TABLES, TASK_OF, UNTOUCHED, Counterpart, Name, as_runs, counterparts, published
from gelo.models.backbones.registry import BACKBONES
from gelo.models.faults import Fault, UserError

PREFIX = "published_"
_RULE = (
    "Per cent. Rows marked published are those of arXiv 2509.14921, all LoRA without a remedy; below each of ours the difference to the "
    "published number of the same backbone and task, in points, ours less theirs. Trials of other backbones and tasks have none."
)
TITLES = {
    f"{PREFIX}zero_shot": ("Beside the published: zero-shot accuracy", _RULE),
    f"{PREFIX}linear_probe": (
        "Beside the published: linear probe accuracy",
        f"{_RULE} The study does not say on which features it fitted the probe, and on which images; ours: Protocols.",
    ),
    f"{PREFIX}biometric": (
        "Beside the published: biometric performance",
        f"{_RULE} Errors by the papers' own rules (the names with _thinned in biometric.csv).",
    ),
}
_WITHOUT = {
    "morphs": "the study does not say how it scored a model without a trained morphing attack detector",
    "spoofs": "the study does not say how it scored a model without a trained presentation attack detector",
}


def beside(comparison: Comparison) -> dict[str, Table]:
    """`published_zero_shot`, `published_linear_probe`, `published_biometric`, those that the sweep has a number for: each published row,
    below it ours of its backbone and task.

    A column's `_difference` stands behind it. Average and GELO are over the sets that both have, and say their number where they are not
    all. Raises UserError for a sweep of which nothing can stand beside: the miniature.
    """
    known = _Known(comparison)
    if not known.cells:
        raise UserError(f"published {comparison.runs.sweep}", _why_not(comparison))
    places = {name: {place.metric for place in counterparts(name).values()} for name in TABLES}
    return {f"{PREFIX}{name}": _table(known, name) for name in TABLES if known.rows["metric"].isin(places[name]).any()}


def _why_not(comparison: Comparison) -> Fault:
    runs = comparison.runs
    found = runs.miniature or f"no result of {', '.join(_backbones())} on a data set of the paper's"
    expected = f"full-size backbones ({', '.join(_backbones())}) on the paper's data sets, whose numbers the published ones are"
    return Fault(f"sweep {runs.sweep}", found, expected, "gelo run paper; docs/paper.md says what it needs")


def _backbones() -> list[str]:
    return [str(name) for name in as_runs().trials["backbone"].unique()]


class _Known:
    """What of a sweep may stand beside the published rows."""

    def __init__(self, comparison: Comparison) -> None:
        runs = comparison.runs
        full = [name for name in _backbones() if name in BACKBONES and BACKBONES[name].scale == "full"]
        trials = runs.trials[runs.trials["backbone"].isin(full) & runs.trials["task"].isin([NONE, *TASK_OF.values()])]
        rows = runs.metrics[runs.metrics["trial"].isin(trials["trial"]) & (runs.metrics["scale"] == "full")]
        wanted = {each for name in TABLES for each in counterparts(name).values()}
        places = {(each.dataset, each.metric) for each in wanted}
        self.rows = rows[[place in places for place in zip(rows["dataset"], rows["metric"], strict=True)]]
        self.cells = {(row["trial"], row["metric"]): row for _, row in self.rows.iterrows()}
        self.trials = trials if self.cells else trials.iloc[:0]
        self.own, self.partial, self.status = comparison.baseline, set(runs.partial), comparison.status

    def value(self, trial: str, metric: str) -> float:
        """A share; NaN where there is none."""
        row = self.cells.get((trial, metric))
        return math.nan if row is None else float(row["value"])


@dataclass(frozen=True)
class _Means:
    """Average (per cent) and GELO by row of either side, over the sets that both have."""

    average: Mapping[str, float]
    gelo: Mapping[str, float]
    why: Mapping[str, str]


def _table(known: _Known, name: Name) -> Table:
    places = counterparts(name)
    printed = published(name).set_index(["approach", "backbone"])
    heads = {
        column: f"{column} (partial)" if place.dataset in known.partial else column for column, place in places.items()
    }
    scored = {column for column, place in places.items() if (known.rows["metric"] == place.metric).any()}
    suffix = "" if len(scored) == len(places) else f"_{len(scored)}"
    means = _means(known, name, scored) if name != "biometric" else None
    columns = [*heads.values(), *([f"average{suffix}", f"gelo{suffix}"] if means else [])]
    rows: list[Row] = []
    for theirs, ours in _matched(known):
        approach, backbone = theirs
        numbers = {head: float(printed.at[theirs, column]) for column, head in heads.items()}
        if means:
            numbers |= {
                f"average{suffix}": means.average[" ".join(theirs)],
                f"gelo{suffix}": means.gelo[" ".join(theirs)],
            }
        identity = dict.fromkeys(IDENTITY, "") | {"backbone": backbone, "task": TASK_OF.get(approach, "untouched")}
        cells = {
            head: Cell(_text(head, number), value=number) for head, number in numbers.items() if not math.isnan(number)
        }
        rows.append(_row(identity | {"adaptation": f"{approach}, published"}, cells, columns))
        for _, trial in ours.iterrows():
            key = str(trial["trial"])
            cells = {
                heads[column]: _ours(known, trial, place, numbers[heads[column]]) for column, place in places.items()
            }
            if means:
                cells |= _mean_cells(means, key, numbers, suffix, bool(trial["task"] == NONE))
            rows.append(_row({each: str(trial[each]) for each in IDENTITY}, cells, columns))
    every = tuple(each for column in columns for each in (column, f"{column}_difference"))
    return Table(f"{PREFIX}{name}", every, tuple(columns), tuple(rows), frozenset({f"gelo{suffix}"}))


def _matched(known: _Known) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """((approach, backbone), our trials) of the backbones that we have, in the paper's order."""
    for backbone in _backbones():
        own = known.trials[known.trials["backbone"] == backbone]
        if len(own):
            for approach in (UNTOUCHED, *TASK_OF):
                yield (approach, backbone), own[own["task"] == TASK_OF.get(approach, NONE)]


def _ours(known: _Known, trial: pd.Series, place: Counterpart, theirs: float) -> Cell:
    if place.headed and trial["task"] != place.headed:
        return Cell("", _WITHOUT[place.headed])
    row = known.cells.get((trial["trial"], place.metric))
    if row is None:
        return Cell("", f"{place.dataset} is not scored here")
    if math.isnan(row["value"]):
        return Cell("", str(row["reason"]) or "unknown")
    value = 100 * float(row["value"])
    low, high = (None if math.isnan(end) else 100 * float(end) for end in (row["low"], row["high"]))
    return Cell(f"{value:.2f}", "", value - theirs, low=low, high=high, value=value, version=int(row["version"]))


def _means(known: _Known, name: Name, scored: set[str]) -> _Means:
    """Ours and theirs by the same code; theirs as it is printed where no set is missing."""
    places = {column: place.metric for column, place in counterparts(name).items() if column in scored}
    both: dict[str, float] = {}
    kept: dict[str, float] = {}
    why: dict[str, str] = {}
    runs = as_runs()
    other = runs.metrics.pivot(index="trial", columns="metric", values="value")[list(places.values())]
    ours = pd.DataFrame(
        {metric: [known.value(trial, metric) for trial in known.trials["trial"]] for metric in places.values()},
        index=known.trials["trial"],
    )
    mixed = unlike(known.rows[known.rows["metric"].isin(places.values())], known.own)
    ours.loc[[trial for trial, told in mixed.items() if told[0]]] = math.nan
    for scores, own in ((other, baselines(runs.trials)), (ours, known.own)):
        average = averages(scores)
        both |= (100 * average).to_dict()
        kept |= gelo(average, own).to_dict()
    for trial, scores in ours.iterrows():
        lacking = [column for column, metric in places.items() if math.isnan(scores[metric])]
        if lacking:
            why[str(trial)] = f"no accuracy for {', '.join(lacking)}"
    for trial, told in mixed.items():
        kept[trial], why[trial] = math.nan, " ".join(told).strip()
    if len(scored) == len(counterparts(name)):
        rows = published(name)
        names = rows["approach"] + " " + rows["backbone"]
        both |= dict(zip(names, rows["average"], strict=True))
        kept |= dict(zip(names, rows["gelo"], strict=True))
    return _Means(both, kept, why)


def _mean_cells(means: _Means, trial: str, theirs: Mapping[str, float], suffix: str, baseline: bool) -> dict[str, Cell]:
    cells = {}
    for column, value in ((f"average{suffix}", means.average[trial]), (f"gelo{suffix}", means.gelo[trial])):
        if math.isnan(value):
            own = "" if baseline and column.startswith("gelo") else means.why.get(trial, "its baseline has no average")
            cells[column] = Cell("", own)
        else:
            cells[column] = Cell(_text(column, value), "", value - theirs[column], value=value)
    return cells


def _text(column: str, value: float) -> str:
    return f"{value:.3f}" if column.startswith("gelo") else f"{value:.2f}"


def _row(identity: Mapping[str, str], cells: Mapping[str, Cell], columns: list[str]) -> Row:
    """With the difference of each column behind it, rounded as the column is; empty for the published row itself."""
    full: dict[str, Cell] = {}
    for column in columns:
        cell = cells.get(column, Cell(""))
        digits = 3 if column.startswith("gelo") else 2
        change = "" if cell.change is None else f"{cell.change:+.{digits}f}"
        full |= {column: cell, f"{column}_difference": Cell(change, value=cell.change)}
    return Row(identity, False, full)
