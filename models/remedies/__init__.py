"""Remedies against forgetting: one file each, named in `registry`; `Remedy` is one of them or a `Stack` of several.

A loop treats all alike, through `Hooks` (while it trains) and `finish` (afterwards). Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.members import union
from gelo.models.remedies.base import Bench, Hooks, NoRemedy, RemedySpec
from gelo.models.remedies.distill import Distill
from gelo.models.remedies.ema import EMA
from gelo.models.remedies.ewc import EWC
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.memory import Memory
from gelo.models.remedies.registry import REMEDIES
from gelo.models.remedies.replay import Replay
from gelo.models.remedies.soup import Soup
from gelo.models.remedies.stack import Stack
from gelo.models.remedies.wise import Wise

if TYPE_CHECKING:
    Remedy = RemedySpec
else:
    Remedy = union((*REMEDIES, Stack))

__all__ = [
    "EMA", "EWC", "L2SP", "REMEDIES", "Bench", "Distill", "Hooks", "Memory", "NoRemedy", "Remedy", "RemedySpec", "Replay", "Soup", "Stack",
    "Wise",
]  # fmt: skip
