"""The paper's published tables, shipped as facts (`analysis/published/*.csv`), to be set beside our own figures.

Source: tables of the study "Generalization of foundation models for biometrics" as collected from its paper and its
web page (github.com/TaharChettaoui/Generalization-of-FM-for-Biometric_web); accuracies in per cent, GELO as printed.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import pandas as pd

TASK_OF = {"FRoundation": "faces", "MADation": "morphs", "FoundPAD": "spoofs"}
KEYS = ("approach", "backbone", "average", "gelo")


def published(name: Literal["zero_shot", "linear_probe", "biometric"]) -> pd.DataFrame:
    """One published table: `approach`, `backbone` and one column per data set or metric, in per cent."""
    with files("analysis").joinpath("published", f"{name}.csv").open("rb") as stream:
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
