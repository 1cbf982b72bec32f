"""The head alone: a linear probe under the task's own loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.adapt.base import AdaptationSpec, Offer
from gelo.models.adapt.none import frozen

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class Linear(AdaptationSpec):
    """The head trains on features of the untouched tower, which is published as it was: it forgets nothing, and what is cached of its
    features is used again."""

    gives: ClassVar[frozenset[Offer]] = frozenset({"plain"})

    kind: Literal["linear"] = "linear"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` in which nothing trains."""
        return frozen(visual)
