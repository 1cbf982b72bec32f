"""Whether approaches differ over the data sets as they do over images: ranks of what each kept of each set, at the end of training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gelo.analysis.contrasts import CHANCE, small
from gelo.analysis.finding import groups
from gelo.analysis.kept import Kept
from gelo.analysis.labels import NONE
from gelo.analysis.statistics import Ranks, friedman, holm
from gelo.tasks.metrics.scores import UndefinedMetric


def orders(kept: Kept, frame: pd.DataFrame) -> str:
    """A sentence for each backbone and task with enough approaches and sets, their p corrected together (Holm); "" where there is none.

    frame: trials with trial, backbone, task, name, remedy_kind and gelo. An approach's score on a set is the mean over its trials of the
    share kept; which differ is Nemenyi's question. What was gained is no part of it.
    """
    found: list[tuple[str, list[str], list[bool], Ranks]] = []
    for cell, rows in groups(frame.dropna(subset=["gelo"]), ["backbone", "task"]):
        names = sorted(rows["name"].unique())
        shares = pd.concat(
            [kept.by_set(rows.loc[rows["name"] == name, "trial"].tolist()) for name in names], axis=1
        ).dropna()
        plain = [bool((rows.loc[rows["name"] == name, "remedy_kind"] == NONE).all()) for name in names]
        try:
            found.append((", ".join(cell), names, plain, friedman(shares.to_numpy())))
        except UndefinedMetric:  # too few of either
            continue
    held = holm([ranks.p for *_, ranks in found])
    return "".join(f" {_told(*each, p)}" for each, p in zip(found, held, strict=True))


def _told(where: str, names: list[str], plain: list[bool], ranks: Ranks, p: float) -> str:
    start = f"{where}, over the {ranks.sets} data sets at the end of training, whatever was gained: the {len(names)} approaches "
    if p >= CHANCE:
        return f"{start}are not told apart (Friedman p {small(p)})."
    first = int(np.argmin(ranks.means))
    without = [
        f"{names[place]} {ranks.means[place]:.1f}" for place, alone in enumerate(plain) if alone and place != first
    ]
    beside = f", without a remedy {', '.join(without)}" if without else ""
    best = f"the first mean rank has {names[first]}, {ranks.means[first]:.1f}{beside}"
    apart = f"ranks less than {ranks.critical:.1f} apart are not told apart (Nemenyi)"
    return f"{start}differ in what they keep (Friedman p {small(p)}); {best}; {apart}."
