"""Remedies against forgetting: one file each, named in `registry`; `Remedy` is one of them or a `Stack` of several.

A loop treats all alike, through `Hooks` (while it trains) and `finish` (afterwards). Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gelo.models.remedies.base import Bench, Hooks, NoRemedy, RemedySpec
from gelo.models.remedies.budget import Budget
from gelo.models.remedies.distill import Distill
from gelo.models.remedies.ema import EMA
from gelo.models.remedies.ewc import EWC
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.memory import Memory
from gelo.models.remedies.replay import Replay
from gelo.models.remedies.soup import Soup
from gelo.models.remedies.wise import Wise

if TYPE_CHECKING:
    from gelo.models.remedies.registry import REMEDIES
    from gelo.models.remedies.stack import Remedy, Stack


def __getattr__(name: str) -> Any:
    """What knows every remedy is made when it is first asked for: a stranger's remedy may import this package before it is registered."""
    if name == "REMEDIES":
        from gelo.models.remedies.registry import REMEDIES

        return REMEDIES
    if name in ("Remedy", "Stack"):
        from gelo.models.remedies import stack

        return getattr(stack, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "EMA", "EWC", "L2SP", "REMEDIES", "Bench", "Budget", "Distill", "Hooks", "Memory", "NoRemedy", "Remedy", "RemedySpec", "Replay", "Soup",
    "Stack", "Wise",
]  # fmt: skip
