"""WiSE-FT: interpolate between base and tuned weights after training (arXiv 2109.01903; mlfoundations/wise-ft: src/wise_ft.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import Offer
from gelo.models.remedies.base import Bench, RemedySpec

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.tower import Tower


def interpolate(theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) theta_0 + alpha theta_1, new tensors; alpha 0 and 1 give the endpoints bit for bit, and a weight that did not move stays
    as it is at every alpha. Raises ValueError unless both have the same names, shapes and types, and equal integers."""
    if theta_0.keys() != theta_1.keys():
        raise ValueError(f"only in one of the two: {', '.join(sorted(theta_0.keys() ^ theta_1.keys())[:5])}")
    merged: dict[str, Tensor] = {}
    for name, start in theta_0.items():
        end = theta_1[name]
        if start.shape != end.shape or start.dtype != end.dtype:
            raise ValueError(f"{name}: {start.dtype} {tuple(start.shape)} against {end.dtype} {tuple(end.shape)}")
        if alpha in (0.0, 1.0):
            merged[name] = (start if alpha == 0.0 else end).clone()
        elif start.is_floating_point():
            merged[name] = start.lerp(end, alpha)  # unlike the sum of two products, exact where start == end
        elif start.equal(end):
            merged[name] = start.clone()
        else:
            raise ValueError(f"{name}: integers that differ cannot be interpolated")
    return merged


class Wise(RemedySpec):
    """alpha: 0 = the base, 1 = the tuned weights. For LoRA it is the same as gamma -> alpha gamma. The head is kept as trained; a
    text tower that trained too is interpolated with its logit scale."""

    trains: ClassVar[bool] = False
    needs: ClassVar[frozenset[Offer]] = frozenset({"plain"})
    texts: ClassVar[bool] = True
    curve: ClassVar[str] = "alpha"

    kind: Literal["wise"] = "wise"
    alpha: float = Field(default=0.5, ge=0, le=1)

    def finish(self, tower: Tower, bench: Bench) -> Tower:
        """See `interpolate`; of both towers, where both trained."""
        text = None if tower.text is None else interpolate(bench.base.text_state(), tower.text, self.alpha)
        return tower.with_weights(interpolate(bench.base.visual_state(), tower.weights, self.alpha), text=text)
