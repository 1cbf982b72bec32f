"""Few-shot episodes after FEWTRANS: 600 tasks of varied ways and shots, nine linear heads that vote, mean and interval over tasks.

Source: Frankluox/FewTrans (arXiv 2603.00478), of which `episodes` and `ensemble` say what is theirs and what is gelo's. Visual only, frozen
features: the backbone is not tuned in an episode. Their interval could not be read; this is the normal one, mean +- 1.96 s / sqrt(tasks),
of other tasks on the same images, so it holds nothing of other images. Episodes do not depend on the trial: a tuned encoder and the
untouched one answer the same, task by task, and `paired` compares them so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gelo.tasks.metrics.intervals import Interval
from gelo.tasks.protocols import ensemble, episodes
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.inputs import learnt_from, normalised, why_not_learnt
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

PROTOCOL = (
    "few-shot episodes after FEWTRANS: 2-15 ways, 1-10 shots, 15 queries a class; nine linear heads on frozen, L2-normalised "
    "post-projection features vote"
)
PROTOCOL_VERSION = 1
TASKS = 600
NORMAL = 1.96
METRICS = (
    Metric("top1", "higher", help="share of queries whose class most of the nine heads find, mean over episodes"),
    Metric("sd", None, help="its standard deviation over episodes"),
)
NAME = "few_shot_episodes"


def score(
    dataset: str,
    train_features: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test_ids: Sequence[str] | NDArray[np.object_],
    test_features: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    *,
    tasks: int = TASKS,
    classes: Sequence[str] = (),
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1`, the mean over `tasks` episodes of the share of queries that the vote gets right, with its interval over them, and `sd`, their
    standard deviation (n - 1). Support from train features (N, d), queries from test features (M, d); at least two tasks.

    Absent when train has fewer than two classes or lacks one of the test images', and where all test images are of one class. classes:
    names in label order, for the reason. The table has one row an episode: episode, ways, support, queries, top1, and centre, what the
    member in the middle of the grid gets right alone. Raises UserError for duplicate ids and for features that are not finite or zero.
    """
    names = np.asarray(test_ids).astype(str)
    learnt_from(f"few-shot episodes on {dataset}", train_features, train_labels, names, test_features, test_labels)
    tally = Tally(NAME, unit="episode")
    counts = {"episodes": tasks, "train_images": len(train_features), "test_images": names.size}
    counts["classes"] = int(np.unique(test_labels).size)
    reason = why_not_learnt(train_labels, test_labels, classes) or (
        "test images of a single class, at least 2 needed" if counts["classes"] < 2 else ""
    )
    if reason:
        for leaf in ("top1", "sd"):
            tally.lack(dataset, leaf, f"few-shot episodes: {reason}")
        counts["episodes"] = 0
        return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {}, **context), _table([])
    train, test = normalised(train_features), normalised(test_features)
    drawn = episodes.Episodes(np.asarray(train_labels), np.asarray(test_labels))
    rows, alone = [], np.zeros(len(ensemble.GRID))
    for number in range(tasks):
        task = drawn[number]
        heads = ensemble.fit(train[task.support], task.support_of, task.classes.size)
        predicted = heads.predict(test[task.query])
        each = (predicted == task.query_of).mean(axis=1)
        alone += each / tasks
        right = float(np.mean(ensemble.vote(predicted, task.classes.size) == task.query_of))
        sizes = task.classes.size, task.support.size, task.query.size
        rows.append((number, *sizes, right, float(each[ensemble.MIDDLE])))
    table = _table(rows)
    shares = table["top1"].to_numpy()
    found = interval(shares)
    within = None if found is None else Interval(max(found.low, 0.0), min(found.high, 1.0))
    tally.give(dataset, "top1", float(shares.mean()), within)
    tally.give(dataset, "sd", float(shares.std(ddof=1)))
    notes = {
        "intervals": f"of other episodes on these images: mean +- {NORMAL:g} s / sqrt({tasks})",
        "heads": f"visual only, frozen features; logistic regression, each alone: {_each(alone)}",
        "episodes": f"support from train, queries from test; ways {_range(table, 'ways')}, support {_range(table, 'support')}, "
        f"queries {_range(table, 'queries')}; seed {episodes.SEED}, the same for every encoder",
    }
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), table


def interval(values: NDArray[np.floating]) -> Interval | None:
    """mean +- 1.96 s / sqrt(n) of values (n,), n at least 2; None where all are alike, since no width says nothing of others."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Interval(mean - NORMAL * error, mean + NORMAL * error) if error > 0 else None


def paired(after: pa.Table, before: pa.Table) -> tuple[float, Interval | None]:
    """The mean over episodes of how much more of an episode's queries `after` gets right than `before`, and its interval: the tables of two
    encoders on one data set. Raises ValueError where they are not of the same episodes."""
    of = ("episode", "ways", "support", "queries")
    after, before = after.sort_by("episode"), before.sort_by("episode")
    if len(after) < 2 or after.select(of) != before.select(of):
        raise ValueError(f"{len(after)} and {len(before)} episodes that are not the same, at least 2")
    differences = pc.subtract(after["top1"], before["top1"]).to_numpy()
    return float(differences.mean()), interval(differences)


def _each(alone: NDArray[np.floating]) -> str:
    """What each member gets right, `C 2, weight shots^-0.5: 0.8026`."""
    named = zip(ensemble.GRID, alone, strict=True)
    return "; ".join(f"C {strength:g}, weight shots^-{power:g}: {right:.4f}" for (strength, power), right in named)


def _range(table: pa.Table, column: str) -> str:
    ends = pc.min_max(table[column]).as_py()
    return f"{ends['min']}-{ends['max']}"


def _table(rows: Sequence[tuple[float, ...]]) -> pa.Table:
    whole, share = pa.int64(), pa.float64()
    columns = {"episode": whole, "ways": whole, "support": whole, "queries": whole, "top1": share, "centre": share}
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pa.table({name: pa.array(each, kind) for (name, kind), each in zip(columns.items(), values, strict=True)})


def _scored(s: Scoring) -> list[Scored]:
    return [score(*s.train_and_test(), classes=s.dataset.card.classes, **s.context)]


PROTOCOLS = (
    Protocol(
        NAME,
        asked=NAME,
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite(NAME, NAME, METRICS, averaged="top1", compared=("episodes",)),),
        reads=tuple((split, ("image",)) for split in ("train", "val", "test")),
        score=_scored,
        help="episodes of varied ways and shots, after FEWTRANS",
        source="Frankluox/FewTrans: data/sampling.py, models/fewshot_finetune_ensemble.py",
        optional=("val",),
        learns=True,
        like="probe",
    ),
)
