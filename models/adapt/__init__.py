"""Ways to adapt a vision tower: one spec class and one file each. Importing this imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gelo.models.adapt.specs import AdaptationSpec, Full, Lora, NoAdaptation
from pydantic import Field

if TYPE_CHECKING:
    from gelo.models.adapt.adapted import Adapted
    from torch import nn

__all__ = ["Adaptation", "AdaptationSpec", "Full", "Lora", "NoAdaptation", "adapt"]

Adaptation = Annotated[NoAdaptation | Full | Lora, Field(discriminator="kind")]


def adapt(visual: nn.Module, spec: AdaptationSpec, seed: int) -> Adapted:
    """A trainable copy of `visual`, which itself stays as it is. Equal (weights, spec, seed) give equal tensors,
    whatever the global random state, which is left as it was. Raises UserError where the spec does not fit the
    tower."""
    return spec.apply(visual, seed)
