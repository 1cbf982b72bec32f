"""What losses have in common that compare the images of a batch with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gelo.models.faults import Fault

if TYPE_CHECKING:
    from gelo.models.training.settings import Optimisation


def whole_batches(where: str, kind: str, training: Optimisation) -> list[Fault]:
    """The fault of a batch that goes through in parts: images of two parts are never compared, so that it is another loss."""
    if training.accumulate == 1:
        return []
    found = f"{kind}, which compares the images of a batch, with accumulate {training.accumulate}"
    return [Fault(where, found, "batches in one part", "accumulate: 1; checkpointing saves memory too")]
