"""From the result files of a trial to the metrics that MLflow gets: results, training curves, averages and GELO.

Steps are fixed: a result's step is its protocol's version, a training row's its epoch, an average's the number of data sets in it, so
that a replay writes nothing twice and a sweep that grew by a data set shows both averages.
"""

from __future__ import annotations

from collections.abc import Sequence

from sweeps.evaluate import Subject
from sweeps.tracking import Metric
from tasks.catalogue import Protocol
from tasks.protocols import probe
from tasks.results import MEAN, Result, metric_name
from tasks.suites import WIRING

AVERAGED = ("zero_shot", *probe.SUITES)  # suites with a mean over all sets, and a GELO
_TRAINING = ("loss", "images_per_second")


def results_of(subject: Subject, pairs: Sequence[tuple[str, Protocol]]) -> list[Result]:
    """Every result that is there of those the sweep asks for."""
    found = (
        subject.folder.result(suite, name) for name, protocol in pairs for suite in subject.suites(WIRING[protocol])
    )
    return [result for result in found if result is not None]


def is_complete(subject: Subject, pairs: Sequence[tuple[str, Protocol]]) -> bool:
    """True when no result is missing."""
    return len(results_of(subject, pairs)) == sum(len(subject.suites(WIRING[protocol])) for _, protocol in pairs)


def average(subject: Subject, suite: str, pairs: Sequence[tuple[str, Protocol]]) -> tuple[float, int] | None:
    """(mean top-1 over all data sets of the suite, how many), or None while one is missing or undefined."""
    names = [name for name, protocol in pairs if suite in WIRING[protocol].suites]
    values = []
    for name in names:
        result = subject.folder.result(suite, name)
        value = result.values.get(metric_name(suite, name, "top1")) if result else None
        if value is None:
            return None
        values.append(value)
    return (sum(values) / len(values), len(values)) if values else None


def metrics_of(subject: Subject, baseline: Subject, pairs: Sequence[tuple[str, Protocol]]) -> list[Metric]:
    """Everything that the trial's MLflow run should hold, as far as it is known."""
    metrics = [
        Metric(name, value, result.protocol_version)
        for result in results_of(subject, pairs)
        for name, value in result.values.items()
    ]
    own_training = subject.folder.training() if subject.trial.trains else {}
    metrics += [
        Metric(f"train/{name}", row[name], int(row["epoch"]))
        for row in own_training.get("history", [])
        for name in _TRAINING
    ]
    for suite in AVERAGED:
        after, before = average(subject, suite, pairs), average(baseline, suite, pairs)
        if after is not None:
            metrics.append(Metric(metric_name(suite, MEAN, "top1"), after[0], after[1]))
        if after is not None and before is not None and before[0] > 0 and subject is not baseline:
            metrics.append(Metric(f"gelo/{suite}", after[0] / before[0], after[1]))
    return metrics
