"""EWC: weights that matter to what the base says of general images move less (arXiv 1612.00796)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.adapt.base import Offer
from gelo.models.remedies.base import Hooks
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Run, Step


class EWC(OnReference):
    """strength / 2 * sum F (theta - theta_0)^2, F: the diagonal Fisher information of the base's zero-shot predictions on `images` images
    of `reference` ("data set/split"), one gradient an image, its label drawn from the base's own prediction: the definition, where code
    that squares the gradient of a batch underestimates it. F is not normalised, so `strength` is of its scale; 5,000 is mmasana/FACIL's.
    Its classes' texts are the base's: a text tower that trains too is not held.

    Costs `images` passes forward and back before the first step, and F in memory: as many numbers as the weights that can move.
    """

    needs: ClassVar[frozenset[Offer]] = frozenset({"deltas"})

    kind: Literal["ewc"] = "ewc"
    strength: float = Field(default=5000.0, ge=0, allow_inf_nan=False)
    images: int = Field(default=256, ge=1)

    def hooks(self) -> Consolidation:
        """See RemedySpec."""
        return Consolidation(self)


class Consolidation(Hooks[EWC]):
    """Adds the loss `ewc`."""

    def prepare(self, run: Run) -> None:
        """The Fisher information, at the start weights."""
        import numpy as np
        import torch
        from torch.nn import functional as F

        source, leaves = run.sources["reference"], run.model.leaves()
        text = source.classifier(run.base)
        rows = np.arange(len(source.labels))
        chosen = np.random.default_rng(run.seed).permutation(rows)[: self.spec.images]
        pixels = torch.from_numpy(source.take(chosen, None, slice(None))).to(run.world.device)
        trained = {name: leaf.requires_grad for name, leaf in leaves.items()}
        self.fisher = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        for leaf in leaves.values():
            leaf.requires_grad_(True)
        for image in run.base.transform.normalise(pixels).split(1):
            logits = run.base.logit_scale * F.normalize(run.features(image), dim=1) @ text
            label = torch.multinomial(logits.softmax(1), 1)[:, 0]
            gradients = torch.autograd.grad(F.cross_entropy(logits, label), list(leaves.values()), allow_unused=True)
            for name, gradient in zip(leaves, gradients, strict=True):
                if gradient is not None:
                    self.fisher[name] += gradient.square() / len(chosen)
        for name, leaf in leaves.items():
            leaf.requires_grad_(trained[name])

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        import torch

        total = torch.zeros((), device=step.features.device)
        for name, delta in step.run.model.deltas().items():
            total = total + (self.fisher[name] * delta.square()).sum()
        losses["ewc"] = self.spec.strength / 2 * total
