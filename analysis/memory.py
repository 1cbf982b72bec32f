"""What a training held in memory: as it was measured, else as far as it can be predicted from its description."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gelo.models.adapt import Adaptation
from gelo.models.backbones.geometry import geometry
from gelo.models.training.footprint import Plan, Where
from gelo.tasks.ledger.trial import Training


def memory_of(described: Mapping[str, Any], training: Mapping[str, Any], resources: Mapping[str, Any]) -> float | None:
    """Peak bytes of one process of a trial; None where nobody knows."""
    measured = training.get("peak_bytes")
    return float(measured) if isinstance(measured, int) else predicted(described, training, resources)


def predicted(described: Mapping[str, Any], training: Mapping[str, Any], resources: Mapping[str, Any]) -> float | None:
    """Peak bytes of one process of a trial, by its trial.json, training.json and the sweep's resources (`models.training.footprint`).

    None where the tower has no known size, and for a trial with a remedy: what that holds beside is in no prediction.
    """
    remedy, size = described.get("remedy"), geometry(str(described["backbone"]))
    if size is None or not training or not isinstance(remedy, Mapping) or remedy.get("kind") != "none":
        return None
    try:
        adaptation = _adaptations().validate_python(described["adaptation"])
        settings = Training.model_validate(described.get("training"))
    except ValidationError:
        return None
    head = described.get("head")
    sample = float(head.get("sample", 1.0)) if isinstance(head, Mapping) else 1.0
    classes = int(training.get("head_parameters") or 0) // size.dim
    where: Where = "cuda" if resources.get("gpus") else "cpu"
    ranks = min(training.get("ranks") or [1])  # of a training that went on with others, the fewest hold the most
    return Plan(size, adaptation, settings, classes, sample, where, ranks).footprint().peak


@cache
def _adaptations() -> TypeAdapter[Any]:
    """Made once: it takes longer than to read a trial."""
    return TypeAdapter[Any](Adaptation)
