"""`Result`: sweeps writes it, analysis reads it. Its metrics are those that the protocols declare, and no others.

Values are shares in [0, 1], which tables show in per cent, or what else their `Metric` says. An undefined value is not in
`values` but in `absent`, with its reason.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gelo.tasks.data.understood import Reading
from gelo.tasks.protocols import better, suite_of, unit

LEAK, UNCHECKED = (
    "leak",
    "leak_unchecked",
)  # notes of a result: images that were learnt from and are scored; why nobody could look
UNIT = "interval_unit"  # note of a result: what its intervals take as independent, as its protocol declared it
WRAPPED = "wrapped"  # note of a result: what a remedy put around the encoder, whose own features these are not
NO_LEAK = "none found"
OLD = "scored by an older gelo, which did not look for leaks"


class Result(BaseModel):
    """One protocol of one trial on one data set.

    values, intervals (95 %: low, high) and absent (reason) are keyed by full metric names. counts: what was compared, e.g.
    {"images": 200} or {"genuine": 300, "impostor": 300}. vision, text: fingerprints of the towers used; data: of the data set.
    partial: the data set lacks some of the official images, and so every table made from it says. reading: how files became pixels; older
    results lack it and are of open_clip's way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suite: str
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
    def unit(self) -> str:
        """What the intervals take as independent: "image", "pair", "subject", "video", "episode"; "" where there is none, or an older gelo
        did not say."""
        return self.notes.get(UNIT, "") if self.intervals else ""

    @property
    def n(self) -> int | None:
        """How much was compared in all: the counts that its suite declares; None where it declares none."""
        wanted = suite_of(self.suite).compared
        return (
            sum(n for name, n in self.counts.items() if any(fnmatchcase(name, each) for each in wanted))
            if wanted
            else None
        )

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

    @field_validator("suite")
    @classmethod
    def _suite_is_known(cls, value: str) -> str:
        return suite_of(value).name

    @field_validator("values", "intervals", "absent")
    @classmethod
    def _names_are_declared(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            better(name)
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


def per_cent(metric: str) -> int:
    """What a value of the metric is multiplied by where people read it: 100 for a share, 1 for another number."""
    return 100 if unit(metric) == "share" else 1


def shown(metric: str, value: float, digits: int = 2) -> str:
    """A value as people read it: a share in per cent with so many decimals, another number with four significant figures."""
    if unit(metric) == "share":
        return f"{100 * value:.{digits}f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
