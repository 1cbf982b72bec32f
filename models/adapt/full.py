"""Full fine-tuning: every weight of the vision tower trains, under its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gelo.models.adapt.base import AdaptationSpec, Towers
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class Full(AdaptationSpec):
    """Every weight of the vision tower trains; with `towers: both` every one of the text tower too, and the logit scale."""

    kind: Literal["full"] = "full"
    towers: Towers = joined("vision")

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` in which everything trains. `visual` is kept by reference as the starting point: do not change it."""
        import copy

        from gelo.models.adapt.adapted import Adapted, Moved, own_state

        network = copy.deepcopy(visual)
        start = dict(visual.named_parameters())
        now = dict(network.named_parameters())
        changes = {name: Moved(parameter, start[name].detach()) for name, parameter in now.items()}
        return Adapted(network, trainable=now, changes=changes, plain=own_state)
