"""Training loss by epoch, a panel a task."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.lines import Line2D

from gelo.analysis.compare import Comparison
from gelo.analysis.pagetables import row_name
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import INK, STROKES, WIDTH, Plate, legend_below, looks, panels, short
from gelo.analysis.pictures.measured import named, unique


def losses(comparison: Comparison) -> Iterator[Drawn]:
    """Of the trials that kept a history of two epochs at least."""
    rows = _rows(comparison)
    if rows.empty:
        return
    tasks, backbones, names = unique(rows["task"]), unique(rows["backbone"]), looks(rows["name"])
    across = 1 if len(tasks) == 1 else 2
    figure = Plate(comparison, (WIDTH, 2.9 * -(-len(tasks) // across)))
    for axis, task in zip(panels(figure, len(tasks), across), tasks, strict=True):
        for (_, name), of in rows[rows["task"] == task].groupby(["trial", "name"], sort=False):
            stroke = STROKES[backbones.index(str(of["backbone"].iloc[0])) % len(STROKES)]
            line = axis.plot(of["epoch"], of["loss"], color=names[str(name)].colour, linestyle=stroke, linewidth=1.4)[0]
            last = of.iloc[-1]
            figure.tell(
                line,
                str(name),
                f"{last['row']}, seed {last['seed']}: loss {last['loss']:.3f} at epoch {last['epoch']:g}",
            )
        axis.set_title(short(task, 30))
        axis.set_xlabel("epoch")
        axis.set_ylim(bottom=0)
        axis.grid()
    figure.axes[0].set_ylabel("training loss")
    handles = [Line2D([], [], color=each.colour, label=short(name)) for name, each in names.items()]
    handles += [
        Line2D([], [], color=INK, linestyle=STROKES[i % len(STROKES)], label=short(name))
        for i, name in enumerate(backbones)
    ]
    legend_below(figure, handles)
    last = rows.groupby("trial", sort=False).last()
    most, least = last.loc[last["loss"].idxmax()], last.loc[last["loss"].idxmin()]
    ends = [f"{each['loss']:.3f} ({each['row']}, seed {each['seed']})" for each in (most, least)]
    yield Drawn(figure, f"{len(last)} curves. Highest loss at the end: {ends[0]}; lowest: {ends[1]}.", rows)


def _rows(comparison: Comparison) -> pd.DataFrame:
    found = []
    for _, trial in comparison.runs.trials.iterrows():
        history = [each for each in comparison.runs.histories.get(str(trial["trial"]), []) if "loss" in each]
        name = named(trial["adaptation"], trial["remedy_kind"])
        found += [
            (trial["trial"], row_name(trial), trial["backbone"], trial["task"], name, trial["seed"],
             float(each.get("epoch", place + 1)), float(each["loss"]))
            for place, each in enumerate(history if len(history) > 1 else [])
        ]  # fmt: skip
    return pd.DataFrame(found, columns=["trial", "row", "backbone", "task", "name", "seed", "epoch", "loss"])


LOSSES = Picture("losses", "Training loss", "Training loss by epoch, a line a trial.", losses)
