"""DoRA through peft: the direction of each row of a weight moves as in LoRA, its length trains by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.adapt.lora import Scaled

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class Dora(Scaled):
    """y = m (W + gamma B A) x / ||W + gamma B A||, m the lengths of the weight's rows, which train (arXiv 2402.09353); the divisor has no
    gradient. All else, the defaults of a task too, as in LoRA. It merges, but is not linear in gamma: WiSE-FT mixes its merged weights.
    """

    like: ClassVar[str] = "lora"

    kind: Literal["dora"] = "dora"

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` with adapters on the chosen projections. Raises UserError for a block or projection that is not there."""
        from gelo.models.adapt.adapted import Adapted
        from gelo.models.adapt.adapters import ADAPTER, PART, without_adapters
        from gelo.models.adapt.changes import Decomposed

        network, layers = self.started(visual, seed, use_dora=True)
        trainable: dict[str, nn.Parameter] = {}
        parts: dict[str, str] = {}
        changes: dict[str, Decomposed] = {}
        for layer in layers:
            magnitude = layer.module.lora_magnitude_vector[ADAPTER]
            magnitude.update_layer(
                base_layer=layer.module.base_layer, lora_A=layer.a, lora_B=layer.b, scaling=layer.gamma
            )
            own = {**dict(layer.trains()), f"{layer.name}.lora_magnitude_vector.weight": magnitude.weight}
            trainable |= own
            parts |= dict(zip(own, (PART, PART, "visual row lengths"), strict=True))
            changes[f"{layer.name}.weight"] = Decomposed(layer.base, layer.a, layer.b, layer.gamma, magnitude.weight)
        return Adapted(network, trainable, changes, plain=without_adapters, parts=parts)
