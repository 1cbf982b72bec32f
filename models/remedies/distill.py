"""Feature distillation: on the task's images, features stay near those of the untouched tower (LDIFS, arXiv 2308.13320; 2409.07582)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Step


class Distill(RemedySpec):
    """strength * mean over images of ||f - f_0||^2 (squared) or of 1 - cos(f, f_0) (cosine), f_0: the untouched tower's feature.

    Costs one more forward pass a step, without gradients.
    """

    kind: Literal["distill"] = "distill"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    distance: Literal["squared", "cosine"] = "squared"

    def hooks(self) -> Likeness:
        """See RemedySpec."""
        return Likeness(self)


class Likeness(Hooks[Distill]):
    """Adds the loss `distill`."""

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        from torch.nn import functional as F

        now, start = step.features, step.base_features
        if self.spec.distance == "squared":
            apart = (now - start).square().sum(1)
        else:
            apart = 1 - F.cosine_similarity(now, start)
        losses["distill"] = self.spec.strength * apart.mean()
