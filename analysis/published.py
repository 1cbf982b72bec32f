"""The paper's published tables, shipped as facts (`analysis/published/*.csv`), to be set beside our own figures.

Source: the study arXiv 2509.14921, tables of its page (TaharChettaoui/Generalization-of-FM-for-Biometric_web @ 8a8c241).
Accuracies and errors are in per cent, GELO as printed.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import pandas as pd

TASK_OF = {"FRoundation": "faces", "MADation": "morphs", "FoundPAD": "spoofs"}
KEYS = ("approach", "backbone", "average", "gelo")


def published(name: Literal["zero_shot", "linear_probe", "biometric"]) -> pd.DataFrame:
    """One published table: `approach`, `backbone` and one column per data set or metric, in per cent."""
    with files("gelo.analysis").joinpath("published", f"{name}.csv").open("rb") as stream:
        return pd.read_csv(stream)


def kept() -> list[tuple[str, str, str, float, float]]:
    """(task, approach, backbone, GELO zero-shot, GELO linear probe) of the published runs."""
    probe = published("linear_probe").set_index(["approach", "backbone"])["gelo"]
    rows = published("zero_shot").dropna(subset=["gelo"])
    return [
        (
            TASK_OF[row["approach"]],
            row["approach"],
            row["backbone"],
            row["gelo"],
            float(probe[row["approach"], row["backbone"]]),
        )
        for row in (dict(row) for _, row in rows.iterrows())
    ]
