"""PMG-AFT: training on adversarial images, led by what the untouched tower says of them (arXiv 2401.04350)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.remedies.base import Hooks
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.training.run import Run, Step
    from gelo.models.training.stream import Batch


class PMG(OnReference):
    """The task's loss on x_adv + weight * (KL(p_0(x_adv) || p(x_adv)) + KL(p(x) || p(x_adv))); p: the zero-shot probabilities over the
    classes of `reference`, by the base's text tower, p_0: those of the untouched tower. x_adv: x after `steps` steps of `step_size` along
    the sign of the pixels' gradient of the task's loss, from a uniform start, within epsilon, both in 1/255 of a pixel's range before
    normalising, and within that range. epsilon 0: x_adv is x, and the second divergence vanishes: `lwf` at temperature 1.

    serendipity1122/Pre-trained-Model-Guided-Fine-Tuning-for-Zero-Shot-Adversarial-Robustness, PMG_AFT.py: epsilon 1, 2 steps of 1, p(x)
    with gradients. There p is over the task's classes, which here are identities or attacks and have no prompts; there `reduction` is
    `sum` over the batch, so that a batch of 256 weighs the divergences 256-fold against the mean of its first term; `mean` leaves the
    balance alone when the batch changes. Only pixels get the attack's gradients. Costs `steps` passes forward and back, a forward pass of
    the base and a second one of the model; epsilon 0 the base's alone.
    """

    kind: Literal["pmg"] = "pmg"
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    epsilon: float = Field(default=1.0, ge=0, le=255)
    steps: int = Field(default=2, ge=1)
    step_size: float = Field(default=1.0, gt=0, le=255)
    reduction: Literal["mean", "sum"] = "mean"

    def hooks(self) -> Guided:
        """See RemedySpec."""
        return Guided(self)


class Guided(Hooks[PMG]):
    """Exchanges the pixels of a batch, and adds the loss `pmg`."""

    clean: Tensor  # the pixels of the micro-batch before the attack

    def prepare(self, run: Run) -> None:
        """See Hooks."""
        self.text = run.sources["reference"].classifier(run.base)

    def batch(self, run: Run, batch: Batch) -> Batch:
        """See Hooks."""
        self.clean = batch.pixels
        return replace(batch, pixels=attacked(run, batch, self.spec)) if self.spec.epsilon else batch

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        now, base = self._said(step.run, step.features), self._said(step.run, step.base_features)
        apart = _apart(base, now)
        if self.spec.epsilon:
            apart = apart + _apart(self._said(step.run, step.run.features(self.clean)), now)
        images = (
            step.run.settings.batch if self.spec.reduction == "sum" else 1
        )  # of all parts and processes, whose losses are averaged
        losses["pmg"] = self.spec.weight * images * apart

    def _said(self, run: Run, features: Tensor) -> Tensor:
        """(n, d) -> log p (n, K)."""
        from torch.nn import functional as F

        return (run.base.logit_scale * F.normalize(features, dim=1) @ self.text).log_softmax(1)


def _apart(one: Tensor, two: Tensor) -> Tensor:
    """KL(one || two) of log-probabilities (n, K), the mean over the images."""
    return (one.exp() * (one - two)).sum(1).mean()


def attacked(run: Run, batch: Batch, spec: PMG) -> Tensor:
    """x_adv (n, 3, H, W), normalised. The start of each image's attack is a function of (seed, step, its row), whatever the process."""
    import torch

    from gelo.models.pgd import perturbed

    transform, pixels = run.transform or run.base.transform, batch.pixels
    mean, std = (torch.tensor(each, device=pixels.device).view(3, 1, 1) for each in (transform.mean, transform.std))
    running = {name: buffer.clone() for name, buffer in run.head.named_buffers()}
    at = perturbed(
        lambda shares: run.head.loss(run.features((shares - mean) / std), batch.labels),
        pixels * std + mean,
        spec.epsilon / 255 * _noise(run, batch),
        epsilon=spec.epsilon / 255,
        step=spec.step_size / 255,
        steps=spec.steps,
    )
    for name, buffer in run.head.named_buffers():
        buffer.copy_(running[name])  # a head's running statistics are of what is trained on
    return (at - mean) / std


def _noise(run: Run, batch: Batch) -> Tensor:
    """Uniform in [-1, 1], as large as the pixels."""
    import torch

    drawn = torch.empty_like(batch.pixels)
    generator = torch.Generator(drawn.device)
    for place, row in enumerate(batch.rows.tolist()):
        text = f"{run.seed}/{run.step}/attack/{row}"
        generator.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)
        drawn[place].uniform_(-1, 1, generator=generator)
    return drawn
