"""The text tower beside an adapted vision tower: adapted in the same way, its logit scale always trained."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gelo.models.adapt.adapted import Adapted
from gelo.models.adapt.attention import vision_blocks
from gelo.models.adapt.base import AdaptationSpec
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from gelo.models.texttower import TextTower

SCALE = "logit_scale"  # open_clip's name for the logarithm of what cosines are multiplied by


def with_text(adapted: Adapted, spec: AdaptationSpec, text: TextTower | None, seed: int) -> Adapted:
    """`adapted` with a trainable copy of `text` beside it, which itself stays as it is.

    Raises UserError where there is no text tower of open_clip's own CLIP, none that can be asked, or one that the spec does not fit.
    """
    if text is None or text.unasked:
        found = text.unasked if text is not None else "a vision tower alone"
        raise UserError(spec.kind, Fault("adaptation.towers", found, "a CLIP with both towers", "towers: vision"))
    if faults := spec.faults_of_text(len(vision_blocks(text.model)) or None, None):
        raise UserError(spec.kind, faults)
    number = int.from_bytes(hashlib.sha256(f"{seed}/text".encode()).digest()[:8], "big") >> 1
    made = spec.apply(text.model, number)
    made.parts = {name: part.replace("visual", "text", 1) for name, part in made.parts.items()}
    made.also(SCALE, dict(text.model.named_parameters())[SCALE].detach(), "logit scale")
    adapted.beside(made)
    return adapted
