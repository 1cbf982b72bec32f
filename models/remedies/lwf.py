"""Learning without forgetting: what the untouched tower says of images goes on being said (arXiv 1606.09282)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Run, Step
    from gelo.models.training.stream import Stream


class LwF(OnReference):
    """strength * temperature^2 * cross-entropy of softmax(z / temperature) against softmax(z_0 / temperature), mean over images; z: CLIP's
    own logits of an image over the prompts of all classes of `reference` ("data set/split"), z_0: the untouched tower's. strength 1 and
    temperature 2 (arXiv 1606.09282; mmasana/FACIL: src/approach/lwf.py, which leaves out temperature^2).

    on: the task's images, as in the paper, or `batch` images of `reference` a step, which need no labels. The paper records z_0 once; here
    it is made of the image as it is augmented. The loss is not 0 at the start: its gradient is. Costs one more forward pass a step, without
    gradients; on reference images one with gradients too, and their share of the step.
    """

    kind: Literal["lwf"] = "lwf"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    on: Literal["task", "reference"] = "task"
    batch: int = Field(default=16, ge=1)

    @property
    def beside(self) -> int:
        """See RemedySpec."""
        return self.batch if self.on == "reference" else 0

    def hooks(self) -> Saying:
        """See RemedySpec."""
        return Saying(self)


class Saying(Hooks[LwF]):
    """Adds the loss `lwf`."""

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.text = run.sources["reference"].classifier(run.base)

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        return {"reference": run.stream("reference", self.spec.batch)} if self.spec.on == "reference" else {}

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        run = step.run
        if self.spec.on == "task":
            now, start = step.features, step.base_features
        else:
            pixels = step.batch.extra["reference"].pixels
            now, start = run.features(pixels), run.base_features(pixels)
        logits, before = (zero_shot(each, self.text, run.base.logit_scale) for each in (now, start))
        losses["lwf"] = self.spec.strength * softened(logits, before, self.spec.temperature)


def zero_shot(features: Tensor, text: Tensor, scale: float) -> Tensor:
    """(n, d), not normalised, and (d, K) of unit columns -> CLIP's logits (n, K)."""
    from torch.nn import functional as F

    return scale * F.normalize(features, dim=1) @ text


def softened(logits: Tensor, before: Tensor, temperature: float) -> Tensor:
    """(n, K) twice -> temperature^2 * mean over rows of - sum_k softmax(before / temperature)_k log softmax(logits / temperature)_k."""
    told, now = (before / temperature).softmax(1), (logits / temperature).log_softmax(1)
    return temperature**2 * -(told * now).sum(1).mean()
