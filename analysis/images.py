"""Which test images each trial got right, as its results keep them beside, and its average over the data sets on images drawn again.

All trials are given the same draws (`resampling.drawn`), so that what two have in common is no noise of their difference or ratio. A set is
read once, a bit an image; the draws of one set are held in blocks. What stays is (`DRAWS`,) numbers a trial.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from gelo.analysis.resampling import DRAWS, drawn
from gelo.analysis.runs import Runs
from gelo.analysis.scores import table_of
from gelo.tasks.protocols import suites

_READERS = 8  # files that are opened at once: a store elsewhere answers each in a while
_TRIALS = 64  # whose images are unpacked at once
_ROUNDED = 1e-6  # by which a value may differ from the mean of its images
Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Images:
    """draws: by trial, (DRAWS,) the mean over the data sets of its accuracy on resampled images. count: test images of all sets. why: of
    every other trial that has a value on each set, why its images cannot be used."""

    draws: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    count: int = 0
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answers:
    """right: a bit an image, in the order of their ids; same: equal for two trials that were asked the same images."""

    right: Bits
    size: int
    same: tuple[object, ...]


def resampled_averages(runs: Runs, suite: str, sets: Sequence[str]) -> Images:
    """Of every trial whose images of every set are known and the same as those of most others. A trial that lacks a set has no average."""
    rows = runs.metrics[(runs.metrics["suite"] == suite) & (runs.metrics["leaf"] == suites()[suite].averaged)]
    rows = rows[rows["value"].notna() & rows["part"].isin(sets)].drop_duplicates(["trial", "part"])
    per_trial = rows.groupby("trial")["part"].nunique()
    whole = [str(trial) for trial in per_trial.index[per_trial == len(sets)]]
    if runs.folder is None or not whole or not sets:
        return Images()
    totals = {trial: np.zeros(DRAWS, np.float32) for trial in whole}
    why: dict[str, str] = {}
    count = 0
    for name in sets:
        asked = rows[(rows["part"] == name) & rows["trial"].isin([trial for trial in whole if trial not in why])]
        known = _answers(runs.folder / "trials", suite, asked.to_dict("records"), why)
        if not known:
            return Images({}, 0, why)
        size = next(iter(known.values())).size
        for trial, means in _means(name, size, known).items():
            totals[trial] += means / len(sets)
        count += size
    return Images({trial: total for trial, total in totals.items() if trial not in why}, count, why)


def _answers(folder: UPath, suite: str, rows: Sequence[Mapping[Any, Any]], why: dict[str, str]) -> dict[str, _Answers]:
    """Of one set by trial, all of the same images; `why` is told of the others."""
    with ThreadPoolExecutor(_READERS) as pool:
        read = dict(
            zip((str(row["trial"]) for row in rows), pool.map(lambda row: _read(folder, suite, row), rows), strict=True)
        )
    groups: dict[tuple[object, ...], int] = defaultdict(int)
    for each in read.values():
        if isinstance(each, _Answers):
            groups[each.same] += 1
    most = max(groups, key=lambda same: groups[same], default=())
    found = {}
    for trial, each in read.items():
        if isinstance(each, str):
            why[trial] = each
        elif each.same != most:
            why[trial] = f"scored on other images than most of the sweep ({rows[0]['part']})"
        else:
            found[trial] = each
    return found


def _read(folder: UPath, suite: str, row: Mapping[Any, Any]) -> _Answers | str:
    """One result's images; else why they cannot be used."""
    name = str(row["dataset"])
    try:
        table = table_of(folder / str(row["trial"]), suite, name, ["id", "label", "predicted"])
        right = pc.equal(table["label"], table["predicted"]).to_numpy().astype(np.uint8)
        ids = table["id"].to_numpy()
    except FileNotFoundError:
        return f"no scores by image beside its result ({name})"
    except (OSError, TypeError, ValueError, KeyError, pa.ArrowException) as error:
        return f"its scores by image cannot be read ({name}: {str(error).splitlines()[0]})"
    if not len(right) or abs(right.mean() - float(row["value"])) > _ROUNDED:
        return f"its scores by image are not those of its result ({name})"
    order = np.argsort(ids, kind="stable")
    same = (len(ids), hash(tuple(ids[order])), str(row["data"]), int(row["version"]))
    return _Answers(np.packbits(right[order]), len(ids), same)


def _means(name: str, size: int, known: Mapping[str, _Answers]) -> dict[str, npt.NDArray[np.float32]]:
    """(DRAWS,) accuracy on each resample of one set, by trial."""
    trials = list(known)
    found = np.empty((DRAWS, len(trials)), np.float32)
    at = 0
    for counts in drawn(name, size):
        for start in range(0, len(trials), _TRIALS):
            packed = np.stack([known[trial].right for trial in trials[start : start + _TRIALS]])
            right = np.unpackbits(packed, axis=1, count=size).astype(np.float32)
            found[at : at + len(counts), start : start + _TRIALS] = counts @ right.T / size
        at += len(counts)
    return {trial: found[:, place] for place, trial in enumerate(trials)}
