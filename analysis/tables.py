"""The four tables, each built once: the CSV and the page show the same cells.

Accuracies and errors are per cent with 2 decimals, GELO has 3 decimals as in
the paper, seconds 1; what its metric calls no share is as it is.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import Z95, Comparison, General
from gelo.analysis.labels import IDENTITY, is_baseline
from gelo.analysis.select import BROKEN
from gelo.tasks.metricnames import MEAN, metric_name, parse_metric
from gelo.tasks.protocols import direction, main_columns, protocol_of, suite_of, suites
from gelo.tasks.results import per_cent, shown

BIOMETRIC, SUMMARY = "biometric", "gelo"


def build(comparison: Comparison) -> dict[str, Table]:
    """The four tables by name, in order; one more for each suite or group of suites beside these that the sweep has results of."""
    built = [
        _general(comparison, suite.table, suite.name)
        for suite in suites().values()
        if suite.table and suite.averaged
        if protocol_of(suite.name).group or comparison.general[suite.name].scores.shape[1]
    ]
    found = set(comparison.runs.metrics["suite"])
    for name in dict.fromkeys(suite.table for suite in suites().values() if suite.table and not suite.averaged):
        if name == BIOMETRIC or any(suites()[suite].table == name for suite in found):
            built.append(_by_metric(comparison, name))
    return {table.name: table for table in [*built, _summary(comparison)]}


def to_csv(table: Table) -> bytes:
    """The CSV: UTF-8, LF, one header row; identical results give identical bytes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*IDENTITY, *table.columns])
    for row in table.rows:
        writer.writerow([*(row.identity[name] for name in IDENTITY), *(row.cells[name].text for name in table.columns)])
    return stream.getvalue().encode()


def before_metric(metric: str) -> str:
    """The baseline's metric that a metric is set against: a trained detector against the untouched model's text prompts."""
    suite, part, leaf = parse_metric(metric)
    return metric_name(suite_of(suite).before or suite, part, leaf)


def _general(comparison: Comparison, name: str, suite: str) -> Table:
    general = comparison.general[suite]
    sets = [str(column) for column in general.scores.columns]
    partial = set(comparison.runs.partial)
    said = {name: f"{name} (partial)" if name in partial else name for name in sets}
    metrics = {said[name]: metric_name(suite, name, suite_of(suite).averaged) for name in sets}
    known = _index(comparison.runs.metrics, list(metrics.values()))
    rows = []
    for identity, trial, baseline in _identities(comparison):
        cells = {
            column: _metric_cell(comparison, known, trial, metric, suite, metric) for column, metric in metrics.items()
        }
        own = comparison.baseline.get(trial)
        before = general.average.get(own, math.nan) if own else math.nan
        mean = metric_name(suite, MEAN, suite_of(suite).averaged)
        middle, error = general.average[trial], Z95 * general.average_error[trial]
        ends = (middle - error, middle + error)
        cells[f"average{general.choice}"] = _cell(mean, middle, before, 1, general.why.get(trial, ""), *ends)
        cells[f"gelo{general.choice}"] = _kept(general, trial, baseline)
        rows.append(Row(identity, baseline, cells))
    columns = (*said.values(), f"average{general.choice}", f"gelo{general.choice}")
    return Table(name, columns, columns, tuple(rows), upwards=dict.fromkeys(columns, 1), metrics=metrics)


def _by_metric(comparison: Comparison, name: str) -> Table:
    """Every metric of the suites of this table, a column each."""
    metrics = comparison.runs.metrics
    ordered = _ordered_metrics(metrics, name)
    known = _index(metrics, [*ordered, *(before_metric(metric) for metric in ordered)])
    rows = []
    for identity, trial, baseline in _identities(comparison):
        cells = {
            metric.replace("/", "_"): _metric_cell(
                comparison, known, trial, metric, metric.split("/")[0], before_metric(metric)
            )
            for metric in ordered
        }
        rows.append(Row(identity, baseline, cells))
    valued = set(metrics.loc[metrics["value"].notna(), "metric"])  # a column without a value is left to the CSV
    first = len(main_columns(name))
    main = tuple(metric.replace("/", "_") for metric in ordered if rank(metric, name) < first and metric in valued)
    columns = {metric: metric.replace("/", "_") for metric in ordered}
    numbers = frozenset(column for metric, column in columns.items() if per_cent(metric) == 1)
    upwards = {column: direction(metric) for metric, column in columns.items()}
    return Table(
        name,
        tuple(columns.values()),
        main,
        tuple(rows),
        numbers,
        upwards=upwards,
        metrics={column: metric for metric, column in columns.items()},
    )


