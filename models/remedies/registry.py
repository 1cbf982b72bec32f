"""gelo's remedies and those of other distributions: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.members import members, union
from gelo.models.remedies.base import NoRemedy, RemedySpec
from gelo.models.remedies.budget import Budget
from gelo.models.remedies.distill import Distill
from gelo.models.remedies.ema import EMA
from gelo.models.remedies.ewc import EWC
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.memory import Memory
from gelo.models.remedies.replay import Replay
from gelo.models.remedies.soup import Soup
from gelo.models.remedies.wise import Wise

OWN = (NoRemedy, Budget, Distill, EMA, EWC, L2SP, Memory, Replay, Soup, Wise)
REMEDIES = members("gelo.remedies", OWN, RemedySpec)

if TYPE_CHECKING:
    Single = RemedySpec
else:
    Single = union(REMEDIES)
