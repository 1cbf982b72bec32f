"""ArcFace: a margin on the angle to the true class (arXiv 1801.07698; deepinsight/insightface: recognition/arcface_torch/losses.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.heads.margin import MarginHead

if TYPE_CHECKING:
    from torch import Tensor


class ArcFace(MarginHead):
    """g_y = cos(theta_y + margin), theta_y the angle between f and k_y in radians (arXiv 1801.07698): scale 64, margin 0.5.

    The gradient is insightface's, d g_y / d cos(theta_y) = 1: that of cos(theta_y + margin) is sin(theta_y + margin) / sin(theta_y), which
    has no bound where f meets k_y and turns round beyond pi - margin, where it would drive the two apart.
    """

    kind: Literal["arcface"] = "arcface"
    margin: float = Field(default=0.5, ge=0, lt=3.14)

    def true(self, cosines: Tensor, lengths: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """See MarginHead."""
        moved = (cosines.detach().acos() + self.margin).cos()
        return cosines + (moved - cosines.detach())
