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
from gelo.analysis.drifts import Drift, read_drift
from gelo.analysis.folders import children, read_metrics, read_spec, read_trial
from gelo.analysis.labels import arrange, labelled, with_settings
from gelo.models.backbones.registry import BACKBONES
from gelo.models.durable import is_local
from gelo.models.faults import Fault, UserError
from gelo.models.secrets import redacted
from gelo.tasks.protocols import suites

_MEAN = re.compile(r"mean(_\d+)?/")
TRIAL_COLUMNS = [
    "trial", "backbone", "task", "adaptation", "remedy", "seed", "adaptation_kind", "adaptation_parameters", "remedy_kind",
    "remedy_parameters", "settings", "trained", "sources", "curved", "memory_bytes",
    "train_seconds", "trainable_parameters", "tower_parameters", "error", "error_kind", "cut", "facts",
]  # fmt: skip
METRIC_COLUMNS = [
    "trial", "suite", "dataset", "part", "leaf", "metric", "value", "low", "high", "unit", "n", "counts", "reason", "protocol", "version",
    "scale", "partial", "direction", "data", "vision", "text", "leak", "unchecked", "few",
]  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """What a sweep left behind.

    trials: one row per trial (`TRIAL_COLUMNS`), in table order; sources: the trials whose training one was made from, () of one that
    trained itself; curved: `RemedySpec.curved`; cut: why a scheduler ended it or one that it is made of, "" where none did; facts: what
    training.json says of its data and processes, {} where it did not train itself. metrics: one row per trial x metric (`METRIC_COLUMNS`);
    value, low and high are shares in [0, 1], what else their metric is, or NaN, and then `reason` says why; unit: what is independent in
    the interval, "" without one; few: which rates have too few errors behind them. histories: training.json's `history` by trial. spec:
    sweep.json. faults: what could not be read, or where MLflow and the files disagree. tracked: whether it was compared; pages: addresses
    of the trials' runs in MLflow, where that is a server. curves, drifts: the forgetting curves by trial, and how far each tower went, of
    those that kept one, in table order. folder: of the sweep, beside whose results per-image scores lie.
    """

    sweep: str
    spec: Mapping[str, Any]
    trials: pd.DataFrame
    metrics: pd.DataFrame
    histories: Mapping[str, list[dict[str, Any]]]
    faults: tuple[Fault, ...] = ()
    tracked: bool = False
    curves: Mapping[str, Curve] = field(default_factory=dict)
    folder: UPath | None = None
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)

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
    columns: dict[str, list[Any]] = {name: [] for name in METRIC_COLUMNS}  # a dictionary a value would take gigabytes
    histories: dict[str, list[dict[str, Any]]] = {}
    curves: dict[str, Curve | None] = {}
    drifts: dict[str, Drift | None] = {}
    place = root / "trials"
    for folder in children(Path(place.path) if is_local(place) else place):  # a plain path takes a fifth less
        row = read_trial(folder, faults, spec.get("resources") or {})
        if row is None:
            continue
        trial_rows.append(row)
        histories[row["trial"]] = row.pop("history")
        curves[row["trial"]] = read_curve(folder / "trained", faults)
        drifts[row["trial"]] = read_drift(folder / "trained", faults)
        for scored in read_metrics(folder, row["trial"], faults):
            for name in METRIC_COLUMNS:
                columns[name].extend(scored[name])
    if not columns["trial"] and not any(row["error"] for row in trial_rows):
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
    metrics = pd.DataFrame(columns)
    pages: dict[str, str] = {}
    if tracking_uri is not None:
        told, pages = compare_with_mlflow(tracking_uri, sweep, metrics)
        faults.extend(told)
    kept = {key: curve for key in trials["trial"] if (curve := curves[key]) is not None}
    gone = {key: drift for key in trials["trial"] if (drift := drifts[key]) is not None}
    compared = tracking_uri is not None
    return Runs(sweep, spec, trials, metrics, histories, tuple(faults), compared, kept, root, gone, pages)


def compare_with_mlflow(tracking_uri: str, sweep: str, metrics: pd.DataFrame) -> tuple[list[Fault], dict[str, str]]:
    """Every value of `metrics` must be in MLflow, in one run per trial, and equal; else a fault. Never writes, never creates. With them
    the address of each trial's run, of a server."""
    where = f"MLflow experiment {sweep}"
    try:
        runs = list(_tracked(tracking_uri, sweep))
    except LookupError as error:
        return [Fault(where, str(error), "every metric of the result files", f"gelo resume {sweep}")], {}
    except (
        Exception
    ) as error:  # the store is someone else's server: whatever it raises is reported, the report is still made
        found, expected = f"cannot be read: {type(error).__name__}", "a tracking store that answers"
        return [Fault(where, found, expected, "check --tracking")], {}
    faults = []
    seen: dict[str, Mapping[str, float]] = {}
    pages: dict[str, str] = {}
    for key, values, page in runs:
        if key in seen:
            faults.append(Fault(f"{where}, trial {key}", "more than one run", "one run per trial"))
        seen.setdefault(key, values)
        pages |= {key: redacted(page)} if page and key not in pages else {}
    known = metrics[metrics["value"].notna()]
    for key, rows in known.groupby("trial", sort=False):
        if key not in seen:
            faults.append(Fault(f"{where}, trial {key}", "no run", f"{len(rows)} metrics", f"gelo resume {sweep}"))
            continue
        faults.extend(
            _differences(f"{where}, trial {key}", dict(zip(rows["metric"], rows["value"], strict=True)), seen[str(key)])
        )
    return faults, pages


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


def _tracked(tracking_uri: str, sweep: str) -> Iterator[tuple[str, Mapping[str, float], str]]:
    """(trial key, metrics, address of its page or "") of every run tagged `gelo.trial`.

    Raises LookupError when the store or the experiment is absent."""
    if tracking_uri.startswith("sqlite:///") and not Path(tracking_uri.removeprefix("sqlite:///")).is_file():
        raise LookupError("no such database")  # the client would create an empty one
    # a server that is away is said at once: the report stands on the files
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient  # seconds to import, and not needed without tracking

    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = client.get_experiment_by_name(sweep)
    if experiment is None:
        raise LookupError("no such experiment")
    served = tracking_uri.startswith(("http://", "https://"))
    at = f"{tracking_uri.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs" if served else ""
    token: str | None = None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
        for run in page:
            if "gelo.trial" in run.data.tags:
                yield run.data.tags["gelo.trial"], run.data.metrics, at and f"{at}/{run.info.run_id}"
        token = page.token
        if not token:
            return
