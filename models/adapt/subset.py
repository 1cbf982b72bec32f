"""Adaptations that train some of the tower's own weights, under their own names: which ones is all that they differ in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gelo.models.adapt.base import AdaptationSpec, Towers, without_blocks
from gelo.models.faults import Fault, UserError
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class Subset(AdaptationSpec):
    """`chosen` train, all else is frozen. A tower of transformer blocks, as open_clip builds it. towers: `both` chooses alike in the text
    tower, whose logit scale then trains too."""

    towers: Towers = joined("vision")

    @abstractmethod
    def chosen(self, network: nn.Module) -> Iterable[str]:
        """Names of the parameters of a tower that train."""

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """A tower without transformer blocks."""
        return without_blocks(where) if layers is None else []

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual`, which is kept by reference as the starting point: do not change it.

        Raises UserError for a tower without transformer blocks, or with too few.
        """
        import copy

        from gelo.models.adapt.adapted import Adapted, Moved, own_state
        from gelo.models.adapt.attention import vision_blocks

        if faults := self.faults(len(vision_blocks(visual)) or None):
            raise UserError(self.kind, faults)
        network = copy.deepcopy(visual)
        start = dict(visual.named_parameters())
        wanted = set(self.chosen(network))
        now = {name: parameter for name, parameter in network.named_parameters() if name in wanted}
        changes = {name: Moved(parameter, start[name].detach()) for name, parameter in now.items()}
        return Adapted(network, now, changes, plain=own_state, parts=dict.fromkeys(now, f"visual {self.kind}"))
