"""Distillation: the tower stays near the untouched one in its features or in its layers (LDIFS, arXiv 2308.13320; 2409.07582)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from gelo.models.adapt.base import without_blocks
from gelo.models.faults import Fault
from gelo.models.remedies.base import Hooks, RemedySpec
from gelo.models.spec import joined

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.heads.base import HeadSpec
    from gelo.models.training.run import Run, Step
    from gelo.models.training.settings import Optimisation
    from gelo.models.training.stream import Stream

_SMALL = 1e-10


class Distill(RemedySpec):
    """strength * mean over images of ||f - f_0||^2 (squared) or of 1 - cos(f, f_0) (cosine), f_0: the untouched tower's feature.

    layers: inner instead compares all tokens in front of the transformer's blocks and behind them at each quarter (3, 6, 9 and 12 of 12):
    every channel of an image divided by its length over the tokens, as LDIFS's code does it (omegafragger/ldifs_code: loss/ldifs.py; its
    paper normalises channels), squared differences, the mean of all. LDIFS's strength is 10. on: the task's images, or `batch` of
    `reference` ("data set/split") a step. Costs one more forward pass a step, without gradients; on reference images one with gradients
    too, and their share of the step.
    """

    kind: Literal["distill"] = "distill"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    distance: Literal["squared", "cosine"] = "squared"
    layers: Literal["last", "inner"] = joined("last")
    on: Literal["task", "reference"] = joined("task")
    reference: str = joined("reference/train", min_length=1)
    batch: int = joined(16, ge=1)

    @field_validator("layers")
    @classmethod
    def _inner_by_squares(cls, layers: str, info: ValidationInfo) -> str:
        if layers == "inner" and info.data.get("distance") == "cosine":
            raise ValueError("inner layers are compared by squared distances")
        return layers

    def faults(self, layers: int | None, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        if self.layers == "last" or layers is not None:
            return []
        return [
            replace(fault, found=f"inner layers of {fault.found}", remedy="layers: last")
            for fault in without_blocks(where)
        ]

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        if self.layers == "last" or not training.compile:
            return []
        return [Fault(where, "inner layers of a tower that is compiled", "one of the two", "compile: false")]

    @property
    def beside(self) -> int:
        """See RemedySpec."""
        return self.batch if self.on == "reference" else 0

    def data(self) -> Mapping[str, str]:
        """See RemedySpec."""
        return {"reference": self.reference} if self.on == "reference" else {}

    def hooks(self) -> Likeness:
        """See RemedySpec."""
        return Likeness(self)


class Likeness(Hooks[Distill]):
    """Adds the loss `distill`."""

    def __init__(self, spec: Distill) -> None:
        super().__init__(spec)
        self.inner = spec.layers == "inner" and spec.on == "task"

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        return {"reference": run.stream("reference", self.spec.batch)} if self.spec.on == "reference" else {}

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        if self.spec.layers == "inner":
            now, start = self._inner(step)
            apart = sum(map(_far, now, start), step.features.new_zeros(())) / len(now)
        else:
            apart = self._last(*self._features(step)).mean()
        losses["distill"] = self.spec.strength * apart

    def _features(self, step: Step) -> tuple[Tensor, Tensor]:
        """(n, d) each: of the model, and untouched."""
        if self.spec.on == "task":
            return step.features, step.base_features
        pixels = step.batch.extra["reference"].pixels
        return step.run.features(pixels), step.run.base_features(pixels)

    def _inner(self, step: Step) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(n, tokens, width) at each depth: of the model, and untouched."""
        if self.spec.on == "task":
            return step.inner, step.base_inner
        pixels = step.batch.extra["reference"].pixels
        return step.run.activations(pixels)[1], step.run.base_activations(pixels)[1]

    def _last(self, now: Tensor, start: Tensor) -> Tensor:
        """(n,)."""
        from torch.nn import functional as F

        if self.spec.distance == "squared":
            return (now - start).square().sum(1)
        return 1 - F.cosine_similarity(now, start)


def _far(now: Tensor, start: Tensor) -> Tensor:
    """(n, tokens, width) twice -> the mean of all squared differences, each channel over the tokens of unit length."""
    one, other = (each / (each.square().sum(1, keepdim=True).sqrt() + _SMALL) for each in (now, start))
    return (one - other).square().mean()
