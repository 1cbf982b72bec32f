"""What a reader should know before believing a number: what is missing, undefined, thin, mixed, leaked, or not compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.labels import NONE
from gelo.analysis.pagetables import row_name
from gelo.models.faults import folded
from gelo.models.secrets import redacted
from gelo.models.words import counted

MOST = 60  # lines of one warning


@dataclass(frozen=True)
class Line:
    """One place. where: its name; text: what is the matter; key: a trial's; find: what shows it among all values; more: reasons."""

    where: str
    text: str
    key: str = ""
    find: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Warned:
    """One kind of warning. name: its anchor; count: in words, "" where nothing was found, which `nothing` then says; note: what to do."""

    name: str
    title: str
    count: str
    lines: tuple[Line, ...] = ()
    note: str = ""
    nothing: str = "None."
    left: int = field(default=0)


def warnings(comparison: Comparison) -> list[Warned]:
    """Every kind in the order of weight; those of which nothing was found too, so that a reader knows that somebody looked."""
    runs, metrics = comparison.runs, comparison.runs.metrics
    told = [(fault.where.startswith("MLflow experiment"), redacted(str(fault))) for fault in folded(runs.faults)]
    tracked = [Line("", text) for mlflow, text in told if mlflow]
    broken = [Line("", text) for mlflow, text in told if not mlflow]
    unchecked = list(_said(metrics, "unchecked"))
    among = " among those that could be compared" if unchecked else ""
    partial = [Line(name, "prepared from an incomplete download", find=name) for name in runs.partial]
    compared = "Every value was compared with MLflow." if runs.tracked else "Values were not compared with MLflow."
    return [
        _trials(comparison),
        _warned("faults", "Faults found while reading", "fault", broken),
        _warned("mlflow", "Where MLflow and the files differ", "difference", tracked, nothing=f"None. {compared}"),
        _warned("leaks", "Images that were learnt from and are scored", "leak", _said(metrics, "leak"), nothing=f"None found{among}."),
        _warned("unchecked", "Not checked for such images", "reason", unchecked),
        _warned("mixed", "Mixed protocol versions, or data sets that changed", "data set", _mixed(metrics)),
        _warned("partial", "Data sets that lack some of their images", "data set", partial),
        _warned("undefined", "Values that are undefined", "reason", _undefined(metrics)),
        _warned("few", "Too few pairs or errors for a rate", "data set", _said(metrics, "few")),
        _warned("seeds", "One seed only", "approach", _single(comparison), note="The spread of training is in no interval of theirs."),
    ]  # fmt: skip


def _warned(name: str, title: str, noun: str, lines: Iterable[Line], note: str = "", nothing: str = "None.") -> Warned:
    every = tuple(lines)
    many = counted(len(every), noun) if every else ""
    plural = f"{many[:-4]}es" if many.endswith("chs") else many
    return Warned(name, title, plural, every[:MOST], note, nothing, max(0, len(every) - MOST))


def _trials(comparison: Comparison) -> Warned:
    """Trials that failed, were cut or are not complete."""
    described = {row["trial"]: row for row in comparison.runs.trials.to_dict("records")}
    scored = set(comparison.runs.metrics["trial"])
    states = [(key, status) for key, status in comparison.status.items() if status.state != "complete"]
    lines = [
        Line(
            row_name(described[key]),
            status.state,
            key,
            key if key in scored else "",
            tuple(redacted(reason) for reason in status.reasons),
        )
        for key, status in states[:MOST]
    ]
    note = f"To continue: gelo resume {comparison.runs.sweep}" if states else ""
    if any(status.state == "cut" for _, status in states):
        note += ". A trial that was cut stays so, and is in no average; to finish one: "
        note += f"gelo resume {comparison.runs.sweep} --finish KEY"
    title, nothing = "Trials that failed or are not complete", "None: every trial is complete."
    count = counted(len(states), "trial") if states else ""
    return Warned("problems", title, count, tuple(lines), note, nothing, max(0, len(states) - MOST))


def _said(metrics: pd.DataFrame, column: str) -> Iterator[Line]:
    """What results say in `column`: each text once, with the data sets and the number of trials."""
    told = metrics.loc[metrics[column] != "", ["suite", "dataset", "trial", column]].drop_duplicates()
    for text, rows in told.groupby(column, sort=True):
        places = sorted({f"{suite}/{name}" for suite, name in zip(rows["suite"], rows["dataset"], strict=True)})
        many = counted(rows["trial"].nunique(), "trial")
        yield Line(", ".join(places), f"{many}: {redacted(str(text))}", find=places[0])


def _undefined(metrics: pd.DataFrame) -> Iterator[Line]:
    """Metrics without a value: each reason once."""
    told = metrics.loc[metrics["value"].isna(), ["metric", "trial", "reason"]].drop_duplicates()
    for reason, rows in told.groupby("reason", sort=True):
        names = sorted(rows["metric"].unique())
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        many = counted(rows["trial"].nunique(), "trial")
        yield Line(f"{', '.join(names[:3])}{more}", f"{many}: {redacted(str(reason))}", find=names[0])


def _mixed(metrics: pd.DataFrame) -> Iterator[Line]:
    """Data sets that were scored by several versions of a protocol, or as several fingerprints: how many trials each."""
    columns = ["suite", "dataset", "protocol", "version", "data"]
    told = metrics[["trial", *columns]].drop_duplicates()
    for (suite, dataset), rows in told.groupby(["suite", "dataset"], sort=True):
        versions = rows.groupby(["protocol", "version"])["trial"].nunique()
        prints = rows[rows["data"] != ""].groupby("data")["trial"].nunique()
        said = [f"version {version}: {counted(many, 'trial')}" for (_, version), many in versions.items()]
        said = said if len(said) > 1 else []
        said += [f"data {found}: {counted(many, 'trial')}" for found, many in prints.items() if len(prints) > 1]
        if said:
            yield Line(
                f"{suite}/{dataset}", f"{'; '.join(said)}; compare them with each other only", find=f"{suite}/{dataset}"
            )


def _single(comparison: Comparison) -> Iterator[Line]:
    """Backbone, task, adaptation and remedy of trained trials that have one seed."""
    trials = comparison.runs.trials
    trained = trials[trials["task"] != NONE]
    seeds = trained.groupby(["backbone", "task", "adaptation", "remedy"], sort=False)["seed"].nunique()
    alone = seeds[seeds == 1]
    if len(alone):
        many = f"{len(alone)} of {len(seeds)}" if len(alone) < len(seeds) else f"all {len(seeds)}"
        yield Line("", f"{many} combinations of backbone, task, adaptation and remedy were trained once")
