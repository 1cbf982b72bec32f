"""No adaptation: a frozen copy."""

from __future__ import annotations

import copy

from gelo.models.adapt.adapted import Adapted, own_state
from torch import nn


def freeze(visual: nn.Module) -> Adapted:
    """A copy of `visual` in which nothing trains."""
    return Adapted(copy.deepcopy(visual), trainable={}, changes={}, plain=own_state)
