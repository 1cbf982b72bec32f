"""Heads on post-projection image features: one file each, specs in the union `HeadKind`, `head.Head` the one module of them all.

Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.heads.base import HeadSpec
from gelo.models.heads.binary import Binary
from gelo.models.heads.cosface import CosFace
from gelo.models.members import members, union

HEADS = members("gelo.heads", (CosFace, Binary), HeadSpec)

if TYPE_CHECKING:
    HeadKind = HeadSpec
else:
    HeadKind = union(HEADS)

__all__ = ["HEADS", "Binary", "CosFace", "HeadKind", "HeadSpec"]
