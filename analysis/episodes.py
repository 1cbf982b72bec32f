"""Few-shot episodes of each trial against those of its own baseline, one by one: both were asked the same, so that the difference of their
means has a narrower interval than either mean."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from upath import UPath

from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.compare import Comparison
from gelo.analysis.labels import IDENTITY, is_baseline
from gelo.tasks.data import bounded
from gelo.tasks.protocols import few_shot_episodes, suite_of

EPISODES = few_shot_episodes.NAME
NAME = f"{EPISODES}_paired"


def episodes_table(comparison: Comparison, root: UPath) -> Table | None:
    """By data set the mean difference in points, after - before, and the ends of its 95 % interval; None where no trial has episodes beside
    its baseline's. root: the sweep's folder."""
    metrics = comparison.runs.metrics
    suite = suite_of(EPISODES)
    own = metrics[(metrics["suite"] == suite.name) & (metrics["leaf"] == suite.averaged)]
    sets = [str(name) for name in comparison.general[suite.name].scores.columns]
    known = {(row["trial"], row["dataset"]): row for _, row in own.iterrows()}
    rows, some = [], False
    for _, trial in comparison.runs.trials.iterrows():
        before = comparison.baseline.get(trial["trial"])
        if is_baseline(trial) or before is None:
            continue
        cells: dict[str, Cell] = {}
        for name in sets:
            sides = [known.get((key, name)) for key in (trial["trial"], before)]
            found = _compared(root, name, *sides)
            some = some or bool(found[0].text)
            cells |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        rows.append(Row({name: str(trial[name]) for name in IDENTITY}, False, cells))
    columns = tuple(column for name in sets for column in (name, f"{name}_low", f"{name}_high"))
    return Table(NAME, columns, tuple(sets), tuple(rows), intervals=True) if some else None


def _compared(root: UPath, name: str, after: pd.Series | None, before: pd.Series | None) -> tuple[Cell, Cell, Cell]:
    """The difference and both ends; empty with one reason where there is none."""
    if after is None or before is None:
        return _nothing("no episodes of the trial" if after is None else "no episodes of its baseline")
    if not pd.notna(after["value"]) or not pd.notna(before["value"]):
        return _nothing(str(after["reason"] or before["reason"]))
    if any(after[column] != before[column] for column in ("data", "version")):
        return _nothing("its baseline was scored on another version of the data set or of the protocol")
    try:
        difference, interval = few_shot_episodes.paired(
            *(_table(root, str(side["trial"]), name) for side in (after, before))
        )
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        return _nothing(f"the episodes cannot be compared ({str(error).splitlines()[0]})")
    points = 100 * difference
    if interval is None:
        return Cell(f"{points:+.2f}", better=points), *_nothing("every episode differs by as much")[1:]
    low, high = 100 * interval.low, 100 * interval.high
    return Cell(f"{points:+.2f}", better=points, low=low, high=high), Cell(f"{low:+.2f}"), Cell(f"{high:+.2f}")


def _nothing(reason: str) -> tuple[Cell, Cell, Cell]:
    return Cell("", reason), Cell("", reason), Cell("", reason)


def _table(root: UPath, trial: str, name: str) -> pa.Table:
    with (root / "trials" / trial / "results" / EPISODES / f"{name}.parquet").open("rb") as stream:
        return bounded.parquet(stream, whole=True).read()
