"""Replay: labelled general images with every step, told apart by the base's own text prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gelo.models.training.run import Run, Step
    from gelo.models.training.stream import Stream


class Replay(OnReference):
    """strength * zero-shot cross-entropy on `batch` images of `reference` ("data set/split") a step: cosines to the prompts of its classes,
    times CLIP's own logit scale. Costs their share of the step."""

    kind: Literal["replay"] = "replay"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    batch: int = Field(default=16, ge=1)

    def hooks(self) -> Rehearsal:
        """See RemedySpec."""
        return Rehearsal(self)


class Rehearsal(Hooks[Replay]):
    """Adds the loss `replay`."""

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.text = run.sources["reference"].classifier(run.base)

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        return {"reference": run.stream("reference", self.spec.batch)}

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        from torch.nn import functional as F

        shown = step.batch.extra["reference"]
        features = F.normalize(step.run.features(shown.pixels), dim=1)
        logits = step.run.base.logit_scale * features @ self.text
        losses["replay"] = self.spec.strength * F.cross_entropy(logits, shown.labels)
