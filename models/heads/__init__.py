"""Heads on post-projection image features: one file each, specs in the union `HeadKind`, `head.Head` the one module of them all.

Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.heads.base import HeadSpec
from gelo.models.heads.binary import Binary
from gelo.models.heads.cosface import CosFace
from gelo.models.members import family

OWN = (CosFace, Binary)  # one line a head

if TYPE_CHECKING:
    HEADS: tuple[type[HeadSpec], ...]
    HeadKind = HeadSpec
else:
    __getattr__ = family(globals(), "gelo.heads", OWN, HeadSpec, ("HEADS", "HeadKind"))

__all__ = ["HEADS", "Binary", "CosFace", "HeadKind", "HeadSpec"]
