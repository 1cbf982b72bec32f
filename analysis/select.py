"""Which trials speak: complete, incomplete or failed, each with its reasons. Seeds stay separate rows; nothing is picked by its score.

A suite's expected data sets are those of sweep.json (`datasets`, `evaluate`), and the union over the sweep's trials. The suites of
a trained head (`mad`, `pad`) are expected of the tasks whose trials have such a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from gelo.analysis.labels import is_baseline
from gelo.analysis.runs import Runs
from gelo.tasks.catalogue import ENTRIES, PROBES, chosen
from gelo.tasks.results import SUITES

HEADED = ("mad", "pad")
# suite of results -> (the catalogue's protocols that give it, the name under which a spec asks for it)
PROTOCOLS: dict[str, tuple[set[str], str]] = {
    "zero_shot": ({"zero_shot"}, "zero_shot"),
    **{probe: ({probe}, probe) for probe in PROBES},
    "knn": ({"knn"}, "knn"),
    "few_shot": ({"few_shot"}, "few_shot"),
    "fr": ({"verification", "templates"}, "biometric"),
    "fr_1n": ({"identification"}, "biometric"),
    "mad": ({"morph"}, "biometric"),
    "mad_text": ({"morph"}, "biometric"),
    "pad": ({"spoof"}, "biometric"),
    "pad_text": ({"spoof"}, "biometric"),
}
State = Literal["complete", "incomplete", "failed"]


@dataclass(frozen=True)
class Status:
    """One trial's state; `missing`: (suite, data set) pairs without a result; `reasons`: in words.

    expected: the suites that this trial should have results of.
    """

    trial: str
    state: State
    missing: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    expected: frozenset[str]


def select(runs: Runs) -> dict[str, Status]:
    """The state of every trial, by key, in row order."""
    have: dict[str, set[tuple[str, str]]] = {}
    for key, suite, dataset in zip(runs.metrics["trial"], runs.metrics["suite"], runs.metrics["dataset"], strict=True):
        have.setdefault(key, set()).add((suite, dataset))
    sets = {suite: expected(runs, suite) for suite in SUITES}
    return {row["trial"]: _status(row, runs, have.get(row["trial"], set()), sets) for _, row in runs.trials.iterrows()}


def expected(runs: Runs, suite: str) -> list[str]:
    """The data sets of a suite in the spec's order, then the catalogue's, then by name."""
    given = _listed(runs.spec, suite)
    found = [str(name) for name in runs.metrics.loc[runs.metrics["suite"] == suite, "dataset"].unique()]
    return [*given, *sorted((name for name in found if name not in given), key=_catalogue_order)]


def choice(runs: Runs, suite: str) -> str:
    """What stands behind the name of an average over the suite's sets where they are not the collection's own, such as `_12`."""
    given = _listed(runs.spec, suite)
    return chosen(expected(runs, suite), str(runs.spec.get("collection") or "miniature"), suite) if given else ""


def expects(runs: Runs, row: Mapping[str, Any] | pd.Series, suite: str) -> bool:
    """Whether this trial should have results of this suite."""
    if suite not in HEADED:
        return True
    headed = runs.metrics.loc[runs.metrics["suite"] == suite, "trial"]
    return row["task"] in set(runs.trials.loc[runs.trials["trial"].isin(headed), "task"])


def _status(row: pd.Series, runs: Runs, have: set[tuple[str, str]], sets: Mapping[str, list[str]]) -> Status:
    suites = frozenset(suite for suite in SUITES if expects(runs, row, suite))
    missing = tuple(
        (suite, name) for suite in SUITES if suite in suites for name in sets[suite] if (suite, name) not in have
    )
    gaps = {suite: [name for own, name in missing if own == suite] for suite in SUITES}
    reasons = tuple(f"no {suite} result for {', '.join(names)}" for suite, names in gaps.items() if names)
    if row["error"] is not None and not pd.isna(row["error"]):
        kind = f"{row['error_kind']}: " if row["error_kind"] else ""
        return Status(row["trial"], "failed", missing, (f"{kind}{row['error']}", *reasons), suites)
    if not have and not row["trained"] and not is_baseline(row):
        reasons = ("not trained yet",)
    return Status(row["trial"], "incomplete" if missing or not have else "complete", missing, reasons, suites)


def _catalogue_order(name: str) -> tuple[int, str]:
    known = list(ENTRIES)
    return (known.index(name) if name in known else len(known), name)


def _listed(spec: Mapping[str, Any], suite: str) -> list[str]:
    """The spec's data sets that this suite scores; [] when it lists none, or does not evaluate the suite."""
    names, evaluated = spec.get("datasets"), spec.get("evaluate")
    protocols, asked = PROTOCOLS[suite]
    if not isinstance(names, list) or not isinstance(evaluated, list) or asked not in evaluated:
        return []
    known = [str(name) for name in names if str(name) in ENTRIES and protocols & set(ENTRIES[str(name)].protocols)]
    return sorted(known, key=_catalogue_order)
