"""Full fine-tuning: every weight of the vision tower trains, under its own name."""

from __future__ import annotations

import copy

from gelo.models.adapt.adapted import Adapted, Moved, own_state
from torch import nn


def unfreeze(visual: nn.Module) -> Adapted:
    """A copy of `visual` in which everything trains. `visual` is kept by reference as the starting point: do not change
    it."""
    network = copy.deepcopy(visual)
    start = dict(visual.named_parameters())
    now = dict(network.named_parameters())
    changes = {name: Moved(parameter, start[name].detach()) for name, parameter in now.items()}
    return Adapted(network, trainable=now, changes=changes, plain=own_state)
