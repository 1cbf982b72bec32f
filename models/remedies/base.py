"""What a remedy is to the training loop and to the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from gelo.models.spec import Spec

if TYPE_CHECKING:
    from gelo.models.adapt.adapted import Adapted
    from gelo.models.encoder import Encoder
    from torch import Tensor

Phase = Literal["none", "training", "merging"]


@dataclass(frozen=True, slots=True)
class Step:
    """All that a penalty may look at in one training step.

    pixels: float32 (N, 3, H, W), normalised. features: (N, d) of `adapted` on them, with gradients. labels: (N,).
    """

    adapted: Adapted
    pixels: Tensor
    features: Tensor
    labels: Tensor


class Penalty(Protocol):
    """A remedy while it trains: made by `RemedySpec.start`, free to hold what it needs (a frozen copy, stored
    features)."""

    def penalty(self, step: Step) -> Tensor:
        """A scalar with gradients, added to the task's loss."""


class RemedySpec(Spec):
    """Frozen description of one remedy, by default one that does nothing. A new one: a file here, a member of `Remedy`.

    phase: "training" remedies make a trial of their own; "merging" ones only need a trained trial's weights, so that a
    curve over their parameters costs one training.
    """

    phase: ClassVar[Phase] = "none"

    def start(self, base: Encoder, adapted: Adapted) -> Penalty:
        """Called once before the first step, with the untouched encoder. The result is asked at each step."""
        return self

    def penalty(self, step: Step) -> Tensor:
        """0 here."""
        return step.features.new_zeros(())

    def merge(self, theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The visual weights to keep, from the base's and the tuned ones; the tuned ones here."""
        return dict(theta_1)


class NoRemedy(RemedySpec):
    """Fine-tune and live with it."""

    kind: Literal["none"] = "none"
