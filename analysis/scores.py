"""The per-image scores that lie beside a result: which image, pair or video was given which score."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from upath import UPath

from gelo.analysis.runs import Runs
from gelo.models.faults import UserError
from gelo.models.untrusted import read_model
from gelo.tasks.data import bounded
from gelo.tasks.results import Result


def table_of(trial: UPath, suite: str, dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
    """What lies beside a result of the trial whose folder this is; its columns are those of its protocol.

    Raises FileNotFoundError where there is none; OSError, ValueError or pa.ArrowException where it cannot be read.
    """
    with (trial / "results" / suite / f"{dataset}.parquet").open("rb") as stream:
        return bounded.parquet(stream, whole=True).read(columns=columns, use_threads=False)


def result_of(runs: Runs, trial: str, suite: str, dataset: str) -> Result | None:
    """One result of a trial; None where it is not there, or cannot be read (`read_metrics` says so)."""
    if runs.folder is None:
        return None
    try:
        return read_model(runs.folder / "trials" / trial / "results" / suite / f"{dataset}.json", Result)
    except (OSError, UserError):
        return None


def scores_of(runs: Runs, trial: str, suite: str, dataset: str) -> pa.Table | None:
    """See `table_of`; None where it is not there or cannot be read."""
    if runs.folder is None:
        return None
    try:
        return table_of(runs.folder / "trials" / trial, suite, dataset)
    except (OSError, ValueError, pa.ArrowException):
        return None
