"""From the result files of a trial to the metrics that MLflow gets: results, training and forgetting curves, averages and GELO.

The files are the truth: MLflow gets all that stands in them now, and nothing else; only a training row and a look have a step: how many
were done by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gelo.models.words import counted
from gelo.sweeps.stages.embed import Subject
from gelo.sweeps.tracking.logged import Metric
from gelo.sweeps.tracking.values import Input
from gelo.tasks.data.catalogue import chosen
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.owed import owed
from gelo.tasks.ledger.retention import Average, Score, retention
from gelo.tasks.ledger.retention import average as mean_over
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.metricnames import MEAN, metric_name
from gelo.tasks.protocols import PROTOCOLS, averaged, suites
from gelo.tasks.protocols.zeroshot import watched
from gelo.tasks.results import Result

WHOLE = (*(f"{suite}/" for suite in suites()), "gelo/")  # beginnings of the names that `metrics_of` says all of
HEADLINE = ("trials/", "gelo/", "gain/")  # of a sweep's own run, as the report gives them
_LOOKS = {"validation": "general_validation", "test": "general_test", "task": "task"}  # of a point of a curve


def results_of(subject: Subject, pairs: Sequence[tuple[str, str]]) -> list[Result]:
    """Every result that is there of those the sweep asks for."""
    found = (subject.folder.result(suite, name) for suite, name, _ in owed(pairs, subject.trial.task))
    return [result for result in found if result is not None]


def is_complete(trial: Trial, results: Sequence[Result], pairs: Sequence[tuple[str, str]]) -> bool:
    """True when no result of `results_of` is missing."""
    return len(results) == len(list(owed(pairs, trial.task)))


def average(subject: Subject, suite: str, pairs: Sequence[tuple[str, str]]) -> Average:
    """The mean over all data sets of the suite; of each that is missing or undefined, why."""
    leaf, scores = suites()[suite].averaged, {}
    for name in _sets(suite, pairs):
        result, metric = subject.folder.result(suite, name), metric_name(suite, name, leaf)
        if result is None:
            scores[name] = Score(None, reason="no result")
        else:
            scores[name] = Score(result.values.get(metric), reason=result.absent.get(metric, f"no {leaf}"))
    return mean_over(scores)


def _sets(suite: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The data sets that give results of the suite to any encoder."""
    return [name for name, protocol in pairs if suite in PROTOCOLS[protocol].untrained]


def mean_of(subject: Subject, suite: str, pairs: Sequence[tuple[str, str]]) -> str:
    """How a mean over the sweep's sets of a suite is called: `mean`, or `mean_12` where they are not the collection's own."""
    return MEAN + chosen(_sets(suite, pairs), subject.trial.collection, suite)


def _mean_name(subject: Subject, suite: str, pairs: Sequence[tuple[str, str]]) -> str:
    return metric_name(suite, mean_of(subject, suite, pairs), suites()[suite].averaged)


def averages_of(subject: Subject, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The averages over several sets that are whole, by their names."""
    found = {}
    for suite in averaged():
        value = average(subject, suite, pairs).value
        if value is not None and len(_sets(suite, pairs)) > 1:
            found[_mean_name(subject, suite, pairs)] = value
    return found


def metrics_of(subject: Subject, baseline: Subject, pairs: Sequence[tuple[str, str]]) -> list[Metric]:
    """Everything that the trial's MLflow run should hold, as far as it is known: of every result that is there, asked for now or not."""
    values: dict[str, float] = {}
    for result in [
        *subject.folder.results(),
        *results_of(subject, pairs),
    ]:  # two sets of faces may share names: those asked for win
        values |= result.values
    metrics = [Metric(name, value) for name, value in values.items()]
    own_training = subject.folder.training() if subject.trial.trains else {}
    for row in own_training.get("history", []):
        metrics += losses_of(row)
        metrics += [Metric(f"train/{name}", row[name], _step(row)) for name in row if name == "images_per_second"]
    metrics += curve_of(subject.folder.curve()) if subject.trial.trains else []
    for suite in averaged():
        after, before = average(subject, suite, pairs), average(baseline, suite, pairs)
        if after.value is not None:
            metrics.append(Metric(_mean_name(subject, suite, pairs), after.value))
        kept = retention(after, before).value
        if kept is not None and subject is not baseline:
            metrics.append(Metric(f"gelo/{suite}{mean_of(subject, suite, pairs).removeprefix(MEAN)}", kept))
    return metrics


def losses_of(row: Mapping[str, Any]) -> Iterator[Metric]:
    """Of a row of a training's history: its loss, and those that remedies add, by step."""
    yield from (
        Metric(f"train/{name}", row[name], _step(row)) for name in row if name == "loss" or name.startswith("loss_")
    )


def _step(row: Mapping[str, Any]) -> int:
    return int(row.get("step", row["epoch"]))  # an older gelo's rows stay at their epochs


def curve_of(points: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """The forgetting curve by step; what a look lacks is not there."""
    for point in points:
        named = {f"forgetting/{name}": point[key] for key, name in _LOOKS.items() if key in point}
        named |= {watched(name): value for name, value in point["sets"].items()}
        yield from (Metric(name, value, int(point["step"])) for name, value in named.items())


def inputs_of(subject: Subject, datasets: Mapping[str, Dataset], results: Iterable[Result]) -> list[Input]:
    """The data sets that a trial was trained on and those that its results are of, as they are now; each once, for all that it was read
    for."""
    roles = {name: "training" for name, _ in subject.trial.learnt_from}
    for name in dict.fromkeys(result.dataset for result in results):
        roles[name] = "training, evaluation" if name in roles else "evaluation"
    inputs = []
    for dataset, role in ((datasets[name], role) for name, role in roles.items() if name in datasets):
        images = {split: sum(shard.rows for shard in shards) for split, shards in dataset.card.splits.items()}
        inputs.append(Input(dataset.name, dataset.fingerprint, role, str(dataset.root), images))
    return inputs


def not_averaged(subjects: Sequence[Subject], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """In words: which averages are not given, and why; trials that lack one for the same reason together."""
    lacking: dict[tuple[str, str], list[str]] = defaultdict(list)
    for subject in subjects:
        for suite in averaged():
            reason = "; ".join(f"{name}: {why}" for name, why in average(subject, suite, pairs).lacking.items())
            if reason:
                lacking[_mean_name(subject, suite, pairs), reason].append(subject.label)
    return [
        f"not given: {mean} of {', '.join(labels[:2])}"
        + (f" and {counted(len(labels) - 2, 'other trial')}" if len(labels) > 2 else "")
        + f" ({reason})"
        for (mean, reason), labels in lacking.items()
    ]
