"""gelo's remedies and those of other distributions: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.members import members, union
from gelo.models.remedies.base import NoRemedy, RemedySpec
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

OWN = (
    NoRemedy, Counterfactual, Distill, EMA, EWC, GroupCalibration, HMA, L2SP, LanguageContrast, LwF, PMG, Replay, Retrieval,
    SelectiveCalibration, Soup, SupCon, Wise, ZSCL,
)  # fmt: skip
REMEDIES = members("gelo.remedies", OWN, RemedySpec)

if TYPE_CHECKING:
    Single = RemedySpec
else:
    Single = union(REMEDIES)
