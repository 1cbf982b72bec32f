"""Drift by layer against forgetting: how far features and weights of each block went from the untouched encoder's."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import groups
from gelo.analysis.pagetables import row_name
from gelo.analysis.pictures.base import Drawn, Picture
from gelo.analysis.pictures.canvas import WIDTH, Plate, panels
from gelo.analysis.pictures.measured import cell_name

COLUMNS = ["trial", "backbone", "task", "name", "seed", "block", "cka", "distance", "kept"]
_SIDES = {"cka": "CKA with the untouched features", "distance": "relative weight distance"}
# From light to dark, so that grey says the same: dark lines kept less.
_SHADES = LinearSegmentedColormap.from_list("kept", ["#56330a", "#d55e00", "#f3c26b"])


def drift(comparison: Comparison) -> Iterator[Drawn]:
    """A picture for each backbone and task with a `trained/drift.json`; a line a trial, coloured by what it kept."""
    frame = drifted(comparison)
    for (task, backbone), rows in groups(frame, ["task", "backbone"]):
        yield _drawn(comparison, rows.reset_index(drop=True), cell_name(backbone, task))


def drifted(comparison: Comparison) -> pd.DataFrame:
    """A row a block of each trial that has the file and whose share kept is known: linear CKA in [0, 1], relative weight distance."""
    kept, found = comparison.general["zero_shot"].gelo, []
    for _, trial in comparison.runs.trials.iterrows():
        share, went = float(kept.get(trial["trial"], math.nan)), comparison.runs.drifts.get(str(trial["trial"]))
        for block in went.blocks.to_dict("records") if went is not None and not math.isnan(share) else ():
            found.append(
                {"trial": trial["trial"], "backbone": trial["backbone"], "task": trial["task"], "name": row_name(trial),
                 "seed": trial["seed"], **block, "kept": share}
            )  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS)


def _drawn(comparison: Comparison, rows: pd.DataFrame, of: str) -> Drawn:
    figure = Plate(comparison, (WIDTH, 2.9 * len(_SIDES) + 0.5))
    low, high = float(rows["kept"].min()), float(rows["kept"].max())
    scale = mpl.colors.Normalize(low, high if high > low else low + 1e-6)
    axes = panels(figure, len(_SIDES), 1, sharex=True)
    for axis, (column, title) in zip(axes, _SIDES.items(), strict=True):
        for _, own in rows.groupby("trial", sort=False):
            _line(figure, axis, own.sort_values("block"), column, _SHADES(scale(own["kept"].iloc[0])))
        axis.set_ylabel(title)
        axis.grid()
    axes[-1].set_xlabel("block")
    axes[-1].xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    bar = figure.colorbar(mpl.cm.ScalarMappable(scale, _SHADES), ax=axes, location="bottom", aspect=40, pad=0.02)
    bar.set_label("zero-shot accuracy kept (GELO): darker is less")
    mean = rows.groupby("block")[["cka", "distance"]].mean()
    alt = (
        f"{rows['trial'].nunique()} trials over {len(mean)} blocks. Mean CKA is lowest at block {mean['cka'].idxmin()} "
        f"({mean['cka'].min():.3f}), mean weight distance highest at block {mean['distance'].idxmax()} ({mean['distance'].max():.3f})."
    )
    return Drawn(figure, alt, rows, of=of)


def _line(figure: Plate, axis: Axes, own: pd.DataFrame, column: str, colour: object) -> None:
    first = own.iloc[0]
    series = str(first["name"])
    figure.tell(axis.plot(own["block"], own[column], color=colour, linewidth=1.3)[0], series)
    for _, row in own.iterrows():
        dot = axis.plot(row["block"], row[column], color=colour, marker="o", markersize=3.5)[0]
        figure.tell(dot, series, f"{series}, seed {row['seed']}, block {row['block']}: CKA {row['cka']:.3f}, weight distance "
                    f"{row['distance']:.3f}; kept {row['kept']:.3f}")  # fmt: skip


DRIFT = Picture(
    "drift",
    "Drift by layer",
    "How far each block went while training: similarity of its features on reference images to those of the untouched encoder (linear "
    "CKA), and the relative distance of its weights. A line is a trial.",
    drift,
)
