"""CosFace: a large-margin cosine head for identities (arXiv 1801.09414; TaharChettaoui/FRoundation: src/training/losses.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.heads.margin import MarginHead

if TYPE_CHECKING:
    from torch import Tensor


class CosFace(MarginHead):
    """Large-margin cosine head for identities: g_y = cos(f, k_y) - margin (arXiv 1801.09414).

    FRoundation's values: scale 64, margin 0.3.
    """

    kind: Literal["cosface"] = "cosface"
    margin: float = Field(default=0.3, ge=0, lt=2)

    def true(self, cosines: Tensor, lengths: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """See MarginHead."""
        return cosines - self.margin
