"""The answer: CSVs and one self-contained page in `<storage>/<sweep>/report/`, each file written whole or not at all."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from upath import UPath

from gelo.analysis import plots, remedies
from gelo.analysis.compare import Comparison, compare
from gelo.analysis.contenders import contenders
from gelo.analysis.episodes import episodes_table
from gelo.analysis.finding import Finding
from gelo.analysis.findings import findings
from gelo.analysis.folders import children
from gelo.analysis.gaintable import NAME as EQUAL_GAIN
from gelo.analysis.gaintable import gain_table
from gelo.analysis.headline import headline
from gelo.analysis.labels import IDENTITY
from gelo.analysis.pagetables import row_name, shown_tables
from gelo.analysis.pareto import pareto
from gelo.analysis.published import kept
from gelo.analysis.runs import read_runs
from gelo.analysis.swept import swept
from gelo.analysis.tables import Table, build, to_csv
from gelo.models.durable import publish_bytes
from gelo.models.faults import folded
from gelo.models.members import kind_of
from gelo.models.remedies import REMEDIES
from gelo.models.secrets import redacted
from gelo.tasks.results import shown


@dataclass(frozen=True)
class Report:
    """Where the report is, and what it found. main: the three main findings, and that on remedies; faults: what could not be read or
    disagrees; headline: the sweep in a few numbers, by metric name."""

    path: UPath
    findings: tuple[Finding, ...]
    faults: tuple[str, ...]
    headline: Mapping[str, float]

    @property
    def main(self) -> tuple[Finding, ...]:
        return (*self.findings[:3], *(finding for finding in self.findings[3:] if finding.title == remedies.TITLE))


def write_report(storage: UPath | Path | str, sweep: str, tracking_uri: str | None = None) -> Report:
    """Read the sweep, write zero_shot.csv, linear_probe.csv, biometric.csv, gelo.csv, equal_gain.csv where forgetting curves were kept,
    and index.html; `Report.path` = folder.

    With `tracking_uri` every metric is compared with MLflow, and differences are faults on the page. Raises UserError when
    the sweep is unknown or nothing has been scored, OSError when the folder cannot be written.
    """
    comparison = compare(read_runs(storage, sweep, tracking_uri))
    tables = build(comparison)
    found = findings(comparison)
    if episodes := episodes_table(comparison, UPath(storage) / sweep):
        tables[episodes.name] = episodes
    folder = UPath(storage) / sweep / "report"
    folder.mkdir(parents=True, exist_ok=True)
    if standing := contenders(comparison):
        tables[EQUAL_GAIN] = gain_table(comparison, standing)
    for table in tables.values():
        publish_bytes(folder / f"{table.name}.csv", to_csv(table))
    _remove_others(folder, tables)
    publish_bytes(folder / "index.html", page(comparison, tables, found).encode())
    return Report(
        folder,
        tuple(found),
        tuple(redacted(str(fault)) for fault in folded(comparison.runs.faults)),
        headline(comparison),
    )


def _remove_others(folder: UPath, tables: Mapping[str, Table]) -> None:
    """Tables of an earlier report whose names are none now, such as a renamed one's; what else lies there stays."""
    for file in children(folder):
        other = file.name.endswith(".csv") and file.name.removesuffix(".csv") not in tables
        if other and file.read_bytes().startswith((",".join(IDENTITY) + ",").encode()):
            file.unlink()


