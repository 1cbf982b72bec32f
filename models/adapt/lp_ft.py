"""LP-FT: first the head alone, then all (arXiv 2202.10054)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.adapt.full import Full

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class LpFt(AdaptationSpec):
    """`head_epochs` epochs of the head alone on features of the untouched tower, at lr_head throughout; then `full`, from that head and
    with a fresh schedule (arXiv 2202.10054): a head that is still random would pull the features about. They come before `epochs`, and
    count in what a training is said to cost.
    """

    kind: Literal["lp_ft"] = "lp_ft"
    head_epochs: int = Field(default=1, ge=1)

    @property
    def waits(self) -> int:
        """See AdaptationSpec."""
        return self.head_epochs

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` in which everything trains in the end. `visual` is kept by reference as the start: do not change it."""
        adapted = Full().apply(visual, seed)
        adapted.waits = self.waits
        return adapted
