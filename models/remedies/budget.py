"""A budget of forgetting: training ends once too little zero-shot accuracy is left, and the last weights within the budget are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torch import Tensor

    from gelo.models.training.run import Run


class Budget(RemedySpec):
    """share: of the untouched tower's zero-shot accuracy (mean over the general sets' validation images, at step 0) that must remain.

    The first look of the watch that finds less ends the training; tower and head are those of the look before. So it is as fine as the
    looks are many (`watch.points`), and as sure as they are large (`watch.images`): at 0.9 of 0.6 and 200 images one standard error is
    more than half of what may be lost. 0 never ends and changes nothing. Early stopping, with what was forgotten in the place of the loss;
    gelo's own, of no paper. Costs one copy of what trains.
    """

    watches: ClassVar[bool] = True

    kind: Literal["budget"] = "budget"
    share: float = Field(default=0.9, ge=0, le=1)

    @property
    def replaces(self) -> bool:
        """See RemedySpec: the weights of a look that may not be the last."""
        return self.share > 0

    @property
    def curved(self) -> bool:
        """See RemedySpec: the curve goes on to the look that was too much."""
        return not self.share

    def hooks(self) -> Within:
        """See RemedySpec."""
        return Within(self)


class Within(Hooks[Budget]):
    """Its state is what was found at step 0, and the last weights that were within."""

    first: float | None = None
    within: dict[str, Tensor]  # of the tower under "tower.", of the head under "head."

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.within = {}

    def watched(self, run: Run, row: Mapping[str, Any]) -> bool:
        """See Hooks. Raises UserError where the watch has no zero-shot accuracy on validation images."""
        from gelo.models.faults import Fault, UserError

        if "validation" not in row:
            found, expected = (
                "no zero-shot accuracy is looked at",
                "general sets with validation images, and prompts for them",
            )
            raise UserError("budget", Fault("watch", found, expected))
        head = run.head.whole()  # said by every rank
        if self.first is None:
            self.first = float(row["validation"])
        if row["validation"] < self.spec.share * self.first:
            return True
        tensors = {f"head.{name}": tensor.detach().clone() for name, tensor in head.items()}
        self.within = {f"tower.{name}": tensor for name, tensor in run.model.state().items()} | tensors
        return False

    def ended(self, run: Run) -> None:
        """See Hooks."""
        kept = run.world.share(self.within)  # of a head that lies on several processes rank 0 has all
        if kept:
            run.model.load(_group(kept, "tower."))
            run.head.load(_group(kept, "head."))

    def state(self) -> dict[str, Tensor]:
        """See Hooks."""
        import torch

        first = {} if self.first is None else {"first": torch.tensor(self.first, dtype=torch.float64)}
        return first | self.within

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Hooks."""
        self.first = float(state["first"]) if "first" in state else None
        self.within = {name: tensor for name, tensor in state.items() if name != "first"}


def _group(tensors: Mapping[str, Tensor], beginning: str) -> dict[str, Tensor]:
    return {name.removeprefix(beginning): each for name, each in tensors.items() if name.startswith(beginning)}
