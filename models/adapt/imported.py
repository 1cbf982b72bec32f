"""No adaptation of gelo's: a vision tower that others have trained and published, brought in by `gelo import`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import AdaptationSpec, Offer
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted

Method = Literal["froundation", "madation", "foundpad"]


class Imported(AdaptationSpec):
    """A tower that is read, never trained here. fingerprint: 16 hex digits over its tensors and those of its head, which is all that a key
    needs of it. name: what a sweep calls it, for people. rank, gamma: of the LoRA that was merged, None where the file had none.
    preprocess: what its detector is shown (tasks/training/preprocess.py). path: where it lies, in no key and no file.
    """

    gives: ClassVar[frozenset[Offer]] = frozenset({"plain"})
    trains: ClassVar[bool] = False

    kind: Literal["imported"] = "imported"
    name: str
    method: Method
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    preprocess: Literal["backbone", "morph", "spoof"]
    rank: int | None = Field(None, ge=1)
    gamma: float | None = Field(None, gt=0, allow_inf_nan=False)
    path: str = Field("", exclude=True)

    def canonical(self) -> dict[str, Any]:
        """Without its name: the same tower under another is the same work."""
        return {name: value for name, value in super().canonical().items() if name != "name"}

    @property
    def alpha(self) -> float | None:
        """That of a LoRA with rsLoRA's scaling which has this gamma."""
        return None if self.rank is None or self.gamma is None else self.gamma * math.sqrt(self.rank)

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """Raises UserError: nothing of it is trained here."""
        raise UserError("adaptation", Fault("imported", "a training", "a tower that is there: tasks: {imported: ...}"))
