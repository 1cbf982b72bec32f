"""Heads on post-projection image features: one file each, specs in the union `HeadKind`, `head.Head` the module of
them all, `classes.ClassHead` that of very many classes.

Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.heads.adaface import AdaFace
from gelo.models.heads.arcface import ArcFace
from gelo.models.heads.base import HeadSpec
from gelo.models.heads.binary import Binary
from gelo.models.heads.cosface import CosFace
from gelo.models.heads.softmax import Softmax
from gelo.models.members import family

OWN = (CosFace, ArcFace, AdaFace, Softmax, Binary)  # one line a head

if TYPE_CHECKING:
    HEADS: tuple[type[HeadSpec], ...]
    HeadKind = HeadSpec
else:
    __getattr__ = family(globals(), "gelo.heads", OWN, HeadSpec, ("HEADS", "HeadKind"))

__all__ = ["HEADS", "AdaFace", "ArcFace", "Binary", "CosFace", "HeadKind", "HeadSpec", "Softmax"]
