"""The tables as the page shows them: titles, colours, and each distinct reason for an empty cell once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from gelo.analysis import beside
from gelo.analysis.cells import Cell, Row, Table
from gelo.analysis.episodes import EPISODES
from gelo.analysis.episodes import NAME as PAIRED
from gelo.analysis.finding import spelled
from gelo.analysis.gaintable import NAME as EQUAL_GAIN
from gelo.analysis.labels import NONE
from gelo.analysis.prediction import NAME as PREDICTION
from gelo.analysis.tables import BIOMETRIC, SUMMARY
from gelo.models.secrets import redacted
from gelo.tasks.protocols import PROTOCOLS

MOST_ROWS = 1000  # of a table on the page
STEPS = 8  # of colour on either side
_LEVEL = re.compile(r"^(kept_at_\d+)$")
_SHARES = "Per cent; below it the change to the trial's own baseline in points, coloured by better or worse (errors go down). "
_TITLES = {
    EQUAL_GAIN: (
        "At equal gain",
        "What each approach keeps when it has gained as much as another; below it half of the 95 % interval, from the test images and the "
        "seeds where there are several. Gain: points on the task. Kept: accuracy over that of the untouched backbone. Kept at 90 %: "
        "zero-shot, where 90 % of the best validation gain of the backbone and task is first crossed. Area: mean of kept over gain. "
        "Hypervolume: what its points and settings dominate, from gain 0, kept 0. Settings are chosen on validation data. Grey: without a "
        "remedy. Memory: the peak of one process, measured; of an older gelo's trainings predicted.",
    ),
    "zero_shot": ("Zero-shot accuracy", "Top-1, per cent; below it the change to the trial's own baseline, in points."),
    "linear_probe": (
        "Linear probe accuracy",
        "Top-1, per cent; below it the change to the trial's own baseline, in points.",
    ),
    BIOMETRIC: (
        "Biometric performance",
        "Per cent; below it the change in points, coloured by better or worse (errors go down). The detectors trained with a "
        "head (mad, pad) are set against the text prompts of the untouched backbone (mad_text, pad_text). "
        "Main columns; all are in biometric.csv and under All values.",
    ),
    EPISODES: (
        "Few-shot episodes",
        "Top-1 of nine heads that vote, per cent, mean over 600 episodes of 2 to 15 ways; below it the change to the trial's own baseline.",
    ),
    PAIRED: (
        "Few-shot episodes, paired",
        "Points: what the trial gets right in an episode less what its own baseline does, mean over episodes. Point at a number for its "
        "95 % interval over episodes.",
    ),
    "robust": (
        "Zero-shot accuracy under attack",
        "Top-1 of images that were changed to mislead this very encoder, per cent; below it the change to the trial's own baseline, in "
        "points. How far: under Protocols.",
    ),
    PREDICTION: (
        "What an early look foretells",
        "How well a number seen early (on validation images, after so many per cent of the steps) tells what share of zero-shot accuracy a "
        "trial keeps in the end (on test images). Rho: Spearman's rank correlation, the mean over tasks. Within: the same of what a line "
        "says that was fitted to the other tasks. Left out: of all that such lines say, over all tasks; of one task alone a line is "
        "fitted to the other kinds of remedy, and where nothing is related they correlate below 0: what is left out pulls their mean the "
        "other way. Error: mean distance of the line from what was kept. Mean of the task: it knows the task that is left out, and ranks "
        "nothing within it. Low and high: 95 %, bootstrap over approaches with their seeds. Below 10 approaches nothing is said.",
    ),
    **beside.TITLES,
    SUMMARY: ("Summary", "GELO: average accuracy after / average of the own baseline; 1 = nothing lost."),
}


_hidden = lru_cache(maxsize=4096)(redacted)  # of as many cells a few reasons


def shown_tables(tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    """All of them for the page: gelo's own first, then those that other suites name, the summary last."""
    order = [*(name for name in _TITLES if name != SUMMARY), *(name for name in tables if name not in _TITLES), SUMMARY]
    return [_shown(tables[name]) for name in order if name in tables]


def title_of(table: Table) -> str:
    """Its title, for whoever prints it elsewhere."""
    return _titled(table)[0]


def _titled(table: Table) -> tuple[str, str]:
    title, note = _TITLES.get(table.name, ("", ""))
    if not title:
        giving = [each.says for each in PROTOCOLS.values() if table.name in (suite.table for suite in each.suites)]
        title = f"{table.name.replace('_', ' ')}: {', '.join(dict.fromkeys(giving))}"
        title, note = title[0].upper() + title[1:], _SHARES
        note += f"Main columns; all are in {table.name}.csv and under All values." if table.main else ""
    return title, note + (" Columns marked # are no shares: value and change as they are." if table.numbers else "")


