"""How a metric is called: `<suite>/<data set or attack>/<leaf>`, e.g. `zero_shot/shapes/top1`, `fr/pairs/accuracy`, `mad/warp/eer`.

Built and parsed in this one place: protocols give such names, sweeps log them, analysis reads them.
"""

from __future__ import annotations

import re
from functools import lru_cache

MEAN = "mean"
LONGEST_PIECE = 80  # letters: a set's name before an attack's stays below the 250 of MLflow
_LEGAL = re.compile(r"[A-Za-z0-9_\-.:]+")  # a subset of what MLflow 3 takes, without blanks


def is_piece(text: str) -> bool:
    """Whether a data set, attack or domain of this name can stand in a metric's name."""
    return len(text) <= LONGEST_PIECE and bool(_LEGAL.fullmatch(text))


def metric_name(suite: str, part: str, leaf: str) -> str:
    """`suite/part/leaf`. Raises ValueError for a piece that MLflow would refuse or that would not parse back."""
    for piece in (suite, part, leaf):
        if not _LEGAL.fullmatch(piece):
            raise ValueError(f"metric name piece {piece!r}: letters, digits and _ - . : only")
    return f"{suite}/{part}/{leaf}"


@lru_cache(4096)  # of ten thousand trials each name is read as often
def parse_metric(name: str) -> tuple[str, str, str]:
    """Inverse of `metric_name`. Raises ValueError."""
    pieces = name.split("/")
    if len(pieces) != 3 or not all(_LEGAL.fullmatch(piece) for piece in pieces):
        raise ValueError(f"{name!r} is not suite/part/leaf")
    return pieces[0], pieces[1], pieces[2]


def rate_label(rate: float) -> str:
    """A rate as it stands in a metric's name: 0.001 -> `1e-3`, 0.0005 -> `5e-4`."""
    mantissa, exponent = f"{rate:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
