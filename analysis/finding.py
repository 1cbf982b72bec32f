"""What a finding is, and the words that all of them use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import pandas as pd

Verdict = Literal["yes", "in part", "no", "cannot be said", "measured"]
ADAPTATION_WORDS = {
    "full": "full",
    "lora": "LoRA",
    "dora": "DoRA",
    "pissa": "PiSSA",
    "lp_ft": "LP-FT",
    "layernorm": "LayerNorm",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. title: a question; verdict: the answer that the numbers carry; text: sentences with numbers.

    number: the one that the verdict stands on, as it is read ("0.688"); interval: its 95 % interval ("0.661 to 0.714"); test: what decided,
    and over how many comparisons. Each "" where there is none.
    """

    title: str
    verdict: Verdict
    text: str
    number: str = ""
    interval: str = ""
    test: str = ""

    def __str__(self) -> str:
        return f"{self.title} {self.verdict[0].upper()}{self.verdict[1:]}. {self.text}"


def spelled(adaptation: object) -> str:
    """An adaptation's label for a person: `lora(rank=4)` -> `LoRA(rank=4)`."""
    kind, bracket, rest = str(adaptation).partition("(")
    return f"{ADAPTATION_WORDS.get(kind, kind)}{bracket}{rest}"


def groups(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows of each cell, in the order in which cells first appear."""
    for cell, rows in frame.groupby(columns, sort=False):
        yield tuple(str(piece) for piece in cast("tuple[object, ...]", cell)), rows


def signed(number: float, digits: int = 1) -> str:
    """`+13.0`, `−2.5`: with a real minus."""
    return f"{number:+.{digits}f}".replace("-", "−")


def names(values: Iterable[object]) -> str:
    return " and ".join(str(value) for value in values)
