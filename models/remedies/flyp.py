"""FLYP: images against the prompts of their classes, as CLIP was trained (arXiv 2212.00638; locuslab/FLYP: src/models/flyp_loss.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Hooks, RemedySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gelo.models.training.run import Run, Step
    from gelo.models.training.stream import Source

_CHUNK = 256  # texts of a tower that does not train which go through at once


class FLYP(RemedySpec):
    """weight * CLIP's symmetric contrastive loss between the images of a step and a prompt of each one's class, beside task_weight * the
    task's loss. Two images of one class count as each other's negatives, as in the source. The loss is over the step's images of all
    processes; with `accumulate` over those of one part, in which other images meet on another number of processes.

    The paper trains both towers (`towers: both` of the adaptation) and has no head: task_weight 0. The head is then that of the text tower
    at the end of training: a class's mean prompt, of a linear head times the logit scale with bias 0; of another kind it stays as it
    started. With `ema` in the same trial, name that one first. With `towers: vision` the base's texts are what images are drawn to.

    Prompts are the data set's own, one of its templates drawn for each image and step. Identities have no names: of such a set `prompt` is
    asked, {} the class's number. It is gelo's own and made up, as no paper has one. weight 0 is training without it.
    """

    texts: ClassVar[bool] = True

    kind: Literal["flyp"] = "flyp"
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    task_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False, validate_default=True)
    prompt: str = "a photo of person {}."

    @field_validator("task_weight")
    @classmethod
    def _something_trains(cls, value: float, info: ValidationInfo) -> float:
        if value == 0 and info.data.get("weight") == 0:
            raise ValueError("above 0 where weight is 0: no loss would be left")
        return value

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, value: str) -> str:
        if value.count("{}") != 1:
            raise ValueError("text with one {}, where the number goes")
        return value

    @property
    def label(self) -> str:
        """See RemedySpec; `prompt` where it is another."""
        own = "" if self.prompt == type(self).model_fields["prompt"].default else f", prompt={self.prompt}"
        return f"flyp(weight={self.weight}, task_weight={self.task_weight}{own})"

    def hooks(self) -> Contrast:
        """See RemedySpec."""
        return Contrast(self)


class Contrast(Hooks[FLYP]):
    """Adds the loss `flyp`; its prompts are read at the first step."""

    texts: Sequence[Sequence[str]] = ()  # K lists of T
    tokens: Tensor  # (K T, context length)
    frozen: Tensor | None = (
        None  # (K T, d): features of a text tower that does not train, chunk by chunk as they are asked for
    )
    made: Tensor  # of each chunk, whether it was

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        import torch
        from torch.nn import functional as F

        if self.spec.task_weight != 1:
            losses["task"] = self.spec.task_weight * losses["task"]
        if self.spec.weight == 0:  # nor are there gradients of zero, by which weight decay would move a text tower
            return
        run, batch = step.run, step.batch
        if not self.texts:
            self._read(run, batch.source)
        places = drawn(len(self.texts[0]), batch.rows, run.seed, run.step)
        asked = batch.labels * len(self.texts[0]) + torch.from_numpy(places).to(batch.labels.device)
        texts = F.normalize(self._features(run, asked), dim=1).to(step.features.dtype)
        images = F.normalize(step.features, dim=1)
        losses["flyp"] = self.spec.weight * contrastive(
            run.world.gather(images), run.world.gather(texts), run.logit_scale.to(images.dtype)
        )

    def ended(self, run: Run) -> None:
        """The head, where the task's loss has not trained it."""
        if self.spec.task_weight or not self.texts:
            return
        import torch

        kept, text = run.head.whole(), run.classifier(self.texts)
        made = {"kernel": text, "weight": float(run.logit_scale.detach()) * text.T, "bias": torch.zeros(text.shape[1])}
        head = {name: made[name].to(tensor) if name in made else tensor for name, tensor in kept.items()}
        run.head.load(head)

    def _read(self, run: Run, source: Source) -> None:
        """The prompts of the task's classes. Raises UserError for classes without one, and for prompts that the tokenizer makes equal."""
        import torch

        count = int(source.labels.max()) + 1
        own = source.prompts()
        texts = own[:count] if own else [[self.spec.prompt.replace("{}", str(number))] for number in range(count)]
        if len(texts) < count:
            raise UserError("flyp", Fault(source.name, f"{len(texts)} class names", f"one for each of {count} classes"))
        tokens = run.base.tokenizer([text for of_class in texts for text in of_class])
        for place in range(len(texts[0])):
            kinds = len(torch.unique(tokens[place :: len(texts[0])], dim=0))
            if kinds < count:
                found = f"{count - kinds} of {count} classes become the tokens of another: {texts[-1][place]!r}, ..."
                remedy = "give the data set prompts (gelo prepare --prompts), or flyp another `prompt`"
                raise UserError("flyp", Fault(source.name, found, "a text of its own for each class", remedy))
        self.texts, self.tokens = texts, tokens.to(run.world.device)

    def _features(self, run: Run, asked: Tensor) -> Tensor:
        """(n, d) of the texts with these numbers, each text once through the tower."""
        import torch

        numbers, back = asked.unique(return_inverse=True)
        if run.model.text is not None:
            return run.text_features(self.tokens[numbers])[back]
        chunks = self.tokens.split(_CHUNK)
        if self.frozen is None:
            self.frozen = torch.zeros(len(self.tokens), run.base.dim, device=self.tokens.device)
            self.made = torch.zeros(len(chunks), dtype=torch.bool)
        for chunk in (numbers // _CHUNK).unique().tolist():  # whole ones: no bit depends on which step asked first
            if not self.made[chunk]:
                features = run.text_features(chunks[chunk])
                self.frozen[chunk * _CHUNK : chunk * _CHUNK + len(features)] = features
                self.made[chunk] = True
        return self.frozen[asked]


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """(N, d) unit images, (N, d) unit texts, image i with text i -> scalar: mean of the cross-entropies of each image over the texts and of
    each text over the images, of logits scale * cosine."""
    import torch
    from torch.nn import functional as F

    logits = scale * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def drawn(templates: int, rows: NDArray[np.integer], seed: int, step: int) -> NDArray[np.int64]:
    """A template for each image (n,): a function of seed, step and record, whatever the number of processes."""
    import numpy as np

    if templates == 1:
        return np.zeros(len(rows), np.int64)
    return np.array([np.random.default_rng([seed, step, row]).integers(templates) for row in rows.tolist()])
