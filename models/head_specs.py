"""What a sweep may say about a head. No torch here: the command line reads these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from gelo.models.faults import Fault, UserError
from gelo.models.spec import Spec
from pydantic import Field

if TYPE_CHECKING:
    from gelo.models.heads import Head


class HeadSpec(Spec, ABC):
    """Frozen description of one head. A new one: a class here, a module in `models.heads`, a member of `HeadKind`."""

    @abstractmethod
    def build(self, dim: int, classes: int, seed: int) -> Head:
        """See `models.heads.build_head`."""


class CosFace(HeadSpec):
    """Large-margin cosine head for identities (arXiv 1801.09414). The paper's values: scale 64, margin 0.3."""

    kind: Literal["cosface"] = "cosface"
    scale: float = Field(default=64.0, gt=0, allow_inf_nan=False)
    margin: float = Field(default=0.3, ge=0, lt=2)

    def build(self, dim: int, classes: int, seed: int) -> Head:
        """See `models.heads.build_head`."""
        from gelo.models.heads import CosFaceHead

        return CosFaceHead(dim, classes, scale=self.scale, margin=self.margin, seed=seed)


class Binary(HeadSpec):
    """Bona fide against attack: two logits, each with its own sigmoid."""

    kind: Literal["binary"] = "binary"

    def build(self, dim: int, classes: int, seed: int) -> Head:
        """See `models.heads.build_head`."""
        from gelo.models.heads import BinaryHead

        if classes != 2:
            raise UserError(
                "head", Fault("head.kind: binary", f"{classes} classes", "2: attack 0, bona fide 1", "kind: cosface")
            )
        return BinaryHead(dim, seed=seed)


HeadKind = Annotated[CosFace | Binary, Field(discriminator="kind")]
