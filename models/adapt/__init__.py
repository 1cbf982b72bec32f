"""Ways to adapt a vision tower: one file each, specs in the union `Adaptation`. Importing this imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.adapt.base import AdaptationSpec
from gelo.models.adapt.bias import Bias
from gelo.models.adapt.dora import Dora
from gelo.models.adapt.full import Full
from gelo.models.adapt.imported import Imported
from gelo.models.adapt.last_blocks import LastBlocks
from gelo.models.adapt.layernorm import LayerNorm
from gelo.models.adapt.linear import Linear
from gelo.models.adapt.lora import Lora
from gelo.models.adapt.lora_experts import LoraExperts
from gelo.models.adapt.lp_ft import LpFt
from gelo.models.adapt.none import NoAdaptation
from gelo.models.adapt.pissa import Pissa
from gelo.models.members import family

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted
    from gelo.models.texttower import TextTower

OWN = (
    NoAdaptation,
    Full,
    LpFt,
    LastBlocks,
    LayerNorm,
    Bias,
    Linear,
    Lora,
    Dora,
    Pissa,
    LoraExperts,
    Imported,
)  # one line a way

if TYPE_CHECKING:
    ADAPTATIONS: tuple[type[AdaptationSpec], ...]
    Adaptation = AdaptationSpec
else:
    __getattr__ = family(globals(), "gelo.adaptations", OWN, AdaptationSpec, ("ADAPTATIONS", "Adaptation"))

__all__ = [
    "ADAPTATIONS", "Adaptation", "AdaptationSpec", "Bias", "Dora", "Full", "Imported", "LastBlocks", "LayerNorm", "Linear", "Lora",
    "LoraExperts", "LpFt", "NoAdaptation", "Pissa", "adapt",
]  # fmt: skip


def adapt(visual: nn.Module, spec: AdaptationSpec, seed: int, text: TextTower | None = None) -> Adapted:
    """A trainable copy of `visual`, which itself stays as it is. Equal (weights, spec, seed) give equal tensors, whatever the global random
    state, which is left as it was. text: of the same model; where the spec says `towers: both` a copy of it trains too.

    Raises UserError where the spec does not fit a tower.
    """
    adapted = spec.apply(visual, seed)
    if not spec.both:
        return adapted
    from gelo.models.adapt.texts import with_text

    return with_text(adapted, spec, text, seed)
