"""A sweep's report, written and told: the one file where sweeps and analysis meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.secrets import redacted
from gelo.sweeps.cli.base import console, errors
from gelo.sweeps.terminal.listing import say

if TYPE_CHECKING:
    from gelo.analysis.report import Report
    from gelo.sweeps.state.folder import SweepFolder


def write(folder: SweepFolder, tracking: str | None) -> Report:
    """Tables and page into the sweep's `report/`; its main findings, and what disagrees, on the screen."""
    from gelo.analysis.report import write_report
    from gelo.sweeps.terminal.progress import waiting

    where = "this sweep's results" if tracking is None else f"the results and for MLflow at {redacted(tracking)}"
    with waiting(where, lambda text: say(errors, text)):
        written = write_report(folder.storage, folder.name, tracking)
    console.print()
    for finding in written.main:
        say(console, f"- {finding}")
    for fault in written.faults:
        say(errors, f"report: {redacted(str(fault))}")
    console.print()
    say(console, f"report: {written.path / 'index.html'}")
    return written
