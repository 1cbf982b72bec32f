"""No adaptation: a frozen copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.adapt.base import AdaptationSpec, Offer

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class NoAdaptation(AdaptationSpec):
    """The backbone untouched: nothing trains. With a head, that is the frozen-encoder baseline."""

    gives: ClassVar[frozenset[Offer]] = frozenset(
        {"plain"}
    )  # no weight that moves: none whose distance means something

    kind: Literal["none"] = "none"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` in which nothing trains."""
        return frozen(visual)


def frozen(visual: nn.Module) -> Adapted:
    """A copy of `visual` in which nothing trains."""
    import copy

    from gelo.models.adapt.adapted import Adapted, own_state

    return Adapted(copy.deepcopy(visual), trainable={}, changes={}, plain=own_state)
