"""No adaptation: a frozen copy."""

from __future__ import annotations

import copy

from torch import nn

from models.adapt.adapted import Adapted, own_state


def freeze(visual: nn.Module) -> Adapted:
    """A copy of `visual` in which nothing trains."""
    return Adapted(copy.deepcopy(visual), trainable={}, changes={}, plain=own_state)
