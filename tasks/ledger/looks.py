"""What a trial has gained and kept at each of its looks, on validation images: what searches compare, and what trials are cut by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from gelo.models.spec import Spec

Objective = Literal["gain", "kept"]


class Look(Spec):
    """number: 1 for the first after the untouched tower. step: optimiser steps done by then. gain: the task's validation metric minus that
    of step 0, in [-1, 1]. kept: mean zero-shot top-1 on the general sets' validation images over that of step 0, at least 0; None where one
    of the two was not looked at. Higher is better in both; of test images is neither."""

    number: int = Field(ge=1)
    step: int = Field(ge=0)
    gain: float | None = Field(default=None, allow_inf_nan=False)
    kept: float | None = Field(default=None, allow_inf_nan=False)

    def value(self, objective: Objective) -> float | None:
        """The one or the other."""
        return self.gain if objective == "gain" else self.kept


def looks_of(points: Sequence[Mapping[str, Any]]) -> list[Look]:
    """A curve's points -> its looks; [] of one without a look at step 0, against which both are measured."""
    if not points or points[0].get("step") != 0:
        return []
    return [
        Look(
            number=number,
            step=int(point["step"]),
            gain=_finite(_both(point, points[0], "task", lambda now, first: now - first)),
            kept=_finite(_both(point, points[0], "validation", lambda now, first: now / first if first else math.nan)),
        )
        for number, point in enumerate(points[1:], 1)
    ]


def _both(point: Mapping[str, Any], first: Mapping[str, Any], name: str, change: Any) -> float:
    if point.get(name) is None or first.get(name) is None:
        return math.nan
    return float(change(float(point[name]), float(first[name])))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
