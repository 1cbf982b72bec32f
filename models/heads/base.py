"""`HeadSpec`: a head is its start and its loss, two functions of its tensors. No torch here: the command line reads these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gelo.models.spec import Member

if TYPE_CHECKING:
    from torch import Tensor


class HeadSpec(Member, ABC):
    """Frozen description of one head on post-projection features. A new one: a file here, and its line in `models.heads`."""

    @abstractmethod
    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """float32 tensors by name, on the CPU; equal arguments give equal ones, whatever the global random state.

        Raises UserError where the head cannot serve so many classes.
        """

    @abstractmethod
    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """features float32 (N, d), not normalised; labels int64 (N,) -> scalar, the mean over the batch."""
