"""Sweep folder + MLflow -> tidy frames. The only reader: nothing else in `analysis` opens a file of a sweep.

Decisions: result files are the truth, MLflow is checked against them; what cannot be read is a fault in the report and never a
guessed number; rows have one fixed order (`arrange`), so that everything derived from identical results is byte-identical.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from upath import UPath

from gelo.analysis.curves import Curve, read_curve
from gelo.analysis.folders import children, read_metrics, read_spec, read_trial
from gelo.analysis.labels import arrange, labelled, with_settings
from gelo.models.backbones.registry import BACKBONES
from gelo.models.faults import Fault, UserError
from gelo.tasks.protocols import suites

_MEAN = re.compile(r"mean(_\d+)?/")
TRIAL_COLUMNS = [
    "trial", "backbone", "task", "adaptation", "remedy", "seed", "adaptation_kind", "adaptation_parameters", "remedy_kind",
    "remedy_parameters", "settings", "trained", "sources", "curved", "memory_bytes",
    "train_seconds", "trainable_parameters", "tower_parameters", "error", "error_kind",
]  # fmt: skip
METRIC_COLUMNS = [
    "trial", "suite", "dataset", "part", "leaf", "metric", "value", "low", "high", "n", "counts", "reason", "protocol", "version",
    "scale", "partial", "direction", "data", "vision", "text", "leak", "unchecked",
]  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """What a sweep left behind.

    trials: one row per trial (`TRIAL_COLUMNS`), in table order; sources: the trials whose training one was made from, () of one that
    trained itself; curved: `RemedySpec.curved`. metrics: one row per trial x metric (`METRIC_COLUMNS`); value, low
    and high are shares in [0, 1], what else their metric is, or NaN, and then `reason` says why. histories: training.json's `history` by
    trial. spec: sweep.json. faults: what could not be read, or where MLflow and the files disagree. tracked: whether MLflow was compared.
    curves: the forgetting curves by trial, of those that kept one, in table order.
    """

    sweep: str
    spec: Mapping[str, Any]
    trials: pd.DataFrame
    metrics: pd.DataFrame
    histories: Mapping[str, list[dict[str, Any]]]
    faults: tuple[Fault, ...] = ()
    tracked: bool = False
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @property
    def miniature(self) -> str:
        """What of it is a toy: "toy models", "generated toy data" or both, and which sets are not generated; "" where nothing is."""
        small = [
            name
            for name in self.trials["backbone"].unique()
            if name in BACKBONES and BACKBONES[name].scale == "miniature"
        ]
        sets = self.metrics.groupby("dataset")["scale"].agg(lambda scales: (scales == "miniature").any())
        drawn, others = [sorted(map(str, sets.index[sets == toy])) for toy in (True, False)]
        models = "toy models" if len(small) == self.trials["backbone"].nunique() else f"toy models ({', '.join(small)})"
        data = f"generated toy data, but for {', '.join(others)}" if others else "generated toy data"
        return " and ".join([*([models] if small else []), *([data] if drawn else [])])

    @property
    def partial(self) -> list[str]:
        """Data sets that lack some of the official images, sorted."""
        return sorted(self.metrics.loc[self.metrics["partial"].astype(bool), "dataset"].unique())


def read_runs(storage: UPath | Path | str, sweep: str, tracking_uri: str | None = None) -> Runs:
    """Read `<storage>/<sweep>`; with `tracking_uri` also compare every metric with MLflow.

    Raises UserError for an unknown sweep, and when nothing has been scored yet.
    """
    root = UPath(storage) / sweep
    spec = read_spec(UPath(storage), root, sweep)
    faults: list[Fault] = []
    trial_rows: list[dict[str, Any]] = []
    metric_rows: list[dict[str, Any]] = []
    histories: dict[str, list[dict[str, Any]]] = {}
    curves: dict[str, Curve | None] = {}
    for folder in children(root / "trials"):
        row = read_trial(folder, faults, spec.get("resources") or {})
        if row is None:
            continue
        trial_rows.append(row)
        histories[row["trial"]] = row.pop("history")
        curves[row["trial"]] = read_curve(folder / "trained", faults)
        metric_rows.extend(read_metrics(folder, row["trial"], faults))
    if not metric_rows and not any(row["error"] for row in trial_rows):
        found = f"{len(trial_rows)} trials, no result" if trial_rows else "no trial"
        where = Fault(str(root / "trials"), found, "at least one result", f"gelo run {sweep}, or gelo resume {sweep}")
        raise UserError(f"report {sweep}: nothing has run yet", [where, *faults])
    for side in ("adaptation", "remedy"):
        named = labelled((row[side] for row in trial_rows), ((row["backbone"], row["task"]) for row in trial_rows))
        for row, name, kind, parameters in zip(trial_rows, *named, strict=True):
            row |= {side: name, f"{side}_kind": kind, f"{side}_parameters": parameters}
    for row, name in zip(trial_rows, with_settings(trial_rows), strict=True):
        row["adaptation"] = name
    trials = arrange(pd.DataFrame(trial_rows), list(spec.get("backbones") or []))[TRIAL_COLUMNS]
    metrics = pd.DataFrame(metric_rows, columns=METRIC_COLUMNS)
    if tracking_uri is not None:
        faults.extend(compare_with_mlflow(tracking_uri, sweep, metrics))
    kept = {key: curve for key in trials["trial"] if (curve := curves[key]) is not None}
    return Runs(sweep, spec, trials, metrics, histories, tuple(faults), tracking_uri is not None, kept)


def compare_with_mlflow(tracking_uri: str, sweep: str, metrics: pd.DataFrame) -> list[Fault]:
    """Every value of `metrics` must be in MLflow, in one run per trial, and equal; else a fault. Never writes, never creates."""
    where = f"MLflow experiment {sweep}"
    try:
        runs = list(_tracked(tracking_uri, sweep))
    except LookupError as error:
        return [Fault(where, str(error), "every metric of the result files", f"gelo resume {sweep}")]
    except (
        Exception
    ) as error:  # the store is someone else's server: whatever it raises is reported, the report is still made
        return [
            Fault(where, f"cannot be read: {type(error).__name__}", "a tracking store that answers", "check --tracking")
        ]
    faults = []
    seen: dict[str, Mapping[str, float]] = {}
    for key, values in runs:
        if key in seen:
            faults.append(Fault(f"{where}, trial {key}", "more than one run", "one run per trial"))
        seen.setdefault(key, values)
    known = metrics[metrics["value"].notna()]
    for key, rows in known.groupby("trial", sort=False):
        if key not in seen:
            faults.append(Fault(f"{where}, trial {key}", "no run", f"{len(rows)} metrics", f"gelo resume {sweep}"))
            continue
        faults.extend(
            _differences(f"{where}, trial {key}", dict(zip(rows["metric"], rows["value"], strict=True)), seen[str(key)])
        )
    return faults


def _differences(where: str, filed: Mapping[str, float], logged: Mapping[str, float]) -> Iterator[Fault]:
    missing = [name for name in filed if name not in logged]
    if missing:
        yield Fault(
            where,
            f"{len(missing)} of {len(filed)} metrics missing: {', '.join(missing[:5])}",
            "all of them",
            "gelo resume",
        )
    for name, value in filed.items():
        if name in logged and not math.isclose(logged[name], value, rel_tol=0, abs_tol=1e-12):
            yield Fault(f"{where}, {name}", f"{logged[name]!r}", f"{value!r} as in the result file")
    # means over data sets are derived from several files, so they have none of their own; NaN stands for what is defined no more
    for name, value in logged.items():
        suite, _, rest = name.partition("/")
        if suite in suites() and name not in filed and not _MEAN.match(rest) and not math.isnan(value):
            yield Fault(f"{where}, {name}", "logged", "a result file that it comes from")


def _tracked(tracking_uri: str, sweep: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    """(trial key, metrics) of every run tagged `gelo.trial`. Raises LookupError when the store or the experiment is absent."""
    if tracking_uri.startswith("sqlite:///") and not Path(tracking_uri.removeprefix("sqlite:///")).is_file():
        raise LookupError("no such database")  # the client would create an empty one
    # a server that is away is said in seconds, not minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    from mlflow import MlflowClient  # seconds to import, and not needed without tracking

    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        raise LookupError("no such experiment")
    token: str | None = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        for run in page:
            if "gelo.trial" in run.data.tags:
                yield run.data.tags["gelo.trial"], run.data.metrics
        token = page.token
        if not token:
            return
