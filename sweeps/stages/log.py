"""What a wave's trials are to have in MLflow: from their folders to the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gelo.sweeps.exchange.modelcard import model_of
from gelo.sweeps.stages.embed import Subject
from gelo.sweeps.stages.leaks import leaks_told
from gelo.sweeps.tracking.logged import checked
from gelo.sweeps.tracking.runlog import Asked, Status
from gelo.sweeps.tracking.summary import WHOLE, inputs_of, is_complete, metrics_of, results_of
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial


def scored(
    subject: Subject,
    baseline: Subject,
    pairs: Sequence[tuple[str, str]],
    datasets: Mapping[str, Dataset],
    tags: Mapping[str, str],
) -> Asked:
    """The run of a trial that has results, all that are there. baseline: of its backbone; tags: of the sweep."""
    trial, results = subject.trial, results_of(subject, pairs)
    complete = is_complete(trial, results, pairs)
    own = {
        "gelo.vision": subject.ref.vision,
        "gelo.text": subject.text,
        "gelo.leaks": leaks_told(results),
        "gelo.state": "complete" if complete else "incomplete",
    }
    made = subject.folder.training() if trial.trains else {}
    ended, metrics = made.get("ended"), metrics_of(subject, baseline, pairs)
    values = {metric.name: metric.value for metric in metrics if metric.step is None}
    has_own = bool(results) and trial.tuned and subject.folder.is_trained()
    return Asked(
        key=trial.key,
        name=subject.label,
        params=trial.flat(),
        status="FINISHED" if complete else "FAILED",
        tags={**tags, **own},
        started=None if ended is None else ended - made["train_seconds"],
        ended=ended,
        inputs=tuple(inputs_of(subject, datasets, results)),
        wanted=checked(metrics),
        whole=WHOLE,
        model=model_of(subject, values) if has_own else None,
    )


def ended(trial: Trial, label: str, tags: Mapping[str, str], status: Status, state: str) -> Asked:
    """The run of a trial without results. state: why, the tag gelo.state."""
    return Asked(trial.key, label, trial.flat(), status, {**tags, "gelo.state": state})
