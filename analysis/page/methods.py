"""The methods section, from what the trials, their trainings, their results and the sweep say of themselves. What none says is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups, spelled
from gelo.analysis.labels import NONE, plain
from gelo.analysis.page.values import where
from gelo.models.members import kind_of
from gelo.models.remedies import REMEDIES
from gelo.models.secrets import redacted
from gelo.models.words import counted, span
from gelo.tasks.protocols import protocols_of

_FEW = 8  # values of a field that are listed


def methods(comparison: Comparison) -> dict[str, Any]:
    """By part of the section: `summary` (name, text), `trainings` and `remedies` (title, fields, source), `protocols`, `sets`, `learnt`."""
    return {
        "summary": list(_summary(comparison)),
        "trainings": _trainings(comparison.runs.trials),
        "remedies": _remedies(comparison.runs.trials),
        "protocols": _protocols(comparison.runs.metrics),
        "sets": where(comparison).to_dict("records"),
        "learnt": _learnt(comparison.runs.trials),
    }


def _summary(comparison: Comparison) -> Iterable[tuple[str, str]]:
    runs, trials = comparison.runs, comparison.runs.trials
    merged = trials["sources"].map(len) > 0
    own = trials[~merged & trials["trained"].astype(bool) & (trials["task"] != NONE)]
    yield "Sweep", f"{runs.sweep}: {counted(len(trials), 'trial')}, {counted(len(own), 'training')} of their own"
    yield "Backbones", ", ".join(map(str, trials["backbone"].unique()))
    yield "Seeds", ", ".join(str(seed) for seed in sorted(trials["seed"].unique()))
    if collection := runs.spec.get("collection"):
        yield "Collection of data sets", str(collection)
    resources = runs.spec.get("resources")
    granted = dict(resources) if isinstance(resources, Mapping) else {}
    each = [
        (_number(granted, name), unit, of) for name, unit, of in (("cpus", "CPU", "process"), ("gpus", "GPU", "trial"))
    ]
    known = [f"{many:g} {unit if many == 1 else f'{unit}s'} a {of}" for many, unit, of in each if many]
    ranks = sorted({count for facts in trials["facts"] for count in _listed(facts, "ranks") if isinstance(count, int)})
    known += [f"{', '.join(map(str, ranks))} {'process' if ranks == [1] else 'processes'} a training"] if ranks else []
    if known:
        yield "Hardware granted", ", ".join(known)
    seconds = pd.to_numeric(own["train_seconds"], errors="coerce").dropna()
    if len(seconds):
        text = f"{span(float(seconds.sum()))} in {counted(len(seconds), 'training')}"
        watched = sum(_number(facts, "watch_seconds") for facts in trials["facts"])
        yield "Time of training", text + (f"; {span(watched)} of looks at forgetting" if watched else "")
        if gpus := _number(granted, "gpus"):
            yield "GPU hours of training", f"{float(seconds.sum()) * gpus / 3600:.2f}"
    held = pd.to_numeric(trials["memory_bytes"], errors="coerce").dropna()
    if len(held):
        yield (
            "Memory of one process",
            f"at most {held.max() / 1e9:.2f} GB, measured, or predicted for an older gelo's trainings",
        )
    with suppress(PackageNotFoundError):
        yield "Report written by", f"gelo {version('gelo-sweeps')}"


def _trainings(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Hyper-parameters by task and adaptation: a value where all trials share it, else those that there are."""
    found = []
    for (task, kind), rows in groups(trials[trials["task"] != NONE], ["task", "adaptation_kind"]):
        described = [
            {**{f"{kind}: {name}": value for name, value in adaptation.items()}, **settings}
            for adaptation, settings in zip(rows["adaptation_parameters"], rows["settings"], strict=True)
        ]
        title = f"{task}, {spelled(kind)}"
        found.append({"title": title, "fields": _fields(described), "trials": len(rows), "source": ""})
    return found


def _remedies(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Each kind with its fields and what its definition says of its source; of several at once, those of each."""
    known = {kind_of(spec): spec for spec in REMEDIES}
    found = []
    for (kind,), rows in groups(trials[trials["remedy_kind"] != NONE], ["remedy_kind"]):
        said = [
            (sys.modules[known[each].__module__].__doc__ or "").splitlines()[:1]
            for each in kind.split(" + ")
            if each in known
        ]
        source = " ".join(line for lines in said for line in lines)
        fields = _fields(list(rows["remedy_parameters"]))
        found.append({"title": kind, "fields": fields, "trials": len(rows), "source": source})
    return found


def _fields(described: list[dict[str, Any]]) -> list[tuple[str, str]]:
    names = dict.fromkeys(name for each in described for name in each)
    found = []
    for name in names:
        values = list(dict.fromkeys(redacted(plain(each.get(name))) for each in described if plain(each.get(name))))
        more = f" and {len(values) - _FEW} more" if len(values) > _FEW else ""
        if values:
            found.append((name.replace("_", " "), f"{', '.join(values[:_FEW])}{more}"))
    return found


def _protocols(metrics: pd.DataFrame) -> list[dict[str, str]]:
    """Each protocol and version that results name, what it says, and where its definition comes from, as far as this gelo knows it."""
    told = metrics[["suite", "protocol", "version"]].drop_duplicates()
    found = []
    for (says, number), rows in told.groupby(["protocol", "version"], sort=True):
        suites = sorted(rows["suite"].unique())
        giving = [
            each for suite in suites for each in protocols_of(suite) if each.says == says and each.version == number
        ]
        source = giving[0].source if giving else ""
        found.append({"suites": ", ".join(suites), "says": str(says), "version": str(number), "source": source})
    return found


def _learnt(trials: pd.DataFrame) -> list[dict[str, str]]:
    """What was trained on: data sets of tasks and of remedies, with their fingerprints and the number of trainings."""
    rows = [
        (name, print_)
        for facts, settings, task in zip(trials["facts"], trials["settings"], trials["task"], strict=True)
        for name, print_ in [(settings.get("data") or task, facts.get("data")), *_sources(facts)]
        if print_
    ]
    counts = pd.Series(rows, dtype=object).value_counts(sort=False)
    return [{"name": str(name), "data": str(print_), "trainings": str(many)} for (name, print_), many in counts.items()]


def _listed(described: Mapping[str, Any], name: str) -> list[Any]:
    found = described.get(name)
    return found if isinstance(found, list) else []


def _number(described: Mapping[str, Any], name: str) -> float:
    found = described.get(name)
    return float(found) if isinstance(found, int | float) else 0.0


def _sources(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = facts.get("sources")
    return [(str(name), str(value)) for name, value in named.items()] if isinstance(named, Mapping) else []
