"""L2-SP: a pull back to the starting point while training (arXiv 1802.01483)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.remedies.base import Phase, RemedySpec, Step
from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor


class L2SP(RemedySpec):
    """strength / 2 * ||theta - theta_0||^2 over the vision weights that can move; for LoRA strength / 2 * ||gamma B
    A||^2 summed over the targets. The head has no starting point and is left to weight decay."""

    phase: ClassVar[Phase] = "training"

    kind: Literal["l2sp"] = "l2sp"
    strength: float = Field(default=0.01, ge=0, allow_inf_nan=False)

    def penalty(self, step: Step) -> Tensor:
        """A scalar with gradients."""
        return self.strength / 2 * step.adapted.squared_distance()
