"""Calibrated task loss: images that are recognised already, and classes that are far off, pull less (after FSC-CLIP, arXiv 2410.05210)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.faults import Fault
from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.heads.base import HeadSpec
    from gelo.models.training.run import Step
    from gelo.models.training.settings import Optimisation


class SelectiveCalibration(RemedySpec):
    """In place of the task's loss: mean over images of - sum_k q_k (1 - p_k)^gamma log p_k, p: softmax of the head's logits without its
    margin, q: 1 - beta + beta / K for the true class of K and beta / K for each other (ytaek-oh/fsc-clip: src/training/losses/loss.py).

    selective: so many other classes of each image count, those of the highest logits, K = selective + 1; 0: all. There the others are
    sentences made to be hard, which a head has not: of the paper the calibration carries over, what is hard is gelo's own. A head of
    sigmoids (`binary`) has the same loss of each logit against none, K = 2, mean over both. gamma 0, beta 0 and selective 0 are plain
    cross-entropy, without the margin where the head has one. Costs nothing.
    """

    kind: Literal["selective_calibration"] = "selective_calibration"
    gamma: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    beta: float = Field(default=0.02, ge=0, lt=1)
    selective: int = Field(default=0, ge=0)

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        found = [
            Fault(where, f"{self.kind} of {fault.found}", fault.expected, fault.remedy)
            for fault in head.unscored(where)
        ]
        if self.selective and head.link == "sigmoid":
            said = f"selective {self.selective} with {head.kind}, whose logits are told apart one by one"
            found.append(Fault(where, said, "a head over classes", "selective: 0"))
        return found

    def hooks(self) -> Calibrated:
        """See RemedySpec."""
        return Calibrated(self)


class Calibrated(Hooks[SelectiveCalibration]):
    """Changes the loss `task`."""

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        spec, logits, labels = self.spec, step.logits, step.batch.labels
        if step.run.head.spec.link == "sigmoid":
            losses["task"] = of_sigmoids(logits, labels, spec.gamma, spec.beta)
            return
        if 0 < spec.selective < logits.shape[1] - 1:
            logits, labels = hardest(logits, labels, spec.selective)
        losses["task"] = of_classes(logits, labels, spec.gamma, spec.beta)


def hardest(logits: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(n, C), (n,) -> (n, count + 1): the true class, then the others of the highest logits; and its labels, 0 (n,)."""
    import torch

    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf).topk(count, dim=1).values
    return torch.cat([true, others], dim=1), torch.zeros_like(labels)


def of_classes(logits: Tensor, labels: Tensor, gamma: float, beta: float) -> Tensor:
    """(n, K), (n,) -> the mean, a scalar; at gamma 0 and beta 0 in the bits of torch's cross_entropy."""
    import torch
    from torch.nn import functional as F

    told = logits.log_softmax(1)
    if gamma:
        told = (-told.expm1()).clamp(min=torch.finfo(told.dtype).tiny).pow(gamma) * told
    true = F.nll_loss(told, labels)
    return (1 - beta) * true - beta * told.mean() if beta else true


def of_sigmoids(logits: Tensor, labels: Tensor, gamma: float, beta: float) -> Tensor:
    """(n, C), (n,) -> the mean over images and logits; at gamma 0 and beta 0 in the bits of torch's
    binary_cross_entropy_with_logits. With beta 0 it is the focal loss of arXiv 1708.02002."""
    from torch.nn import functional as F

    target = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    smooth = target * (1 - beta) + beta / 2
    if not gamma:
        return F.binary_cross_entropy_with_logits(logits, smooth if beta else target)
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    return -(smooth * (gamma * no).exp() * yes + (1 - smooth) * (gamma * yes).exp() * no).mean()
