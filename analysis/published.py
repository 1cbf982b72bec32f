"""The paper's published tables, shipped as facts (`analysis/published/*.csv`), and as runs, so that what compares ours compares them.

Source: the study arXiv 2509.14921, tables of its page (TaharChettaoui/Generalization-of-FM-for-Biometric_web @ 8a8c241).
Accuracies and errors are in per cent, GELO as printed.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

import pandas as pd

from gelo.analysis.labels import NONE
from gelo.analysis.runs import METRIC_COLUMNS, TRIAL_COLUMNS, Runs
from gelo.tasks.metricnames import parse_metric
from gelo.tasks.protocols import direction

Name = Literal["zero_shot", "linear_probe", "biometric"]
TABLES: tuple[Name, ...] = ("zero_shot", "linear_probe", "biometric")
TASK_OF = {"FRoundation": "faces", "MADation": "morphs", "FoundPAD": "spoofs"}
UNTOUCHED = "CLIP"
KEYS = ("approach", "backbone", "average", "gelo")
SWEEP = "published"


class Counterpart(NamedTuple):
    """What a published column is in gelo. headed: it is measured with a head that the trial trained for this task; how the study scored
    models without one is not published, so that theirs have no counterpart."""

    dataset: str
    metric: str
    headed: str = ""


def published(name: Name) -> pd.DataFrame:
    """One published table: `approach`, `backbone` and one column per data set or metric, in per cent."""
    with files("gelo.analysis").joinpath("published", f"{name}.csv").open("rb") as stream:
        return pd.read_csv(stream)


@cache
def counterparts(name: Name) -> dict[str, Counterpart]:
    """Every published column and what it is in gelo, in the order of the table; docs/biometrics.md says why the `_thinned` ones."""
    columns = [str(column) for column in published(name) if column not in KEYS]
    if name != "biometric":
        suite = {"zero_shot": "zero_shot", "linear_probe": "probe"}[name]
        return {column: Counterpart(column, f"{suite}/{column}/top1") for column in columns}
    found = {column: Counterpart(column, f"fr/{column}/accuracy") for column in columns[:5]}
    found |= {column: Counterpart(column, f"fr/{column}/tar_at_far_1e-4") for column in ("ijbb", "ijbc")}
    found["pad_ca_hter"] = Counterpart("celeba_spoof", "pad/mean/hter_at_test_eer_thinned", "spoofs")
    found["pad_ca_auc"] = Counterpart("celeba_spoof", "pad/mean/auc", "spoofs")
    found["mad_eer"] = Counterpart("mad22", "mad/mean/eer_nearest_fpr_thinned", "morphs")
    for leaf in ("apcer_at_bpcer", "bpcer_at_apcer"):
        for percent in (1, 10, 20):
            metric = f"mad/mean/{leaf}_{percent}_thinned"
            found[f"mad_{leaf}_{percent}"] = Counterpart("mad22", metric, "morphs")
    return {column: found[column] for column in columns}


@cache
def as_runs() -> Runs:
    """The published rows as the runs of a sweep, trials named `CLIP ViT-B/16` and so on: no intervals, counts or fingerprints."""
    rows = published("zero_shot")[["approach", "backbone"]]
    trials = [_trial(row.approach, row.backbone) for row in rows.itertuples()]
    metrics = [
        _metric(f"{row['approach']} {row['backbone']}", counterpart, float(row[column]) / 100)
        for name in TABLES
        for _, row in published(name).iterrows()
        for column, counterpart in counterparts(name).items()
    ]
    return Runs(
        SWEEP,
        {"collection": "paper", "backbones": list(rows["backbone"].unique())},
        pd.DataFrame(trials)[TRIAL_COLUMNS],
        pd.DataFrame(metrics)[METRIC_COLUMNS],
        {},
    )


def kept() -> list[tuple[str, str, str, float, float]]:
    """(task, approach, backbone, GELO zero-shot, GELO linear probe) of the published runs."""
    probe = published("linear_probe").set_index(["approach", "backbone"])["gelo"]
    rows = published("zero_shot").dropna(subset=["gelo"])
    return [
        (
            TASK_OF[row["approach"]],
            row["approach"],
            row["backbone"],
            row["gelo"],
            float(probe[row["approach"], row["backbone"]]),
        )
        for row in (dict(row) for _, row in rows.iterrows())
    ]


def _trial(approach: str, backbone: str) -> dict[str, object]:
    """All of them are LoRA without a remedy, but for the untouched CLIP."""
    kind = NONE if approach == UNTOUCHED else "lora"
    empty: dict[str, object] = dict.fromkeys(TRIAL_COLUMNS)
    return empty | {
        "trial": f"{approach} {backbone}", "backbone": backbone, "task": TASK_OF.get(approach, NONE), "adaptation": kind,
        "adaptation_kind": kind, "adaptation_parameters": {}, "remedy": NONE, "remedy_kind": NONE, "remedy_parameters": {}, "seed": 0,
        "settings": {}, "trained": True, "sources": (), "curved": True, "cut": "",
    }  # fmt: skip


def _metric(trial: str, counterpart: Counterpart, value: float) -> dict[str, object]:
    suite, part, leaf = parse_metric(counterpart.metric)
    empty: dict[str, object] = dict.fromkeys(METRIC_COLUMNS, "")
    return empty | {
        "trial": trial, "suite": suite, "dataset": counterpart.dataset, "part": part, "leaf": leaf, "metric": counterpart.metric,
        "value": value, "low": float("nan"), "high": float("nan"), "n": 0, "protocol": SWEEP,
        "version": 1, "scale": "full", "partial": False, "direction": direction(counterpart.metric),
    }  # fmt: skip