def page(comparison: Comparison, tables: Mapping[str, Table], found: list[Finding]) -> str:
    """index.html. Nothing is fetched from anywhere; names and messages are escaped, logins and keys taken out."""
    environment = Environment(
        loader=PackageLoader("gelo.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    runs = comparison.runs
    described = runs.trials.set_index("trial")
    problems = [
        {
            "label": row_name(described.loc[key]),
            "key": key,
            "state": s.state,
            "reasons": [redacted(r) for r in s.reasons],
        }
        for key, s in comparison.status.items()
        if s.state != "complete"
    ]
    return environment.get_template("report.html.j2").render(
        sweep=runs.sweep,
        miniature=runs.miniature,
        partial=runs.partial,
        chosen=[f"{suite}: {len(g.scores.columns)} sets" for suite, g in comparison.general.items() if g.choice],
        findings=[{"title": f.title, "verdict": f.verdict, "text": redacted(f.text)} for f in found],
        tables=shown_tables(tables),
        pictures=_pictures(comparison),
        problems=problems,
        total=len(described),
        complete=sum(status.state == "complete" for status in comparison.status.values()),
        faults=[redacted(str(fault)) for fault in folded(runs.faults)],
        leaks=_leaks(runs.metrics, "leak"),
        unchecked=_leaks(runs.metrics, "unchecked"),
        wrapped=_wrapped(comparison),
        tracked=runs.tracked,
        protocols=_protocols(runs.metrics),
        encoders=_encoders(comparison),
        values=_values(comparison),
        published=kept(),
        equal_gain=EQUAL_GAIN in tables,
    )


def _pictures(comparison: Comparison) -> list[dict[str, str]]:
    drawn = [
        (
            "Zero-shot accuracy kept, by task, adaptation and backbone. Lines on bars: 95 % from the test images.",
            plots.retained,
        ),
        (
            "What is kept over what was gained: from the untouched backbone at gain 0, kept 1, to the end at the letter. Up and right "
            "is better. Dashed: without a remedy; dotted: between ends that no curve leads to. Mean over seeds.",
            pareto,
        ),
        ("What was gained on the task against what was lost elsewhere. Up is better, left is better.", plots.trade),
        *(
            (f"What is kept and gained over {spec.curve} of {kind_of(spec)}.", _curve(kind_of(spec), spec.curve))
            for spec in REMEDIES
            if spec.curve
        ),
        ("Training loss by epoch.", plots.losses),
    ]
    pictures = [(caption, draw(comparison)) for caption, draw in drawn]
    over = "What is kept and gained over {}. Lines: mean over seeds; dots: trials; dashed across: trials that have no such setting."
    pictures[-1:-1] = [(over.format(name), svg) for name, svg in swept(comparison).items()]
    return [
        {"caption": caption, "source": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"}
        for caption, svg in pictures
        if svg is not None
    ]


def _curve(kind: str, field: str) -> Callable[[Comparison], bytes | None]:
    return lambda comparison: plots.remedy_curve(comparison, kind, field)


def _wrapped(comparison: Comparison) -> list[str]:
    """Rows whose remedy stands around the encoder at inference: their numbers are not the plain encoder's own."""
    kinds = {kind_of(spec) for spec in REMEDIES if spec.wraps}
    trials = comparison.runs.trials
    return [row_name(trial) for _, trial in trials.iterrows() if kinds & set(str(trial["remedy_kind"]).split(" + "))]


def _protocols(metrics: pd.DataFrame) -> list[dict[str, str]]:
    columns = ["suite", "dataset", "protocol", "version", "counts", "data", "scale"]
    return metrics[columns].drop_duplicates().sort_values(columns, kind="stable").astype(str).to_dict("records")


def _leaks(metrics: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Images that were learnt from and are scored, or why nobody could look (`unchecked`): each text once, with its results."""
    told = metrics[metrics[kind] != ""]
    return [
        {
            "text": redacted(str(text)),
            "where": sorted({f"{row.suite}/{row.dataset}" for row in rows.itertuples()}),
            "trials": rows["trial"].nunique(),
        }
        for text, rows in told.groupby(kind, sort=True)
    ]


def _encoders(comparison: Comparison) -> list[dict[str, str]]:
    rows = []
    for _, trial in comparison.runs.trials.iterrows():
        own = comparison.runs.metrics[comparison.runs.metrics["trial"] == trial["trial"]]
        prints = {side: ", ".join(sorted({str(p) for p in own[side] if p})) for side in ("vision", "text")}
        rows.append({"label": row_name(trial), "key": str(trial["trial"]), **prints})
    return rows


def _values(comparison: Comparison) -> list[dict[str, Any]]:
    """Every value with its interval, by trial."""
    groups = []
    for _, trial in comparison.runs.trials.iterrows():
        own = comparison.runs.metrics[comparison.runs.metrics["trial"] == trial["trial"]].sort_values("metric")
        rows = [
            {
                "metric": row["metric"],
                "value": "" if pd.isna(row["value"]) else shown(row["metric"], row["value"]),
                "interval": "" if pd.isna(row["low"]) else _ends(row["metric"], row["low"], row["high"]),
                "counts": row["counts"],
                "reason": redacted(str(row["reason"])),
            }
            for _, row in own.iterrows()
        ]
        groups.append({"label": row_name(trial), "key": str(trial["trial"]), "rows": rows})
    return groups


def _ends(metric: str, low: float, high: float) -> str:
    return f"{shown(metric, low)} to {shown(metric, high)}"
