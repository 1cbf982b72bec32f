"""What a reader took a user's files for: kept in the card, printed by `gelo prepare` and `gelo show`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Reading = Literal["faithful", "open_clip"]
"""How a file becomes pixels. `faithful`: turned upright by EXIF, 16 bit and float scaled to 8 bit, RGB before resizing.
`open_clip`: as open_clip's own transform does: no turning, deep values clipped, resized in the file's own mode (docs/protocols.md)."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class LeftOut(BaseModel):
    """Files of one kind that are no part of the data set: how many, why, and the first of them."""

    model_config = _FROZEN
    count: int
    reason: str
    first: tuple[str, ...] = ()


class Leak(BaseModel):
    """Images of `split` that stand in `other` too, by content (`exact`) or by a perceptual hash (`near`): how many and the first ids."""

    model_config = _FROZEN
    split: str
    other: str
    count: int
    of: int
    kind: Literal["exact", "near"] = "exact"
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        same = "byte for byte" if self.kind == "exact" else "nearly the same to the eye"
        where = f"stand in {self.other} too" if self.other != self.split else "stand there more than once"
        return f"{self.count:,} of {self.of:,} images of {self.split} {where}, {same}: {', '.join(self.first)}"


class Understood(BaseModel):
    """root: the folder that was read in the end. evidence: what says which classes there are and in which order. columns: the source's
    column of each role. splits: the names that the source has for each split. notes: what a user should know before scoring."""

    model_config = _FROZEN
    reader: str
    root: str
    evidence: str = ""
    columns: dict[str, str] = {}
    splits: dict[str, tuple[str, ...]] = {}
    left_out: tuple[LeftOut, ...] = ()
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()
