"""ZSCL: on general images the tower goes on saying what it said, and its weights are averaged on the way (arXiv 2303.06628)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Hooks
from gelo.models.remedies.batchwise import whole_batches
from gelo.models.remedies.lwf import softened, zero_shot
from gelo.models.remedies.reference import OnReference
from gelo.models.remedies.trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.heads.base import HeadSpec
    from gelo.models.training.run import Run, Step
    from gelo.models.training.settings import Optimisation
    from gelo.models.training.stream import Stream


class ZSCL(OnReference):
    """strength * (D(z) + D(z^T)) + l2 * ||theta - theta_0||^2. z: CLIP's own logits of `batch` images of `reference` a step over the
    prompts of all its classes; D: temperature^2 * cross-entropy of softmax(z / temperature) against that of the untouched tower's z_0, mean
    over rows: those of z are images over texts, those of z^T texts over the images of the batch. temperature 2, both parts with weight 1
    (Thunderbeee/ZSCL: mtil/src/models/finetune.py). l2 is 1 in its script, there over both towers.

    What is kept is the mean of the weights at step 0, `every`, 2 `every`, ... (their code: the start, and the weights after step 1,
    `every` + 1, ...); `every` 0 keeps the last ones. The start is one of them: in a run of s steps it weighs 1 / (1 + s // every), and a
    run shorter than `every` is refused. The text tower stays as it is, where the paper trains both. Costs the share of `batch` in the
    step, and one forward pass of it without gradients.
    """

    kind: Literal["zscl"] = "zscl"
    strength: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    batch: int = Field(default=16, ge=1)
    every: int = Field(default=100, ge=0)
    l2: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    def clashes(self, head: HeadSpec, training: Optimisation, where: str = "remedy") -> list[Fault]:
        """See RemedySpec."""
        return whole_batches(where, self.kind, training)

    @property
    def replaces(self) -> bool:
        """See RemedySpec."""
        return self.every > 0

    def hooks(self) -> Ensemble:
        """See RemedySpec."""
        return Ensemble(self)


class Ensemble(Hooks[ZSCL]):
    """Adds the loss `zscl`; its state is the mean."""

    def __init__(self, spec: ZSCL) -> None:
        super().__init__(spec)
        self.mean = Trajectory(every=spec.every) if spec.every else None

    def prepare(self, run: Run) -> None:
        """Raises UserError for a run that is shorter than `every`."""
        steps = run.settings.epochs * run.steps_per_epoch
        if self.spec.every > steps:
            found = f"{self.spec.every}, in a run of {steps} steps: the start alone would be averaged"
            remedy = f"every: {max(1, steps // 10)}, or 0 to keep the last weights"
            raise UserError("training", Fault("remedy.zscl.every", found, f"at most {steps}", remedy))
        self.text = run.sources["reference"].classifier(run.base)
        if self.mean:
            self.mean.prepare(run)

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        return {"reference": run.stream("reference", self.spec.batch)}

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks; of all processes' images, as a text is told apart by all of them."""
        run, pixels = step.run, step.batch.extra["reference"].pixels
        logits, before = (
            run.world.gather(zero_shot(each, self.text, run.base.logit_scale))
            for each in (run.features(pixels), run.base_features(pixels))
        )
        by_image = softened(logits, before, self.spec.temperature)
        by_text = softened(logits.T, before.T, self.spec.temperature)
        total = self.spec.strength * (by_image + by_text)
        if self.spec.l2:
            total = total + self.spec.l2 * run.model.squared_distance()
        losses["zscl"] = total

    def updated(self, run: Run) -> None:
        """See Hooks."""
        if self.mean:
            self.mean.updated(run)

    def kept(self, run: Run) -> Mapping[str, Tensor] | None:
        """See Hooks."""
        return self.mean.kept() if self.mean else None

    def ended(self, run: Run) -> None:
        """See Hooks."""
        if self.mean:
            self.mean.ended(run)

    def state(self) -> dict[str, Tensor]:
        """See Hooks."""
        return self.mean.state() if self.mean else {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See Hooks."""
        if self.mean:
            self.mean.load(state)
