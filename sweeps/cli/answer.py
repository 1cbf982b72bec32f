"""What a sweep answers, written and told: where sweeps and analysis meet, with verdict.py beside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

from gelo.models.faults import Fault, UserError
from gelo.models.secrets import redacted
from gelo.models.storage.scan import listed_once
from gelo.sweeps.cli.base import console, errors
from gelo.sweeps.terminal.listing import say

if TYPE_CHECKING:
    import pandas as pd

    from gelo.analysis.printed import Behind
    from gelo.analysis.report import Report
    from gelo.sweeps.state.folder import SweepFolder


def write(folder: SweepFolder, tracking: str | None, *, published: bool = False, forms: Collection[str] = ()) -> Report:
    """Tables and page into the sweep's `report/`; its main findings, and what disagrees, on the screen. published: with the paper's tables
    beside; forms: in which the pictures are files too."""
    from gelo.analysis.report import write_report
    from gelo.sweeps.terminal.progress import waiting

    where = "this sweep's results" if tracking is None else f"the results and for MLflow at {redacted(tracking)}"
    with waiting(where, lambda text: say(errors, text)):
        written = write_report(folder.storage, folder.name, tracking, published=published, forms=forms)
    console.print()
    for finding in written.main:
        say(console, f"- {finding}")
    for fault in written.faults:
        say(errors, f"report: {redacted(str(fault))}")
    console.print()
    say(console, f"report: {written.path / 'index.html'}")
    return written


def rows(folders: Sequence[SweepFolder], *, curves: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """(frame, faults in words) of sweeps: a row a trial and metric, or with `curves` a trial, step and measure of its forgetting curve.

    Raises UserError for an unknown sweep, one of which nothing is scored yet, and where no curve was kept.
    """
    from gelo.analysis.frame import curve_rows, joined, result_rows
    from gelo.analysis.runs import read_runs
    from gelo.tasks.ledger.trial import Trial

    frames, faults = [], []
    for folder in folders:
        with listed_once(folder.root):
            labels = Trial.labels(folder.spec().trials())
            runs = read_runs(folder.storage, folder.name)
        frames.append((curve_rows if curves else result_rows)(runs, labels))
        faults += [redacted(f"sweep {folder.name}: {fault}") for fault in runs.faults]
    if curves and not any(map(len, frames)):
        names = ", ".join(folder.name for folder in folders)
        fault = Fault(
            names,
            "no forgetting curve",
            "trials that were looked at while they trained",
            "see `watch` in docs/sweeps.md",
        )
        raise UserError("results", fault)
    return joined(frames), faults


def printed(
    folders: Sequence[SweepFolder],
    form: Literal["md", "latex"],
    only: Sequence[str] = (),
    *,
    intervals: bool = False,
    published: bool = False,
) -> tuple[str, list[str]]:
    """(Markdown or LaTeX, faults in words): the tables of each sweep, those of `only` where it names some, or our rows beside the paper's.

    Raises UserError for an unknown sweep or table, one of which nothing is scored yet, and for `published` of a miniature.
    """
    from gelo.analysis import latex, markdown
    from gelo.analysis.beside import beside
    from gelo.analysis.compare import compare
    from gelo.analysis.printed import sheets
    from gelo.analysis.runs import read_runs
    from gelo.analysis.tables import build

    found, faults = [], []
    behind: Behind = "difference" if published else "interval" if intervals else ""
    for folder in folders:
        with listed_once(folder.root):
            folder.read()  # an odd name is looked for nowhere
            comparison = compare(read_runs(folder.storage, folder.name))
        tables = beside(comparison) if published else build(comparison)
        found += sheets(comparison.runs, tables, only, behind)
        faults += [redacted(f"sweep {folder.name}: {fault}") for fault in comparison.runs.faults]
    return {"md": markdown, "latex": latex}[form].written(found), faults
