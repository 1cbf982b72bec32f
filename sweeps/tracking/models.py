"""A trained trial as a model of MLflow: a name, where its weights lie, its card, its headline numbers. The weights are never copied.

It is found by its tag `gelo.trial` and its run before it is made, and is made together with both: no kill leaves a second one. It is
READY when its card is there and its run names it. Its numbers are rows of the run, told once more with the model's id: MLflow keeps a row
of a run once, however often it is sent.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gelo.sweeps.tracking.answered import answered, uploading
from gelo.sweeps.tracking.logged import Row
from gelo.sweeps.tracking.runlog import Head
from gelo.sweeps.tracking.tracker import NOTE, Tracker
from gelo.sweeps.tracking.values import Model, quotable

CARD = "README.md"  # the artifact
_FIELDS = ("backbone", "task", "collection", "adaptation", "remedy", "seed")
_LONGEST = 250  # characters of a param of a model
_REFUSED = re.compile(r"""[/:.%"']""")  # in a model's name


@answered
def ensure_model(tracker: Tracker, run_id: str, head: Head, model: Model, rows: Sequence[Row]) -> dict[Row, str]:
    """The model of a trial as `head` and its card say; gives those of `rows`, all that the run is to have, which its model lacks, with
    its id.

    One whose number is defined no more is made anew: MLflow takes no number of a model back.
    """
    now = {
        row.name: row for row in sorted(rows, key=lambda row: (row.step, row.timestamp)) if row.name in model.metrics
    }
    current = {(row.name, row.timestamp, row.step): row for row in now.values() if not math.isnan(row.value)}
    names = {row.name for row in current.values()}
    found = _found(tracker, run_id, head.key, names)
    if found is None:
        found = tracker.client_of.create_logged_model(
            tracker.experiment_id,
            _REFUSED.sub("_", head.name),
            run_id,
            _tags(head),
            _params(head),
            head.params.get("task"),
        )
    _describe(tracker, found, model)
    if str(found.status) != "READY":
        _finish(tracker, run_id, found.model_id)
    there = {(entry.key, int(entry.timestamp), int(entry.step)) for entry in found.metrics or ()}
    return {row: str(found.model_id) for place, row in current.items() if place not in there}


def _found(tracker: Tracker, run_id: str, key: str, names: set[str]) -> Any:
    """The oldest model of the trial's run; others of the trial are deleted, as is one with a number that is not among `names`."""
    query = f"tags.`gelo.trial` = '{quotable(key)}'"
    models = tracker.client_of.search_logged_models([tracker.experiment_id], query)
    kept = None
    for each in sorted(models, key=lambda model: (model.creation_timestamp, model.model_id)):
        whole = {entry.key for entry in each.metrics or ()} <= names
        if kept is None and each.source_run_id == run_id and whole:
            kept = each
        else:
            tracker.client_of.delete_logged_model(each.model_id)
    return kept


def _tags(head: Head) -> dict[str, str]:
    named = ("gelo.sweep", "gelo.scale", "gelo.vision", "gelo.text")
    return {"gelo.trial": head.key, "mlflow.model.isExternal": "true"} | {
        name: head.tags[name] for name in named if name in head.tags
    }


def _params(head: Head) -> dict[str, str]:
    return {
        name: value
        for name, value in head.params.items()
        if name.partition(".")[0] in _FIELDS and len(value) <= _LONGEST
    }


def _describe(tracker: Tracker, found: Any, model: Model) -> None:
    """Its card, as an artifact and as its description; the tag that says which one it has comes after both."""
    digest = hashlib.sha256(f"{model.place}\0{model.card}".encode()).hexdigest()[:16]
    if (found.tags or {}).get("gelo.card") == digest:
        return
    with TemporaryDirectory() as folder:
        card = Path(folder) / CARD
        card.write_text(model.card)
        with uploading(tracker.uri):
            tracker.client_of.log_model_artifact(found.model_id, str(card))
    tags = {NOTE: model.card, "gelo.weights": model.place, "gelo.card": digest}
    tracker.client_of.set_logged_model_tags(found.model_id, tags)


def _finish(tracker: Tracker, run_id: str, model_id: str) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus

    outputs = tracker.client_of.get_run(run_id).outputs
    if model_id not in {each.model_id for each in (outputs.model_outputs if outputs is not None else ())}:
        tracker.client_of.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
    tracker.client_of.finalize_logged_model(model_id, LoggedModelStatus.READY)
