"""The rows of `gelo.results`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from gelo.sweeps.spec.settings import Settings

COLUMNS = [
    "sweep", "trial", "label", "backbone", "task", "adaptation", "remedy", "seed", "suite", "dataset", "part", "metric", "value", "low",
    "high", "better", "n", "counts", "reason", "protocol", "protocol_version", "scale", "partial", "leak", "unchecked",
]  # fmt: skip


def rows_of(settings: Settings, sweep: str) -> pd.DataFrame:
    """The rows of one sweep. Raises UserError."""
    from upath import UPath

    from gelo.analysis.runs import read_runs
    from gelo.sweeps.state.folder import SweepFolder
    from gelo.tasks.ledger.trial import Trial
    from gelo.tasks.protocols import better

    folder = SweepFolder(UPath(settings.storage), sweep)
    labels = Trial.labels(folder.spec().trials())
    runs = read_runs(folder.storage, sweep)
    for fault in runs.faults:
        warnings.warn(f"sweep {sweep}: {fault}", stacklevel=3)
    told = ["trial", "backbone", "task", "adaptation", "remedy", "seed"]
    frame = runs.trials[told].merge(runs.metrics, on="trial", validate="one_to_many")
    return frame.assign(
        sweep=sweep,
        label=[labels.get(key, "") for key in frame["trial"]],
        better=[better(name) or "" for name in frame["metric"]],
        protocol_version=frame["version"],
    )[COLUMNS]
