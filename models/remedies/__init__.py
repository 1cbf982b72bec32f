"""Remedies against forgetting: one file each, named in `registry`; `Remedy` is one of them or a `Stack` of several.

A loop treats all alike, through `Hooks` (while it trains) and `finish` (afterwards). Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gelo.models.remedies.base import Bench, Hooks, NoRemedy, RemedySpec
from gelo.models.remedies.counterfactual import Counterfactual
from gelo.models.remedies.distill import Distill
from gelo.models.remedies.ema import EMA
from gelo.models.remedies.ewc import EWC
from gelo.models.remedies.group_calibration import GroupCalibration
from gelo.models.remedies.hma import HMA
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.language_contrast import LanguageContrast
from gelo.models.remedies.lwf import LwF
from gelo.models.remedies.pmg import PMG
from gelo.models.remedies.replay import Replay
from gelo.models.remedies.retrieval import Retrieval
from gelo.models.remedies.selective_calibration import SelectiveCalibration
from gelo.models.remedies.soup import Soup
from gelo.models.remedies.supcon import SupCon
from gelo.models.remedies.wise import Wise
from gelo.models.remedies.zscl import ZSCL

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
    "EMA", "EWC", "HMA", "L2SP", "PMG", "REMEDIES", "ZSCL", "Bench", "Counterfactual", "Distill", "GroupCalibration", "Hooks",
    "LanguageContrast", "LwF", "NoRemedy", "Remedy", "RemedySpec", "Replay", "Retrieval", "SelectiveCalibration", "Soup", "Stack", "SupCon",
    "Wise",
]  # fmt: skip
