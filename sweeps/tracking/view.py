"""The columns of MLflow's table of runs that say most of a sweep, as a saved view of its experiment that a link opens.

MLflow's pages keep such a view in a tag of the experiment, `mlflow.sharedViewState.<key>`, and open it for `?viewStateShareKey=<key>`: an
envelope (`name`, `createdAt`, `updatedAt`, `state`) whose state is JSON in turn; read out of mlflow/server/js/build of MLflow 3.17. The key
is always the same, so that a link that somebody kept shows the columns that the sweep has by now.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from gelo.sweeps.tracking.answered import answered
from gelo.sweeps.tracking.headline import headline_of
from gelo.sweeps.tracking.store import VIEW_TAG
from gelo.sweeps.tracking.tracker import Tracker

TITLE = "gelo: kept and gained"  # in MLflow's list of saved views
_PARAMS = ("backbone", "task", "adaptation.kind", "remedy.kind", "seed")
_STANDING, _NAME = "tags.`gelo.state`", "tags.`mlflow.runName`"


def columns_of(params: Mapping[str, Any], names: Collection[str]) -> Iterator[str]:
    """What is shown of a run with these params and metrics, by MLflow's names for columns: only what it has. Of the sweep's own run, which
    has no params: its best gain on each task."""
    yield from (f"params.`{name}`" for name in _PARAMS if name in params)
    of_trial = headline_of(str(params["task"]), str(params["collection"]), names) if "collection" in params else []
    of_sweep = (name for name in names if name.startswith("gain/") and name.endswith("/highest"))
    yield from (f"metrics.`{name}`" for name in (*of_trial, *of_sweep))


def ordered(columns: Iterable[str]) -> list[str]:
    """Each once: what the trial is, how it stands, what it kept, what it gained; then whatever else is there."""
    firsts = [*(f"params.`{name}`" for name in _PARAMS), _STANDING]
    kinds = ("metrics.`gelo/", "metrics.`gain/", "metrics.`", "")

    def place(column: str) -> tuple[int, str]:
        if column in firsts:
            return firsts.index(column), ""
        return len(firsts) + next(at for at, start in enumerate(kinds) if column.startswith(start)), column

    return sorted({_STANDING, *columns}, key=place)


@answered
def show(tracker: Tracker, columns: Iterable[str]) -> bool:
    """Have the view show these columns too; False where it does already. What a person made of it otherwise stays as it is.

    Runs come by the share they kept, by name while none has one: by the time that they were made MLflow folds them under the sweep's.
    """
    state, wanted = _state(tracker.shown), set(columns)
    there = state.get("selectedColumns")
    there = [str(name) for name in there] if isinstance(there, list) else []
    if wanted <= set(there):
        return False
    shown = ordered([*there, *wanted])
    if state.get("orderByKey", _NAME) == _NAME:
        share = next((name for name in shown if name.startswith("metrics.`gelo/")), "")
        state |= {"orderByKey": share or _NAME, "orderByAsc": not share}
    state |= {"selectedColumns": shown}
    content = json.dumps(
        {"name": TITLE, "createdAt": tracker.made, "updatedAt": tracker.made, "state": json.dumps(state)}
    )
    tracker.client_of.set_experiment_tag(tracker.experiment_id, VIEW_TAG, content)
    tracker.shown = content
    return True


def _state(content: str) -> dict[str, Any]:
    """What the tag says, {} of one that is not there or that gelo cannot read, such as a compressed one."""
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads(json.loads(content)["state"])
        return found if isinstance(found, dict) else {}
    return {}
