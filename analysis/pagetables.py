"""The tables as the page shows them: titles, colours, and each distinct reason for an empty cell once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gelo.analysis.episodes import EPISODES
from gelo.analysis.episodes import NAME as PAIRED
from gelo.analysis.finding import spelled
from gelo.analysis.gaintable import NAME as EQUAL_GAIN
from gelo.analysis.labels import NONE
from gelo.analysis.tables import BIOMETRIC, SUMMARY, Cell, Row, Table
from gelo.models.secrets import redacted
from gelo.tasks.protocols import PROTOCOLS

_LEVEL = re.compile(r"^(kept_at_\d+)$")
_SHARES = "Per cent; below it the change to the trial's own baseline in points, coloured by better or worse (errors go down). "
_TITLES = {
    EQUAL_GAIN: (
        "At equal gain",
        "What each approach keeps when it has gained as much as another; below it half of the 95 % interval, from the test images and the "
        "seeds where there are several. Gain: points on the task. Kept: accuracy over that of the untouched backbone. Kept at 90 %: "
        "zero-shot, where 90 % of the best validation gain of the backbone and task is first crossed. Area: mean of kept over gain. "
        "Hypervolume: what its points and settings dominate, from gain 0, kept 0. Settings are chosen on validation data. Grey: without a "
        "remedy. Memory: predicted.",
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
    SUMMARY: ("Summary", "GELO: average accuracy after / average of the own baseline; 1 = nothing lost."),
}


def shown_tables(tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    """All of them for the page: gelo's own first, then those that other suites name, the summary last."""
    order = [*(name for name in _TITLES if name != SUMMARY), *(name for name in tables if name not in _TITLES), SUMMARY]
    return [_shown(tables[name]) for name in order if name in tables]


def _titled(table: Table) -> tuple[str, str]:
    title, note = _TITLES.get(table.name, ("", ""))
    if not title:
        giving = [each.says for each in PROTOCOLS.values() if table.name in (suite.table for suite in each.suites)]
        title = f"{table.name.replace('_', ' ')}: {', '.join(dict.fromkeys(giving))}"
        title, note = title[0].upper() + title[1:], _SHARES
        note += f"Main columns; all are in {table.name}.csv and under All values." if table.main else ""
    return title, note + (" Columns marked # are no shares: value and change as they are." if table.numbers else "")


def _shown(table: Table) -> dict[str, Any]:
    """A table for the page: baselines stand above the trials of their backbone; every distinct reason has a number."""
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
        for row in members:
            cells = [_shown_cell(row.cells[name], widest[name], reasons, name in table.numbers) for name in columns]
            if table.intervals:
                cells = [cell | {"change": _margin(row.cells[name])} for cell, name in zip(cells, columns, strict=True)]
            rows.append(
                {
                    "label": row_name(row.identity),
                    "key": row.identity["trial"],
                    "baseline": row.baseline,
                    "cells": cells,
                }
            )
        rows[-len(members)]["first"] = backbone
    heads = [
        _LEVEL.sub(r"\1 %", name).replace("_gb", " GB").replace("_", " ") + (" #" if name in table.numbers else "")
        for name in columns
    ]
    shown = {"name": table.name, "title": title, "note": note, "heads": heads, "rows": rows, "reasons": reasons}
    return {**shown, "coloured": any(cell["colour"] for row in rows for cell in row["cells"])}


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
        reason = redacted(cell.reason)
        place = reasons.setdefault(reason, len(reasons) + 1) if reason else None
        return {"text": "", "number": place, "reason": reason, "change": "", "colour": "", "title": reason}
    form = ".4g" if number else ".2f"
    change = "" if cell.change is None else f"{cell.change:+{form}}".replace("-", "−")
    title = "" if cell.low is None or cell.high is None else f"95 % interval {cell.low:{form}} to {cell.high:{form}}"
    return {
        "text": cell.text,
        "number": None,
        "reason": "",
        "change": change,
        "colour": tint(cell.better, widest),
        "title": title,
    }


def tint(better: float | None, widest: float) -> str:
    """Background of a cell: white at 0 to blue (better) or orange (worse) at `widest`; pale enough for dark text."""
    if better is None:
        return ""
    share = min(1.0, abs(better) / widest) ** 0.7 if widest else 0.0
    end = (116, 169, 216) if better > 0 else (240, 152, 84)
    return "#" + "".join(f"{round(255 + share * (part - 255)):02x}" for part in end)


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
