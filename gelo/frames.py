"""What notebooks read: the numbers of sweeps as a tidy frame, and as tables to be printed. A mistake is raised as `UserError`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gelo._given import listed_names, settings_from
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    import pandas as pd

    from gelo.sweeps.state.folder import SweepFolder


def results(*sweeps: str, storage: str | Path | None = None, curves: bool = False) -> pd.DataFrame:
    """Every number of one or several sweeps as a tidy frame: one row a trial and metric, read from the result files; no MLflow.

    sweeps: their names. storage: where they are kept, a folder or a URI. curves: the forgetting curves in place of the results, one row a
    trial, step and measure.

    Columns: `sweep`, `trial` (its key), `label` (as `gelo status` has it), `backbone`, `task` ("none": untouched), `adaptation`, `remedy`,
    `seed`; `suite`, `dataset`, `part` (the data set, or the attack or domain in it), `metric` (its full name); `value`, `low`, `high`
    (fractions in [0, 1], or what else their `Metric` says; 95 %; NaN where there is none, and then `reason` says why); `unit` (what the
    interval takes as independent: "image", "pair", "subject", "video", "episode"; "" without an interval); `better` ("higher", "lower", ""
    for a spread); `n` (what was compared, in all), `counts` (in words), `protocol`, `protocol_version`, `scale`, `partial`, `leak`,
    `unchecked`; `adaptation_kind`, `remedy_kind`; then the trials' own fields, `adaptation.rank`, `remedy.alpha`, `training.lr_backbone`
    and so on, empty where a trial has none of that name. A curve has `step` (optimiser steps done), `images` (trained on by then) and
    `measures` (what `forgetting/task` is of) in place of a protocol. Rows of several protocol versions stay apart: group by
    `protocol_version` too before a mean.
    Rows stand in the order of the report's tables. A trial without results, such as one that failed, has no row: `gelo status` shows it.

    Raises UserError for no name, an unknown one (with the nearest), and a sweep of which nothing is scored yet, or no curve was kept. A
    result file that cannot be read is a warning, and its rows are not there.

    Example:

        frame = gelo.results("demo", "demo-remedies")
        top1 = frame[(frame.suite == "zero_shot") & frame.metric.str.endswith("/top1")]
        top1.pivot_table("value", "label", ["dataset", "protocol_version"])
        frame.to_parquet("numbers.parquet")
    """
    from gelo.sweeps.cli.answer import rows

    frame, faults = rows(_folders(sweeps, storage), curves=curves)
    for fault in faults:
        warnings.warn(fault, stacklevel=2)
    return frame


def tables(
    *sweeps: str,
    format: Literal["md", "latex"] = "md",
    only: str | tuple[str, ...] = (),
    intervals: bool = False,
    published: bool = False,
    storage: str | Path | None = None,
) -> str:
    """The tables of one or several sweeps as Markdown or LaTeX, as `gelo results --format` writes them: zero-shot, linear probe, biometric.

    format: "md" or "latex" (booktabs and graphicx). only: tables of the report by name, in place of the three. intervals: the 95 % interval
    behind each number. published: our rows beside the paper's, in place of the sweeps' own tables. storage: where sweeps are kept.

    A row is a mean over seeds. Bold is the best of one backbone and task where its 95 % interval lies apart from that of every other row;
    an empty cell has its reason below the table.

    Raises UserError as `results` does, for a table that a sweep does not have, and for `published` of a miniature.

    Example:

        Path("tables.tex").write_text(gelo.tables("demo", format="latex"))
    """
    from gelo.sweeps.cli.answer import printed

    text, faults = printed(
        _folders(sweeps, storage), format, listed_names(only), intervals=intervals, published=published
    )
    for fault in faults:
        warnings.warn(fault, stacklevel=2)
    return text


def _folders(sweeps: tuple[str, ...], storage: str | Path | None) -> list[SweepFolder]:
    from gelo.sweeps.cli.base import refuse_places
    from gelo.sweeps.state.folder import SweepFolder

    settings = settings_from(storage=storage)
    refuse_places(settings, reads=("storage",))
    if not sweeps:
        raise UserError(
            "results", Fault("sweeps", "none", 'at least one name, such as gelo.results("demo")', "gelo ls")
        )
    return [SweepFolder(settings.place(), name) for name in dict.fromkeys(sweeps)]
