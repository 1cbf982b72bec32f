"""Routed LoRA experts: several low-rank adapters a projection, mixed by what each token looks like. They do not merge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import Offer
from gelo.models.adapt.projections import OnProjections

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gelo.models.adapt.adapted import Adapted
    from gelo.models.adapt.changes import Change
    from gelo.models.around import Around

LAYER = ("a", "b", "router")


class LoraExperts(OnProjections):
    """y = W x + gamma sum_e g_e(x) B_e A_e x, g = softmax(R x) by token: a soft mixture in which every expert takes part.

    A_e (rank, in) uniform as in LoRA, B_e (out, rank) zero, R (experts, in) ~ N(0, 0.02^2); gamma = alpha / sqrt(rank). With one expert it
    is LoRA. targets, blocks and rank: as in LoRA.
    """

    gives: ClassVar[frozenset[Offer]] = frozenset()

    kind: Literal["lora_experts"] = "lora_experts"
    experts: int = Field(default=3, ge=1)
    alpha: float = Field(default=8.0, gt=0, allow_inf_nan=False)

    @property
    def gamma(self) -> float:
        """The factor on the mixture."""
        return self.alpha / math.sqrt(self.rank)

    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """A copy of `visual` with experts on the chosen projections. Raises UserError for a block or projection that is not there."""
        import copy

        import torch

        from gelo.models.adapt.adapted import Adapted

        generator = torch.Generator().manual_seed(seed)

        def start(inner: nn.Linear) -> dict[str, Tensor]:
            bound = 1 / math.sqrt(inner.in_features)
            drawn = {
                "a": torch.empty(self.experts, self.rank, inner.in_features).uniform_(
                    -bound, bound, generator=generator
                ),
                "b": torch.zeros(self.experts, inner.out_features, self.rank),
                "router": torch.empty(self.experts, inner.in_features).normal_(0, 0.02, generator=generator),
            }
            return {name: tensor.to(inner.weight) for name, tensor in drawn.items()}

        network = copy.deepcopy(visual)
        layers = self._insert(network, {}, start)
        trainable = {f"{name}.{part}": layer.tensors[part] for name, layer in layers.items() for part in LAYER}
        changes = self.changes(trainable)
        untouched = {name: tensor.detach().clone() for name, tensor in visual.state_dict().items()}
        parts = dict.fromkeys(trainable, "visual experts and routers")
        return Adapted(network, trainable, changes, plain=lambda network: untouched, parts=parts, around=self)

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """See AdaptationSpec."""
        self._insert(network, tensors, None)
        return network

    def changes(self, tensors: Mapping[str, Tensor]) -> dict[str, Change]:
        """See AdaptationSpec."""
        from gelo.models.adapt.changes import Routed

        names = [name.removesuffix(".a") for name in tensors if name.endswith(".a")]
        return {f"{name}.weight": Routed(tensors[f"{name}.a"], tensors[f"{name}.b"], self.gamma) for name in names}

    def _insert(self, network: nn.Module, tensors: Mapping[str, Tensor], start: object) -> dict[str, Around]:
        """Put a layer around every chosen projection, in the order of their names: with the tensors given, or those that `start` makes."""
        from gelo.models.adapt.attention import split_attention
        from gelo.models.around import Around

        layers: dict[str, Around] = {}
        for name in sorted(self.modules(split_attention(network))):
            above, _, leaf = name.rpartition(".")
            inner = network.get_submodule(name)
            own = start(inner) if callable(start) else {part: tensors[f"{name}.{part}"].clone() for part in LAYER}
            layers[name] = Around(inner, own, self._mixed)
            setattr(network.get_submodule(above), leaf, layers[name])
        return layers

    def _mixed(self, inner: nn.Module, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        import torch

        gates = (x @ tensors["router"].T).softmax(-1)
        low = torch.einsum("...i,eri->...er", x, tensors["a"]) * gates[..., None]
        mixed: Tensor = inner(x) + self.gamma * torch.einsum("...er,eor->...o", low, tensors["b"])
        return mixed
