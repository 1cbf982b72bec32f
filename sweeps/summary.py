"""From the result files of a trial to the metrics that MLflow gets: results, training curves, averages and GELO.

The files are the truth: MLflow gets all that stands in them now, and nothing else; only a training row has a step: how many were
done at the end of its epoch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gelo.models.words import counted
from gelo.sweeps.evaluate import Subject
from gelo.sweeps.logged import Metric
from gelo.sweeps.tracking import Input
from gelo.sweeps.trial import Trial
from gelo.tasks.catalogue import Protocol, chosen
from gelo.tasks.manifest import Dataset
from gelo.tasks.owed import owed
from gelo.tasks.protocols import probe
from gelo.tasks.results import MEAN, SUITES, Result, metric_name
from gelo.tasks.suites import WIRING

AVERAGED = ("zero_shot", *probe.SUITES)  # suites with a mean over all sets, and a GELO
WHOLE = (*(f"{suite}/" for suite in SUITES), "gelo/")  # beginnings of the names that `metrics_of` says all of
HEADLINE = ("trials/", "gelo/", "gain/")  # of a sweep's own run, as the report gives them
_TRAINING = ("loss", "images_per_second")  # of a row; and the losses that remedies add, loss_NAME


def results_of(subject: Subject, pairs: Sequence[tuple[str, Protocol]]) -> list[Result]:
    """Every result that is there of those the sweep asks for."""
    found = (subject.folder.result(suite, name) for suite, name, _ in owed(pairs, subject.trial.task))
    return [result for result in found if result is not None]


def is_complete(trial: Trial, results: Sequence[Result], pairs: Sequence[tuple[str, Protocol]]) -> bool:
    """True when no result of `results_of` is missing."""
    return len(results) == len(list(owed(pairs, trial.task)))


def average(subject: Subject, suite: str, pairs: Sequence[tuple[str, Protocol]]) -> tuple[float | None, str]:
    """(mean top-1 over all data sets of the suite, ""), or (None, why not): one is missing or undefined."""
    values, reasons = [], []
    for name in (name for name, protocol in pairs if suite in WIRING[protocol].suites):
        result, metric = subject.folder.result(suite, name), metric_name(suite, name, "top1")
        if result is None:
            reasons.append(f"{name}: no result")
        elif metric in result.values:
            values.append(result.values[metric])
        else:
            reasons.append(f"{name}: {result.absent.get(metric, 'no top1')}")
    if reasons or not values:
        return None, "; ".join(reasons)
    return sum(values) / len(values), ""


def mean_of(subject: Subject, suite: str, pairs: Sequence[tuple[str, Protocol]]) -> str:
    """How a mean over the sweep's sets of a suite is called: `mean`, or `mean_12` where they are not the collection's own."""
    names = [name for name, protocol in pairs if suite in WIRING[protocol].suites]
    return MEAN + chosen(names, subject.trial.collection, suite)


def averages_of(subject: Subject, pairs: Sequence[tuple[str, Protocol]]) -> dict[str, float]:
    """The averages over several sets that are whole, by their names."""
    found = {}
    for suite in AVERAGED:
        value, _ = average(subject, suite, pairs)
        if value is not None and sum(suite in WIRING[protocol].suites for _, protocol in pairs) > 1:
            found[metric_name(suite, mean_of(subject, suite, pairs), "top1")] = value
    return found


def metrics_of(subject: Subject, baseline: Subject, pairs: Sequence[tuple[str, Protocol]]) -> list[Metric]:
    """Everything that the trial's MLflow run should hold, as far as it is known: of every result that is there, asked for now or not."""
    values: dict[str, float] = {}
    for result in [
        *subject.folder.results(),
        *results_of(subject, pairs),
    ]:  # two sets of faces may share names: those asked for win
        values |= result.values
    metrics = [Metric(name, value) for name, value in values.items()]
    own_training = subject.folder.training() if subject.trial.trains else {}
    metrics += [
        # an older gelo's rows stay at their epochs
        Metric(f"train/{name}", row[name], int(row.get("step", row["epoch"])))
        for row in own_training.get("history", [])
        for name in row
        if name in _TRAINING or name.startswith("loss_")
    ]
    for suite in AVERAGED:
        (after, _), (before, _) = average(subject, suite, pairs), average(baseline, suite, pairs)
        if after is not None:
            mean = mean_of(subject, suite, pairs)
            metrics.append(Metric(metric_name(suite, mean, "top1"), after))
            if before and subject is not baseline:
                metrics.append(Metric(f"gelo/{suite}{mean.removeprefix(MEAN)}", after / before))
    return metrics


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


def not_averaged(subjects: Sequence[Subject], pairs: Sequence[tuple[str, Protocol]]) -> list[str]:
    """In words: which averages are not given, and why; trials that lack one for the same reason together."""
    lacking: dict[tuple[str, str], list[str]] = defaultdict(list)
    for subject in subjects:
        for suite in AVERAGED:
            _, reason = average(subject, suite, pairs)
            if reason:
                lacking[metric_name(suite, mean_of(subject, suite, pairs), "top1"), reason].append(subject.label)
    return [
        f"not given: {mean} of {', '.join(labels[:2])}"
        + (f" and {counted(len(labels) - 2, 'other trial')}" if len(labels) > 2 else "")
        + f" ({reason})"
        for (mean, reason), labels in lacking.items()
    ]
