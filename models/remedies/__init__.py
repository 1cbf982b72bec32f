"""Remedies against forgetting: one file each. Importing this imports no torch.

A loop treats all of them alike: `remedy = spec.start(base, adapted)` before training, `remedy.penalty(step)` added to
the loss of each step, `spec.merge(theta_0, theta_1)` on the visual weights afterwards. A remedy that has no part in a
phase leaves it as it is.
"""

from __future__ import annotations

from typing import Annotated

from gelo.models.remedies.base import NoRemedy, RemedySpec, Step
from gelo.models.remedies.l2sp import L2SP
from gelo.models.remedies.wise import Wise
from pydantic import Field

__all__ = ["L2SP", "NoRemedy", "Remedy", "RemedySpec", "Step", "Wise"]

Remedy = Annotated[NoRemedy | L2SP | Wise, Field(discriminator="kind")]
