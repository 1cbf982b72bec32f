"""Every value of a sweep once, with where it comes from, as the compact JSON that the page's script builds its long table and tips of."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import pandas as pd
from markupsafe import Markup

from gelo.analysis.compare import Comparison
from gelo.analysis.pagetables import row_name
from gelo.models.secrets import redacted
from gelo.tasks.protocols import protocols_of
from gelo.tasks.results import shown

MOST = 60_000  # values on the page: beyond, whole trials are left to the files
_FILE = [
    "suite",
    "dataset",
    "protocol",
    "version",
    "counts",
    "data",
    "vision",
    "text",
]  # what a result file says of all its values


def values(comparison: Comparison) -> dict[str, Any]:
    """The document, as JSON takes it.

    sweep, storage: for commands. pages: addresses of MLflow's pages by trial, of a server. trials: (key, label), in table order. metrics:
    their names. texts: whatever is said more than once; the first is "". files: a row each, the places of its trial in `trials` and of its
    suite, data set, protocol, protocol's name for `--suite`, counts and fingerprints (data, vision, text) in `texts`, between them the
    protocol's version as a number. values: a row each, place of its file, place of its metric, value, low and high as people read them (""
    where there is none), place of the reason. left: values that are not in it, of `trials_left` trials, the last of the table.
    """
    trials, metrics = comparison.runs.trials, comparison.runs.metrics
    shown_trials = _within(trials["trial"].tolist(), metrics["trial"].value_counts().to_dict())
    place = {key: at for at, key in enumerate(shown_trials)}
    own = metrics.loc[metrics["trial"].isin(place), [*_FILE, "metric", "value", "low", "high", "reason"]]
    order = metrics.loc[own.index, "trial"].map(place)
    own = own.assign(place=order).sort_values(["place", "metric"], kind="stable")
    texts, names = _Places([""]), _Places([])
    files: dict[tuple[Any, ...], int] = {}
    rows = []
    of_metric = zip(*(own[name].tolist() for name in ("metric", "value", "low", "high", "reason")), strict=True)
    of_file = zip(*(own[name].tolist() for name in ("place", *_FILE)), strict=True)
    for said, (metric, value, low, high, reason) in zip(of_file, of_metric, strict=True):
        file = files.setdefault(said, len(files))
        ends = ["" if math.isnan(end) else shown(metric, end) for end in (value, low, high)]
        rows.append([file, names.of(metric), *ends, texts.of(reason)])
    told = [
        [at, *map(texts.of, [suite, dataset, protocol, asked(suite, protocol)]), version, *map(texts.of, prints)]
        for at, suite, dataset, protocol, version, *prints in files
    ]
    labels = dict(zip(trials["trial"], map(row_name, trials.to_dict("records")), strict=True))
    listed = [(key, labels[key]) for key in shown_trials]
    return {
        "sweep": comparison.runs.sweep, "storage": _storage(comparison), "pages": dict(comparison.runs.pages),
        "trials": listed, "metrics": list(names.known),
        "texts": [redacted(text) for text in texts.known], "files": told, "values": rows,
        "left": len(metrics) - len(rows), "trials_left": len(trials) - len(listed),
    }  # fmt: skip


def _within(keys: list[str], counts: dict[str, int]) -> list[str]:
    """The first trials whose values together are no more than `MOST`; one at least."""
    kept: list[str] = []
    many = 0
    for key in keys:
        many += counts.get(key, 0)
        if kept and many > MOST:
            break
        kept.append(key)
    return kept


def embedded(document: dict[str, Any]) -> Markup:
    """JSON inside a script element: nothing in it can end the element."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def asked(suite: str, says: str) -> str:
    """The name by which `gelo evaluate --suite` asks for the protocol that says so; of several that give the suite, else the first."""
    giving = protocols_of(suite)
    return next((each.asked for each in giving if each.says == says), giving[0].asked)


def where(comparison: Comparison) -> pd.DataFrame:
    """Each data set as it was scored, a row each: suite, dataset, protocol, version, counts, data, scale, in the order of the names."""
    columns = ["suite", "dataset", "protocol", "version", "counts", "data", "scale"]
    told = comparison.runs.metrics[columns].drop_duplicates().sort_values(columns, kind="stable")
    return told.astype(str)


class _Places:
    """Texts, each once, and their places."""

    def __init__(self, first: list[str]) -> None:
        self.known: dict[str, int] = {text: place for place, text in enumerate(first)}

    def of(self, text: object) -> int:
        return self.known.setdefault(str(text), len(self.known))


def _storage(comparison: Comparison) -> str:
    """Where the sweep says that it is kept, as an option of a command; "" at the default."""
    settings = comparison.runs.spec.get("settings")
    place = str(settings.get("storage", "")) if isinstance(settings, dict) else ""
    return "" if place in ("", "out") else redacted(place)
