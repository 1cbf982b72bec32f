"""Contrast of classes and away from words for what is beside the point (after arXiv 2304.03916, on spurious correlations)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from gelo.models.faults import Fault
from gelo.models.remedies.base import Hooks, RemedySpec
from gelo.models.remedies.batchwise import whole_batches

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.heads.base import HeadSpec
    from gelo.models.training.run import Run, Step
    from gelo.models.training.settings import Optimisation

PROMPTS = (
    "a photo taken with a phone.",
    "a blurry photo.",
    "a dark photo.",
    "a bright photo.",
    "a low resolution photo.",
    "a photo with a cluttered background.",
)


class LanguageContrast(RemedySpec):
    """Adds strength * mean over the whole batch of 1 / N (sum of cosines to images of other classes - sum of cosines to those of its own,
    itself among them), N images in the batch; and nuisance * mean over images and `prompts` of |cos(f, t)|, t: the base's embedding of a
    prompt (YuYang0901/CLIP-spurious-finetune: losses.py, image in-modal and cross-modal spurious; the second has weight 0 in its runs).

    prompts: texts of what must not matter for the task; the ones given here are gelo's own. What tells the task's classes apart is no
    nuisance: "a printed photo" would undo a detector of prints. The paper's contrast of class prompts is the head's matter here, and its
    losses between texts are constant where the text tower stays as it is: both are left out. Its aim is the worst group's accuracy. Costs a
    product of the batch with itself.
    """

    kind: Literal["language_contrast"] = "language_contrast"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    nuisance: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    prompts: tuple[str, ...] = Field(default=PROMPTS, min_length=1)

    @field_validator("prompts")
    @classmethod
    def _texts_each_once(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.strip() for text in prompts) or len(set(prompts)) < len(prompts):
            raise ValueError("texts that are not empty, each once")
        return prompts

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        return whole_batches(where, self.kind, training)

    def hooks(self) -> Contrast:
        """See RemedySpec."""
        return Contrast(self)


class Contrast(Hooks[LanguageContrast]):
    """Adds the loss `language_contrast`."""

    def prepare(self, run: Run) -> None:
        """Encodes the prompts. Raises UserError where the base has no texts."""
        import torch
        from torch.nn import functional as F

        texts = torch.from_numpy(run.base.encode_texts(self.spec.prompts)).to(run.world.device)
        self.texts = F.normalize(texts, dim=1)

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        from torch.nn import functional as F

        world, unit = step.run.world, F.normalize(step.features, dim=1)
        features, labels = world.gather(unit), world.gather(step.batch.labels)
        cosines, same = features @ features.T, labels[:, None] == labels
        apart = cosines.where(~same, -cosines).mean()
        beside = (unit @ self.texts.T.to(unit.dtype)).abs().mean()
        losses["language_contrast"] = self.spec.strength * apart + self.spec.nuisance * beside
