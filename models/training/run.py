"""`Run` and `Step`: all that a hook of a remedy may look at.

A step is a pure function of (seed, step): order, augmentation and every random number. So a checkpoint holds no generator, what one hook
draws never shifts what another sees, and a run goes on with another number of processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from gelo.models.adapt.adapted import Adapted
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.heads.head import Head
from gelo.models.training.inner import tapped
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Optimisation
from gelo.models.training.stream import Batch, Source, Stream
from gelo.models.training.world import World

Activations = tuple[Tensor, tuple[Tensor, ...]]  # features, and the activations inside


@dataclass
class Run:
    """One training run as its parts see it.

    base: untouched. sources: images that remedies asked for beside the task's, by their names for them. step: optimiser steps done.
    sums: of the running epoch; history: a row for each finished one. transform: what normalises the task's images, None for the base's own.
    task: those images as its tests show them, not augmented, for a remedy that `looks` at them before the first step. ranks: sizes of the
    world so far, in their order.
    """

    base: Encoder
    model: Adapted
    head: Head
    settings: Optimisation
    seed: int
    steps_per_epoch: int
    sources: Mapping[str, Source] = field(default_factory=dict)
    world: World = field(default_factory=World)
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    transform: Transform | None = None
    task: Source | None = None
    ranks: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ranks = [self.world.size]

    @property
    def steps(self) -> int:
        """Of the whole run, those of the head alone included."""
        return (self.settings.epochs + self.model.waits) * self.steps_per_epoch

    @property
    def scheduled(self) -> int:
        """The step as schedules count it; below 0 the head alone trains."""
        return self.step - self.model.waits * self.steps_per_epoch

    def row(self) -> dict[str, float]:
        """What is said of the epoch that `sums` are of; losses are means over its steps and over ranks."""
        steps, seconds = self.sums["steps"], self.sums["seconds"]
        names = [name for name in self.sums if name not in ("steps", "seconds")]
        sums = torch.tensor([self.sums[name] for name in names], dtype=torch.float64)
        means = [float(each) / steps for each in self.world.mean([sums.to(self.world.device)])[0]]
        return {
            "epoch": self.step // self.steps_per_epoch,
            "step": self.step,
            **{"loss" if name == "task" else f"loss_{name}": mean for name, mean in zip(names, means, strict=True)},
            "images_per_second": steps * self.settings.batch / max(seconds, 1e-9),
            "seconds": seconds,
        }

    def reseed(self, *purpose: object, alike: bool = False) -> None:
        """torch's generators become a function of (seed, step, rank, purpose). alike: without the rank, for work that must be the same on
        every rank."""
        text = "/".join(map(str, (self.seed, self.step, 0 if alike else self.world.rank, *purpose)))
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)

    def stream(self, source: str, batch: int) -> Stream:
        """Shuffled batches of another source behind the base's own transform, for a remedy that wants images beside the task's.

        Raises UserError where the source has fewer images than a batch.
        """
        chosen = self.sources[source]
        return Stream(chosen, Batches("shuffled", chosen.labels, self.seed, batch), self.seed, self.base.transform)

    def features(self, pixels: Tensor) -> Tensor:
        """float32 (n, d) of the model in training, with gradients, in the precision that was asked for."""
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            made: Tensor = self.model(pixels)
        return _at_least_single(made)

    def activations(self, pixels: Tensor) -> Activations:
        """`features`, and what the tower computed inside. Raises UserError for a tower without open_clip's transformer blocks."""
        with tapped(self.model.network) as inner:
            features = self.features(pixels)
        return features, tuple(map(_at_least_single, inner))

    def base_activations(self, pixels: Tensor) -> Activations:
        """The same of the untouched tower, without gradients."""
        with tapped(self.base.visual) as inner:
            features = self.base_features(pixels)
        return features, tuple(map(_at_least_single, inner))

    def base_features(self, pixels: Tensor) -> Tensor:
        """float32 (n, d) of the untouched tower, without gradients, in the same precision: at the start the same but for rounding."""
        with (
            torch.no_grad(),
            torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"),
        ):
            made: Tensor = self.base.visual(pixels)
        return _at_least_single(made)


@dataclass
class Step:
    """One micro-batch inside the loss. features: float32 (n, d) of the model on batch.pixels, with gradients.

    inner: where one of the hooks wants it (`Hooks.inner`), what the tower computed inside at `training.inner.depths`, with gradients:
    float32 (n, tokens, width) each; else ().
    """

    run: Run
    batch: Batch
    features: Tensor
    inner: tuple[Tensor, ...] = ()

    @property
    def base_features(self) -> Tensor:
        """(n, d) of the untouched tower on the same pixels, without gradients: made once, however many remedies ask."""
        return self._base[0]

    @property
    def base_inner(self) -> tuple[Tensor, ...]:
        """As `inner`, of the untouched tower, by the forward pass of `base_features`."""
        return self._base[1]

    @cached_property
    def logits(self) -> Tensor:
        """(n, C) of the head on `features`, without a margin, with gradients: see `Head.logits`. Where several processes share a run all of
        them ask, as the columns may lie on several."""
        return self.run.head.logits(self.features)

    @cached_property
    def _base(self) -> Activations:
        if self.inner:
            return self.run.base_activations(self.batch.pixels)
        return self.run.base_features(self.batch.pixels), ()


def _at_least_single(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside leaves torch's generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
