"""Which trials speak: complete, incomplete, cut or failed, each with its reasons. Seeds stay separate rows; nothing is picked by its score.

What a trial should have is what it owes (`gelo.tasks.ledger.owed`), as far as sweep.json says what the sweep scores (`datasets`,
`evaluate`). A
data set that it does not say, such as a user's own, is expected where another trial has it; a suite of a trained head then of the
trials on a task that has such a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from gelo.analysis.labels import is_baseline
from gelo.analysis.runs import Runs
from gelo.tasks.data.catalogue import ENTRIES, chosen
from gelo.tasks.ledger.owed import owed
from gelo.tasks.protocols import PROTOCOLS, protocols_of, suites

State = Literal["complete", "incomplete", "failed", "diverged", "cut"]
BROKEN: tuple[State, ...] = ("failed", "diverged", "cut")


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
    sets = {suite: expected(runs, suite) for suite in suites()}
    own = {
        task: [suite for suite in suites() if expects(runs, str(task), suite)] for task in runs.trials["task"].unique()
    }
    rows = runs.trials.to_dict("records")
    return {row["trial"]: _status(row, own[row["task"]], have.get(row["trial"], set()), sets) for row in rows}


def expected(runs: Runs, suite: str) -> list[str]:
    """The data sets of a suite in the spec's order, then the catalogue's, then by name."""
    given = _listed(runs.spec, suite)
    found = [str(name) for name in runs.metrics.loc[runs.metrics["suite"] == suite, "dataset"].unique()]
    return [*given, *sorted((name for name in found if name not in given), key=_catalogue_order)]


def choice(runs: Runs, suite: str) -> str:
    """What stands behind the name of an average over the suite's sets where they are not the collection's own, such as `_12`."""
    given = _listed(runs.spec, suite)
    return chosen(expected(runs, suite), str(runs.spec.get("collection") or "miniature"), suite) if given else ""


def expects(runs: Runs, task: str, suite: str) -> bool:
    """Whether a trial on this task should have results of this suite."""
    if not suites()[suite].trained:
        return True
    if _listed(runs.spec, suite):
        return any(suite == owes for owes, _, _ in owed(_pairs(runs.spec), task))
    headed = runs.metrics.loc[runs.metrics["suite"] == suite, "trial"]
    return task in set(runs.trials.loc[runs.trials["trial"].isin(headed), "task"])


def _status(
    row: Mapping[Any, Any], own: list[str], have: set[tuple[str, str]], sets: Mapping[str, list[str]]
) -> Status:
    """own: the suites that a trial on its task should have results of; sets: the data sets of each."""
    missing = tuple((suite, name) for suite in own for name in sets[suite] if (suite, name) not in have)
    gaps = {suite: [name for of, name in missing if of == suite] for suite in own}
    reasons = tuple(f"no {suite} result for {', '.join(names)}" for suite, names in gaps.items() if names)
    if row["error"] is not None and not pd.isna(row["error"]):
        kind = f"{row['error_kind']}: " if row["error_kind"] else ""
        ended: State = "diverged" if row["error_kind"] == "diverged" else "failed"
        return Status(row["trial"], ended, missing, (f"{kind}{row['error']}", *reasons), frozenset(own))
    if row["cut"]:
        return Status(row["trial"], "cut", missing, (str(row["cut"]),), frozenset(own))
    if not have and not row["trained"] and not is_baseline(row):
        reasons = ("not trained yet",)
    state: State = "incomplete" if missing or not have else "complete"
    return Status(row["trial"], state, missing, reasons, frozenset(own))


def _catalogue_order(name: str) -> tuple[int, str]:
    known = list(ENTRIES)
    return (known.index(name) if name in known else len(known), name)


def _pairs(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(data set, protocol) pairs that the spec says are scored, of the sets that the catalogue knows; [] when it lists none."""
    names, evaluated = spec.get("datasets"), spec.get("evaluate")
    if not isinstance(names, list) or not isinstance(evaluated, list):
        return []
    known = sorted((str(name) for name in names if str(name) in ENTRIES), key=_catalogue_order)
    asked = {name for name, protocol in PROTOCOLS.items() if protocol.asked in evaluated}
    return [(name, protocol) for name in known for protocol in ENTRIES[name].protocols if protocol in asked]


def _listed(spec: Mapping[str, Any], suite: str) -> list[str]:
    """The data sets that the spec says are scored for this suite."""
    giving = {protocol.name for protocol in protocols_of(suite)}
    return list(dict.fromkeys(name for name, protocol in _pairs(spec) if protocol in giving))
