"""Averaging on the way: what is kept is the moving average of the weights, not the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gelo.models.training.run import Run


class EMA(RemedySpec):
    """average <- decay * average + (1 - decay) * theta after every step, from the start weights; decay 0 keeps the last weights.

    What trains is averaged, adapters as they are (A and B apart). The head is kept as trained. Costs one copy of what trains.
    """

    kind: Literal["ema"] = "ema"
    decay: float = Field(default=0.999, ge=0, lt=1)

    @property
    def curved(self) -> bool:
        """See RemedySpec: the curve is that of the weights in training."""
        return False

    def hooks(self) -> Average:
        """See RemedySpec."""
        return Average(self)


class Average(Hooks[EMA]):
    """Its state is the average."""

    average: dict[str, Tensor]

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.average = run.model.state()

    def updated(self, run: Run) -> None:
        """See Hooks."""
        for name, now in run.model.state().items():
            self.average[name] = now.lerp(self.average[name], self.spec.decay)

    def ended(self, run: Run) -> None:
        """See Hooks."""
        run.model.load(self.average)

    def state(self) -> dict[str, Tensor]:
        """See Hooks."""
        return dict(self.average)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Hooks."""
        self.average = {name: tensor.to(self.average[name].device) for name, tensor in state.items()}
