"""`Trajectory`: the average of what trains over points of a run, for remedies that keep it in place of the last weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Run


class Trajectory:
    """Points: the weights after step first, first + every, ... with first = ceil(start * steps), steps in which the head alone trains not
    counted; after step 0 means the start weights. There is one at the least, since start < 1.

    decay None: the plain mean of all points. Else average <- decay * average + (1 - decay) * point, from the first point on. What trains is
    averaged as it is: of adapters A and B apart, so that it is not the mean of their products. Costs one copy of what trains.
    """

    def __init__(self, *, every: int = 1, start: float = 0.0, decay: float | None = None) -> None:
        """every: steps from a point to the next, >= 1. start: share of the run in [0, 1). decay: in [0, 1)."""
        self.every, self.start, self.decay = every, start, decay
        self.average: dict[str, Tensor] = {}

    def prepare(self, run: Run) -> None:
        """At the start weights, before `load`."""
        self._run = run
        if not self._first(run):
            self.average = run.model.state()

    def updated(self, run: Run) -> None:
        """After a step of the optimiser, whether it is a point or not."""
        after = run.scheduled - self._first(run)
        if run.scheduled < 1 or after < 0 or after % self.every:
            return
        now, points = run.model.state(), after // self.every + 1
        if points == 1:
            self.average = now
            return
        kept = 1 - 1 / points if self.decay is None else self.decay
        self.average = {name: tensor.lerp(self.average[name], kept) for name, tensor in now.items()}

    def kept(self) -> Mapping[str, Tensor] | None:
        """The average, None before the first point."""
        return self.average or None

    def ended(self, run: Run) -> None:
        """The average into the model."""
        run.model.load(self.average)

    def state(self) -> dict[str, Tensor]:
        """The average; empty before the first point. How many points it is of follows from the step."""
        return dict(self.average)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        device = self._run.world.device
        self.average = {name: tensor.to(device) for name, tensor in state.items()}

    def _first(self, run: Run) -> int:
        return math.ceil(self.start * run.settings.epochs * run.steps_per_epoch)
