"""SupCon beside the task's loss: images of one class draw together, all others apart (arXiv 2004.11362; as a hybrid 2512.12824)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Hooks, RemedySpec
from gelo.models.remedies.batchwise import whole_batches

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.heads.base import HeadSpec
    from gelo.models.training.run import Step
    from gelo.models.training.settings import Optimisation


class SupCon(RemedySpec):
    """Adds strength * mean over the whole batch of -1 / |P_i| sum_{p in P_i} log(exp(f_i f_p / temperature) / sum_{a != i} exp(f_i f_a /
    temperature)); f of unit length, P_i: the other images of i's class. An image without another counts 0, in the mean too.

    temperature 0.1 and strength 1, one view an image, are those of arXiv 2512.12824 (the first author's course repository); 0.07 and two
    views those of arXiv 2004.11362 (HobbitLong/SupContrast: losses.py). What draws together depends on who is in a batch: with many classes
    take the sampler `identity_balanced`. Costs a product of the batch with itself.
    """

    kind: Literal["supcon"] = "supcon"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=0.1, gt=0, allow_inf_nan=False)

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        found = whole_batches(where, self.kind, training)
        if training.batch < 2:
            found.append(Fault(where, f"supcon with batches of {training.batch}", "two images of a class in a batch"))
        elif training.sampler == "identity_balanced" and getattr(training, "per_identity", 2) < 2:
            said, wanted = "supcon with one image of each identity in a batch", "two of a class in a batch"
            found.append(Fault(where, said, wanted, "per_identity: 4"))
        return found

    def hooks(self) -> Drawing:
        """See RemedySpec."""
        return Drawing(self)


class Drawing(Hooks[SupCon]):
    """Adds the loss `supcon`."""

    asked = False

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks. Raises UserError where no two images of the task are of one class."""
        import torch
        from torch.nn import functional as F

        if not self.asked:
            _pairs(step)
            self.asked = True
        world = step.run.world
        features = world.gather(F.normalize(step.features, dim=1))
        labels = world.gather(step.batch.labels)
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        same = (labels[:, None] == labels) & ~itself
        likely = (features @ features.T / self.spec.temperature).masked_fill(itself, -torch.inf).log_softmax(1)
        each = likely.masked_fill(~same, 0.0).sum(1) / same.sum(1).clamp(min=1)
        losses["supcon"] = self.spec.strength * -each.mean()


def _pairs(step: Step) -> None:
    import numpy as np

    labels = step.batch.source.labels
    if len(np.unique(labels)) == len(labels) and step.run.settings.sampler == "shuffled":
        found, remedy = f"{len(labels)} images of as many classes", "a set with several images of a class"
        raise UserError("training", Fault(step.batch.source.name, found, "two images of a class for supcon", remedy))
