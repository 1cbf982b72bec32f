"""What a reader took a user's files for: kept in the card, printed by `gelo prepare` and `gelo show`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gelo.models.words import counted

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
    """Images of `split` that stand in `other` too, by content (`exact`) or by a perceptual hash (`near`): how many and the first ids.

    split, other: `test`, or `mine/test` where two data sets are compared; the same name twice: images that stand there more than once.
    relabelled: only those that stand in `other` under another label. first: an id and that of the image it is the same as, `a = b`.
    """

    model_config = _FROZEN
    split: str
    other: str
    count: int
    of: int
    kind: Literal["exact", "near"] = "exact"
    relabelled: bool = False
    first: tuple[str, ...] = ()

    def __str__(self) -> str:
        same = "byte for byte" if self.kind == "exact" else "nearly the same to the eye"
        stand = "stands" if self.count == 1 else "stand"
        if self.other == self.split:
            where = f"{stand} there under two labels" if self.relabelled else f"{stand} there more than once"
        else:
            where = f"{stand} in {self.other} too{' under another label' if self.relabelled else ''}"
        more = ", ..." if self.count > len(self.first) * (2 if self.other == self.split else 1) else ""
        return f"{self.count:,} of {counted(self.of, 'image')} of {self.split} {where}, {same}: {', '.join(self.first)}{more}"


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
