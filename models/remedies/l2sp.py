"""L2-SP: a pull back to the starting point while training (arXiv 1802.01483)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Step


class L2SP(RemedySpec):
    """strength / 2 * ||theta - theta_0||^2 over the weights that can move, of the text tower too where it trains; for LoRA strength / 2 *
    ||gamma B A||^2 summed over the targets. The head has no starting point and is left to weight decay."""

    kind: Literal["l2sp"] = "l2sp"
    strength: float = Field(default=0.01, ge=0, allow_inf_nan=False)

    def hooks(self) -> Pull:
        """See RemedySpec."""
        return Pull(self)


class Pull(Hooks[L2SP]):
    """Adds the loss `l2sp`."""

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        losses["l2sp"] = self.spec.strength / 2 * step.run.model.squared_distance()
