"""Averaging on the way: what is kept is an average of the weights along the run, not the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks, RemedySpec
from gelo.models.remedies.trajectory import Trajectory
from gelo.models.spec import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gelo.models.training.run import Run


class EMA(RemedySpec):
    """rule `ema`: average <- decay * average + (1 - decay) * theta; decay 0 keeps the last weights. rule `mean`: the plain mean, for which
    decay says nothing (stochastic weight averaging, arXiv 1803.05407; every 100 steps in ZSCL, arXiv 2303.06628).

    Weights are taken after every `every`-th step from the share `start` of the run on; at `start` 0 the start weights are the first of
    them, as in ZSCL. What trains is averaged, adapters as they are (A and B apart). The head is kept as trained. Costs one copy of what
    trains.
    """

    kind: Literal["ema"] = "ema"
    decay: float = Field(default=0.999, ge=0, lt=1)
    rule: Literal["ema", "mean"] = joined("ema")
    every: int = joined(1, ge=1)
    start: float = joined(0.0, ge=0, lt=1)

    @property
    def replaces(self) -> bool:
        """See RemedySpec."""
        return True

    def hooks(self) -> Average:
        """See RemedySpec."""
        return Average(self)


class Average(Hooks[EMA]):
    """Its state is the average."""

    def __init__(self, spec: EMA) -> None:
        super().__init__(spec)
        decay = spec.decay if spec.rule == "ema" else None
        self.trajectory = Trajectory(every=spec.every, start=spec.start, decay=decay)

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.trajectory.prepare(run)

    def updated(self, run: Run) -> None:
        """See Hooks."""
        self.trajectory.updated(run)

    def kept(self, run: Run) -> Mapping[str, Tensor] | None:
        """See Hooks."""
        return self.trajectory.kept()

    def ended(self, run: Run) -> None:
        """See Hooks."""
        self.trajectory.ended(run)

    def state(self) -> dict[str, Tensor]:
        """See Hooks."""
        return self.trajectory.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Hooks."""
        self.trajectory.load(state)
