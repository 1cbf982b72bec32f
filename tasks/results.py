"""`Result` and the metric names: built and parsed in this one place. sweeps writes them, analysis reads them.

A metric's name is `<suite>/<data set or attack>/<leaf>`, e.g. `zero_shot/shapes/top1`, `fr/pairs/accuracy`, `mad/warp/eer`.
Values are fractions in [0, 1]; tables show per cent. An undefined value is not in `values` but in `absent`, with its reason.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from gelo.tasks.understood import Reading
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Suite = Literal[
    "zero_shot", "probe", "probe_train", "probe_trunk", "probe_trunk_train", "knn", "few_shot",
    "fr", "fr_1n", "mad", "mad_text", "pad", "pad_text",
]  # fmt: skip
SUITES: tuple[str, ...] = get_args(Suite)
MEAN = "mean"
LEAK, UNCHECKED = (
    "leak",
    "leak_unchecked",
)  # notes of a result: images that were learnt from and are scored; why nobody could look
NO_LEAK = "none found"
OLD = "scored by an older gelo, which did not look for leaks"

_LEGAL = re.compile(r"[A-Za-z0-9_\-.:]+")  # a subset of what MLflow 3 takes, without blanks
LONGEST_PIECE = 80  # letters: a set's name before an attack's stays below the 250 of MLflow
# how a leaf begins -> +1 where higher is better, -1 where lower is, 0 for a spread, which is neither
_DIRECTIONS = {
    **dict.fromkeys(("top1", "top5", "mean_per_class", "accuracy", "auc", "tar_at_far_", "tpir_at_fpir_", "rank_"), 1),
    **dict.fromkeys(("eer", "hter", "apcer", "bpcer", "acer"), -1),
    "sd_": 0,
}


def is_piece(text: str) -> bool:
    """Whether a data set, attack or domain of this name can stand in a metric's name."""
    return len(text) <= LONGEST_PIECE and bool(_LEGAL.fullmatch(text))


def metric_name(suite: str, part: str, leaf: str) -> str:
    """`suite/part/leaf`. Raises ValueError for a piece that MLflow would refuse or that would not parse back."""
    for piece in (suite, part, leaf):
        if not _LEGAL.fullmatch(piece):
            raise ValueError(f"metric name piece {piece!r}: letters, digits and _ - . : only")
    return f"{suite}/{part}/{leaf}"


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


def direction(name: str) -> int:
    """+1 for a metric that is better the higher it is, -1 for an error, 0 for one that no comparison has a side in (a standard deviation).

    Raises ValueError for a leaf that has no direction here.
    """
    leaf = parse_metric(name)[2]
    for start, found in _DIRECTIONS.items():
        if leaf.startswith(start):
            return found
    raise ValueError(f"{name}: no direction is known of {leaf!r}")


class Result(BaseModel):
    """One protocol of one trial on one data set.

    values, intervals (95 %: low, high) and absent (reason) are keyed by full metric names. counts: what was compared, e.g.
    {"images": 200} or {"genuine": 300, "impostor": 300}. vision, text: fingerprints of the towers used; data: of the data set.
    partial: the data set lacks some of the official images, and so every table made from it says. reading: how files became pixels; older
    results lack it and are of open_clip's way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suite: Suite
    dataset: str
    protocol: str
    protocol_version: int = Field(ge=1)
    scale: Literal["miniature", "full"]
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = {}
    absent: dict[str, str] = {}
    counts: dict[str, int]
    data: str = ""
    vision: str = ""
    text: str = ""
    partial: bool = False
    reading: Reading = "open_clip"
    notes: dict[str, str] = {}

    @property
    def leak(self) -> str:
        """Images that were learnt from and are scored here; "" where none was found."""
        found = self.notes.get(LEAK, NO_LEAK)
        return "" if found == NO_LEAK else found

    @property
    def unchecked(self) -> str:
        """Why nobody could look for leaks; "" where somebody did, and where nothing was scored."""
        old = self.values and not {LEAK, UNCHECKED} & self.notes.keys()
        return OLD if old else self.notes.get(UNCHECKED, "")

    @field_validator("values", "intervals", "absent")
    @classmethod
    def _names_parse(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            direction(name)
        return value

    @model_validator(mode="after")
    def _value_or_absent(self) -> Result:
        both = self.values.keys() & self.absent.keys()
        if both:
            raise ValueError(f"both valued and absent: {sorted(both)}")
        strays = self.intervals.keys() - self.values.keys()
        if strays:
            raise ValueError(f"intervals without a value: {sorted(strays)}")
        reversed_ = [name for name, (low, high) in self.intervals.items() if low > high]
        if reversed_:
            raise ValueError(f"intervals with low above high: {reversed_}")
        return self
