"""Worst-group accuracy: the share of right images in the group where it is lowest, of text prompts and of a linear probe.

A group is what the column `group` of a data set says, such as "landbird on water"; whoever prepares the set crosses class and attribute.
Definition: Sagawa et al., 1911.08731, section 2 (the worst case over groups of a finite test set). Decisions: groups count as they are,
however small, and each is told with its images; an image whose group is empty counts for none. The interval is that of the group as if it
had been named beforehand: the lowest of several rates lies below what any of them is expected to be, the more so the smaller they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gelo.models.words import counted
from gelo.tasks.metrics.intervals import mean_of_rates, rate_interval
from gelo.tasks.protocols import probe, zeroshot
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.tally import Context, Tally
from gelo.tasks.results import Result

if TYPE_CHECKING:
    from gelo.tasks.scoring import Scored, Scoring

COLUMN = "group"
PROTOCOL = "worst-group accuracy: the lowest share of right images over the groups that the column `group` names"
PROTOCOL_VERSION = 1
METRICS = (
    Metric("top1", "higher", main=("*",), help="share of images whose class is found, of the group where it is lowest"),
    Metric("mean_per_group", "higher", help="mean of that share over groups"),
)
SUITES = ("worst_group", "worst_group_probe")


def score(
    dataset: str,
    groups: Sequence[str] | NDArray[np.object_] | None,
    per_item: pa.Table,
    *,
    suite: str = SUITES[0],
    reason: str = "",
    **context: Unpack[Context],
) -> tuple[Result, pa.Table]:
    """`top1` of the worst group and `mean_per_group`, of a table with one row an image: id, label, predicted.

    groups: of each image in the order of the table, (N,), "" for none; None where the set has no such column. reason: why nothing was
    predicted, "" where it was. Absent then, without groups and for fewer than two. The table has one row an image: id, label, predicted,
    group; `counts` the images and the groups, the note `images_by_group` how many each has.
    """
    tally, images = Tally(suite), per_item.num_rows
    names = np.full(images, "") if groups is None else np.asarray(groups).astype(str)
    found, place, sizes = np.unique(names[names != ""], return_inverse=True, return_counts=True)
    counts = {"images": images, "groups": found.size, "images_in_no_group": int((names == "").sum())}
    if groups is None:
        reason = f"worst group: {dataset} has no column `{COLUMN}`"
    elif not reason and found.size < 2:
        reason = f"worst group: {counted(found.size, 'group')}, at least 2 needed"
    if reason:
        for metric in METRICS:
            tally.lack(dataset, metric.leaf, reason)
        return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, {}, **context), _table(per_item, names)
    right = (per_item["label"].to_numpy() == per_item["predicted"].to_numpy())[names != ""]
    hits = np.bincount(place, weights=right, minlength=found.size).astype(np.int64)
    worst = int(np.argmin(hits / sizes))  # of several the first by name
    tally.give(dataset, "top1", hits[worst] / sizes[worst], rate_interval(int(hits[worst]), int(sizes[worst])))
    tally.give(dataset, "mean_per_group", float(np.mean(hits / sizes)), mean_of_rates(hits, sizes))
    told = [f"{name} {size:,}" for name, size in zip(found, sizes, strict=True)]
    notes = {"worst_group": str(found[worst]), "images_by_group": ", ".join(told)}
    return tally.result(dataset, PROTOCOL, PROTOCOL_VERSION, counts, notes, **context), _table(per_item, names)


def _table(per_item: pa.Table, names: NDArray[np.str_]) -> pa.Table:
    rows = per_item.select([name for name in ("id", "label", "predicted") if name in per_item.column_names])
    return rows.append_column("group", pa.array(names.tolist(), pa.string()))


def _groups(s: Scoring) -> NDArray[np.object_] | None:
    return s.column("test", COLUMN) if COLUMN in s.dataset.card.columns else None


def _zero_shot(s: Scoring) -> list[Scored]:
    d, groups = s.dataset, _groups(s)
    result, table = zeroshot.score(
        d.name, d.ids("test"), s.features("test", "image"), d.labels("test"), s.classifier(), **s.context
    )
    return [score(d.name, groups, table, reason=_why(result), **s.context)]


def _probe(s: Scoring) -> list[Scored]:
    ((result, table),) = probe.scored(s, "probe", "image")
    return [score(s.dataset.name, _groups(s), table, suite=SUITES[1], reason=_why(result), **s.context)]


def _why(result: Result) -> str:
    """Why nothing was predicted."""
    return "" if result.values else next(iter(result.absent.values()))


PROTOCOLS = (
    Protocol(
        SUITES[0],
        asked=SUITES[0],
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite(SUITES[0], "worst_group", METRICS),),
        reads=(("test", ("image",)),),
        score=_zero_shot,
        help="the lowest accuracy of text prompts over groups",
        source="Sagawa et al., 1911.08731",
        prompted=True,
        like="zero_shot",
    ),
    Protocol(
        SUITES[1],
        asked=SUITES[1],
        version=PROTOCOL_VERSION,
        says=PROTOCOL,
        suites=(Suite(SUITES[1], "worst_group", METRICS),),
        reads=tuple((split, ("image",)) for split in ("train", "val", "test")),
        score=_probe,
        help="the lowest accuracy of a linear probe over groups",
        source="Sagawa et al., 1911.08731",
        optional=("val",),
        learns=True,
        like="probe",
    ),
)
