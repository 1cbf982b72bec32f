"""`gelo evaluate --scores FILE --protocol NAME`: the metrics of scores that another program made; nothing is embedded or kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gelo.models.faults import Fault, UserError, unknown
from gelo.sweeps.state.places import file_fault
from gelo.tasks.protocols import score_files
from gelo.tasks.results import Result
from gelo.tasks.scorefiles.metrics import measure
from gelo.tasks.scorefiles.scorefile import read


def evaluate_file(scores: Path | None, protocol: str | None, beside: Sequence[str] = ()) -> Result:
    """The result of one file. beside: options that were given and speak of an encoder.

    Raises UserError for what the call lacks or has too much, else for every fault of the file.
    """
    if scores is None and protocol is None:
        raise UserError(
            "evaluate", Fault("ENCODER", "missing", "a backbone or SWEEP/KEY", "or --scores FILE with --protocol")
        )
    faults = []
    if beside:
        faults.append(Fault("--scores", f"given with {', '.join(beside)}", "the file of scores alone, or an encoder"))
    if scores is None:
        faults.append(Fault("--scores", "missing", "the file that --protocol is for", "--scores FILE"))
    known = score_files()
    if protocol is None:
        faults.append(Fault("--protocol", "missing", f"one of {', '.join(known)}", "such as --protocol morph"))
    elif protocol not in known:
        faults.append(unknown("--protocol", protocol, known, "protocol"))
    if scores is not None and (fault := file_fault("--scores", scores, "a CSV or Parquet file of scores and labels")):
        faults.append(fault)
    if faults or scores is None or protocol is None:
        raise UserError("evaluate", faults)
    return measure(read(scores, protocol))
