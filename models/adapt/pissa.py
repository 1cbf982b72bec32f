"""PiSSA through peft: the principal part of a weight trains, what is left of it is frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.adapt.base import Towers
from gelo.models.adapt.projections import OnProjections
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import nn

    from gelo.models.adapt.adapted import Adapted


class Pissa(OnProjections):
    """y = (W - B_0 A_0) x + B A x with W = U S V^T: B_0 = U_r sqrt(S_r), A_0 = sqrt(S_r) V_r^T, the start of B and A (arXiv 2404.02948).

    targets, blocks and rank, and their defaults in a task, as in LoRA; there is no factor on BA and no dropout, which would drop a part of
    the weight itself. In training the start is the backbone to rounding; what is merged is W + B A - B_0 A_0, at the start W bit for bit.
    """

    like: ClassVar[str] = "lora"

    kind: Literal["pissa"] = "pissa"
    towers: Towers = joined("vision")

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual`, which is kept by reference as the starting point: do not change it. The seed does not matter.

        Raises UserError for a block or projection that is not there.
        """
        import torch

        from gelo.models.adapt.adapted import Adapted
        from gelo.models.adapt.adapters import PART, injected, without_adapters
        from gelo.models.adapt.changes import Principal

        network, layers = injected(visual, self, lora_alpha=self.rank)
        trainable = dict(pair for layer in layers for pair in layer.trains())
        changes: dict[str, Principal] = {}
        for layer in layers:
            start = layer.base.detach().clone()
            # in float64: where singular values are close, another machine's float32 would cut elsewhere, and a resumed run take another W
            u, s, vh = torch.linalg.svd(start.double(), full_matrices=False)
            root = s[: self.rank].sqrt()
            with torch.no_grad():
                layer.a.copy_(root[:, None] * vh[: self.rank])
                layer.b.copy_(u[:, : self.rank] * root)
                layer.base.copy_(start.double() - layer.b.double() @ layer.a.double())
            first = layer.a.detach().clone(), layer.b.detach().clone()
            changes[f"{layer.name}.weight"] = Principal(layer.base, start, layer.a, layer.b, *first)
        return Adapted(network, trainable, changes, plain=without_adapters, parts=dict.fromkeys(trainable, PART))