def _shown(table: Table) -> dict[str, Any]:
    """A table for the page: baselines stand above the trials of their backbone; every distinct reason has a number. At most `MOST_ROWS`
    rows; left: how many more the CSV has."""
    title, note = _titled(table)
    columns = table.main or table.columns
    reasons: dict[str, int] = {}
    order: dict[str, list[Row]] = {}
    for row in table.rows:
        order.setdefault(row.identity["backbone"], []).append(row)
    shares = _widest(table, [name for name in columns if name not in table.numbers])
    widest = {name: _widest(table, [name]) if name in table.numbers else shares for name in columns}
    rows: list[dict[str, Any]] = []
    for backbone, members in order.items():
        for place, row in enumerate(members[: MOST_ROWS - len(rows)]):
            cells = [_shown_cell(row.cells[name], widest[name], reasons, name in table.numbers) for name in columns]
            if table.intervals:
                cells = [cell | {"change": _margin(row.cells[name])} for cell, name in zip(cells, columns, strict=True)]
            told = {"label": row.name or row_name(row.identity), "key": row.identity["trial"], "baseline": row.baseline}
            rows.append({**told, "cells": cells, **({} if place else {"first": backbone})})
    heads = [
        _LEVEL.sub(r"\1 %", name).replace("_gb", " GB").replace("_", " ") + (" #" if name in table.numbers else "")
        for name in columns
    ]
    shown: dict[str, Any] = {
        "name": table.name,
        "title": title,
        "note": note,
        "heads": heads,
        "rows": rows,
        "reasons": reasons,
    }
    shown |= {"metrics": [table.metrics.get(name, "") for name in columns], "left": len(table.rows) - len(rows)}
    return {**shown, "coloured": any(cell["tint"] for row in rows for cell in row["cells"])}


def _margin(cell: Cell) -> str:
    """Half of a cell's interval, which lies evenly around its value, in as many digits: `±0.031`."""
    if cell.low is None or cell.high is None:
        return ""
    digits = len(cell.text.partition(".")[2])
    return f"±{(cell.high - cell.low) / 2:.{digits}f}"


def _widest(table: Table, columns: list[str]) -> float:
    changes = [row.cells[name].better for row in table.rows for name in columns]
    return max([abs(change) for change in changes if change], default=1.0)


def _shown_cell(cell: Cell, widest: float, reasons: dict[str, int], number: bool) -> dict[str, Any]:
    if not cell.text:
        place = reasons.setdefault(told, len(reasons) + 1) if (told := _hidden(cell.reason)) else None
        return {"text": "", "number": place, "change": "", "tint": "", "tip": ""}
    form = ".4g" if number else ".2f"
    change = "" if cell.change is None else f"{cell.change:+{form}}".replace("-", "−")
    ends = form if number else f".{len(cell.text.partition('.')[2])}f"  # in as many digits as the value
    tip = "" if cell.low is None or cell.high is None else f"95 % interval {cell.low:{ends}} to {cell.high:{ends}}"
    return {"text": cell.text, "number": None, "change": change, "tint": tint(cell.better, widest), "tip": tip}


def tint(better: float | None, widest: float) -> str:
    """The class of a cell's background: "" at 0, to `b8` (better) or `w8` (worse) at `widest`."""
    if better is None or not widest:
        return ""
    step = round(STEPS * min(1.0, abs(better) / widest) ** 0.7)
    return f"{'b' if better > 0 else 'w'}{step}" if step else ""


def tint_colours(dark: bool) -> dict[str, str]:
    """Class -> colour: from the page's ground to blue or orange, in steps that text is read on in either theme."""
    ground = (0x16, 0x1B, 0x22) if dark else (255, 255, 255)
    ends = {"b": (28, 82, 128), "w": (122, 62, 20)} if dark else {"b": (116, 169, 216), "w": (240, 152, 84)}
    return {
        f"{side}{step}": "#"
        + "".join(f"{round(g + step / STEPS * (e - g)):02x}" for g, e in zip(ground, end, strict=True))
        for side, end in ends.items()
        for step in range(1, STEPS + 1)
    }


def row_name(identity: Mapping[str, Any] | pd.Series) -> str:
    """A row's name for a person: `faces, LoRA, wise(alpha=0.5)`; the backbone stands in front outside tables."""
    if identity["task"] == NONE and identity["adaptation"] == NONE:
        return f"{identity['backbone']} untouched"
    pieces = [identity["backbone"], identity["task"], spelled(identity["adaptation"])]
    pieces += [identity["remedy"]] if identity["remedy"] != NONE else []
    return " · ".join([*map(str, pieces), *_seeds(str(identity["seed"]))])


def _seeds(said: str) -> list[str]:
    """`seed 1`, `seeds 0, 1, 2`; the seed 0 alone needs no word."""
    return [] if said in ("", "0") else [f"{'seeds' if ',' in said else 'seed'} {said}"]
