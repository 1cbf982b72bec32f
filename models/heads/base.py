"""`HeadSpec`: a head is its start and its loss, two functions of its tensors. No torch here: the command line reads these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gelo.models.faults import Fault
from gelo.models.spec import Member

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


Link = Literal["", "softmax", "sigmoid"]


class HeadSpec(Member, ABC):
    """Frozen description of one head on post-projection features. A new one: a file here, and its line in `models.heads`.

    link: what makes probabilities of `scores`: one softmax over all classes, or a sigmoid of each; "" where it gives no scores.
    """

    link: ClassVar[Link] = ""

    @abstractmethod
    def start(self, dim: int, classes: int, seed: int) -> dict[str, Tensor]:
        """float32 tensors by name, on the CPU; equal arguments give equal ones, whatever the global random state.

        Raises UserError where the head cannot serve so many classes.
        """

    @abstractmethod
    def loss(self, weights: Mapping[str, Tensor], features: Tensor, labels: Tensor) -> Tensor:
        """features float32 (N, d), not normalised; labels int64 (N,) -> scalar, the mean over the batch. weights: also `running`."""

    def scores(self, weights: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Logits without a margin: (N, d), not normalised -> (N, C), with gradients. weights: also `running`. Only where `link` is said."""
        raise NotImplementedError(f"{type(self).__name__} gives no scores")

    def unscored(self, where: str = "head") -> list[Fault]:
        """Why a step has no scores of all classes; [] where it has."""
        wanted = "one of softmax, binary, or a margin head whose `sample` is 1"
        return [] if self.link else [Fault(where, f"{self.kind}, which gives no scores", wanted)]

    def running(self) -> dict[str, Tensor]:
        """Tensors by name that go on from step to step without a gradient, such as a running mean; a checkpoint and a trial keep them."""
        return {}

    def observe(self, running: Mapping[str, Tensor], features: Tensor) -> None:
        """Change `running` in place before the loss of a micro-batch. features (N, d): of all processes, without gradients."""

    def detector(self, tensors: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(weight (C, d), bias (C,)) of its logits W f / ||f|| + b, from what a trial kept: what a trained detector's scores are made of.

        Raises KeyError where it has no such logits.
        """
        return tensors["weight"], tensors["bias"]
