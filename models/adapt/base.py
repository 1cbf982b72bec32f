"""`AdaptationSpec`: what a sweep may say about a way to adapt. No torch here: the command line reads these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from gelo.models.faults import Fault
from gelo.models.spec import Member

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gelo.models.adapt.adapted import Adapted
    from gelo.models.adapt.changes import Change

Towers = Literal["vision", "both"]  # both: the text tower and its logit scale are adapted in the same way
Offer = Literal[
    "plain", "deltas"
]  # weights that merge into open_clip's; a dense theta - theta_0 of each weight that moves


class AdaptationSpec(Member, ABC):
    """Frozen description of one way to adapt. A new one: a file here, and its line in `models.adapt`.

    gives: what remedies may need of it. trains: False = a sweep cannot ask for it (`Imported`). like: another kind whose defaults in a task
    it takes, of the fields that both have.
    """

    gives: ClassVar[frozenset[Offer]] = frozenset({"plain", "deltas"})
    trains: ClassVar[bool] = True
    like: ClassVar[str] = ""

    @abstractmethod
    def apply(self, visual: nn.Module, seed: int) -> Adapted:
        """See `models.adapt.adapt`."""

    def rebuild(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Only where what is kept does not merge: the untouched tower with the trained tensors in it."""
        raise NotImplementedError(f"{type(self).__name__} merges into plain weights")

    def changes(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Change] | None:
        """Only where what is kept does not merge: how far each weight is from the untouched one, by its name, with the trained tensors;
        None where that cannot be said."""
        return None

    @property
    def both(self) -> bool:
        """Whether the text tower trains too: `towers: both`, of a way that has such a field."""
        return getattr(self, "towers", "vision") == "both"

    def faults_of_text(self, layers: int | None, width: int | None, where: str = "adaptation") -> list[Fault]:
        """What cannot work on a text tower of so many blocks that are so wide (None: it is not open_clip's own, or there is none); [] where
        it is left as it is."""
        if not self.both:
            return []
        if layers is None:
            found = "both, where no text tower of open_clip's own CLIP is"
            return [Fault(f"{where}.towers", found, "a CLIP with both towers", "towers: vision")]
        return [*self.faults(layers, f"{where}, text tower"), *self.faults_of_width(width, f"{where}, text tower")]

    @property
    def draws(self) -> bool:
        """Whether a training step draws random numbers for it (dropout)."""
        return False

    @property
    def waits(self) -> int:
        """Epochs before those of the training in which the head alone trains."""
        return 0

    def faults(self, layers: int | None, where: str = "adaptation") -> list[Fault]:
        """What cannot work on a tower of so many transformer blocks (None: it has none); for the pre-flight of a sweep."""
        return []

    def faults_of_width(self, width: int | None, where: str = "adaptation") -> list[Fault]:
        """What cannot work on a tower whose blocks are so wide (None: not known); for the pre-flight of a sweep."""
        return []


def without_blocks(where: str, remedy: str = "adaptation: full") -> list[Fault]:
    """Of a tower that is not made of open_clip's transformer blocks. remedy: what works there."""
    found = "a vision tower without open_clip's transformer blocks"
    return [Fault(where, found, "a ViT of open_clip", remedy)]