def _summary(comparison: Comparison) -> Table:
    kept_of = {s: f"gelo_{s}{g.choice}" for s, g in comparison.general.items() if protocol_of(s).group}
    columns = (*kept_of.values(), "train_seconds", "trainable_parameters")
    described = comparison.runs.trials.set_index("trial")
    rows = []
    for identity, trial, baseline in _identities(comparison):
        cells: dict[str, Cell] = {}
        for suite in kept_of:
            cells[kept_of[suite]] = _kept(comparison.general[suite], trial, baseline)
        for column, form in (("train_seconds", ".1f"), ("trainable_parameters", ".0f")):
            value = described.at[trial, column]
            unknown = "not trained yet" if not described.at[trial, "trained"] else "training.json does not say"
            merged = "made from another trial's training" if described.at[trial, "remedy_kind"] != "none" else unknown
            absent = value is None or bool(pd.isna(value))
            cells[column] = Cell("", merged) if absent else Cell(format(float(value), form), value=float(value))
        rows.append(Row(identity, baseline, cells))
    return Table(SUMMARY, columns, columns, tuple(rows), upwards=dict.fromkeys(kept_of.values(), 1))


def _kept(general: General, trial: str, baseline: bool) -> Cell:
    """GELO of a trial; of a baseline, which is measured against nothing, an empty cell without a word."""
    kept, error = general.gelo[trial], Z95 * general.gelo_error[trial]
    if math.isnan(kept):
        return Cell("", "" if baseline else general.why.get(trial, ""))
    low, high = (None, None) if math.isnan(error) else (kept - error, kept + error)
    return Cell(f"{kept:.3f}", low=low, high=high, value=float(kept))


def _identities(comparison: Comparison) -> list[tuple[dict[str, str], str, bool]]:
    return [
        ({name: str(row[name]) for name in IDENTITY}, str(row["trial"]), is_baseline(row))
        for row in comparison.runs.trials.to_dict("records")
    ]


def _index(metrics: pd.DataFrame, names: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(trial, metric) -> value, low, high, reason and version."""
    chosen = metrics.loc[
        metrics["metric"].isin(names), ["trial", "metric", "value", "low", "high", "reason", "version"]
    ]
    return {(row["trial"], row["metric"]): row for row in chosen.to_dict("records")}


def _metric_cell(
    comparison: Comparison,
    known: Mapping[tuple[str, str], Mapping[str, Any]],
    trial: str,
    metric: str,
    suite: str,
    before: str,
) -> Cell:
    row = known.get((trial, metric))
    if row is None:
        return Cell("", _no_result(comparison, trial, suite))
    base = known.get((comparison.baseline.get(trial, ""), before))
    alike = base is not None and base["version"] == row["version"]
    first = float(base["value"]) if base is not None and alike else math.nan
    ends = (float(row["low"]), float(row["high"]))
    return _cell(metric, row["value"], first, direction(metric), str(row["reason"]), *ends, version=int(row["version"]))


def _cell(
    metric: str,
    value: float,
    before: float,
    upwards: int,
    reason: str,
    low: float = math.nan,
    high: float = math.nan,
    *,
    version: int = 0,
) -> Cell:
    if math.isnan(value):
        return Cell("", reason or "unknown", version=version)
    factor = per_cent(metric)
    change = None if math.isnan(before) else factor * (value - before)
    better = None if change is None or not upwards else upwards * change
    ends = [None if math.isnan(end) else factor * end for end in (low, high)]
    return Cell(shown(metric, value), "", change, better, ends[0], ends[1], factor * float(value), version)


def _no_result(comparison: Comparison, trial: str, suite: str) -> str:
    status = comparison.status[trial]
    if suite not in status.expected:
        task = comparison.task(trial)
        who = "an untouched backbone" if task == "none" else f"a trial on {task}"
        return f"{who} has no trained detector for {suite}"
    return (
        f"the trial {status.state} ({status.reasons[0]})"
        if status.state in BROKEN
        else "no result yet: the trial is incomplete"
    )


def _ordered_metrics(metrics: pd.DataFrame, table: str) -> list[str]:
    own = [suite.name for suite in suites().values() if suite.table == table]
    names = metrics.loc[metrics["suite"].isin(own), "metric"].unique()
    return sorted(names, key=lambda name: (rank(name, table), own.index(name.split("/")[0]), _leaf_order(name)))


def rank(metric: str, table: str = BIOMETRIC) -> int:
    """The place of a metric among the main columns of a table; their number for one that is none.

    The mean over the parts of a set of a user's own, `<set>.mean`, stands where `mean` does.
    """
    suite, part, leaf = parse_metric(metric)
    columns = main_columns(table)
    for place, main in enumerate(columns):
        known = main.part in ("*", part) or (main.part == MEAN and part.endswith(f".{MEAN}"))
        if main.suite == suite and known and main.metric.matches(leaf):
            return place
    return len(columns)


def _leaf_order(metric: str) -> tuple[object, ...]:
    """Digits by size: `apcer_at_bpcer_5` before `apcer_at_bpcer_10`."""
    pieces = metric.replace("/", "_/_").split("_")
    return tuple((1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces)
