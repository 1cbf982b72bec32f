"""A training run of the tiny CLIP on noise, in one process or several: what the loop and the remedies are tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gelo.models.adapt import AdaptationSpec, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.distance import distance
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary, HeadSpec
from gelo.models.heads.head import Head, make_head
from gelo.models.remedies import NoRemedy, RemedySpec
from gelo.models.tower import Tower
from gelo.models.training import loop
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Optimisation
from gelo.models.training.steep import Encode
from gelo.models.training.stream import Stream
from gelo.models.training.watch import Seen, Watch
from gelo.models.training.world import World

IMAGES, BATCH, EPOCHS = 28, 8, 2
STEPS = EPOCHS * (IMAGES // BATCH)


@dataclass
class Noise:
    """A Source of random images of `classes` classes; those of class 1 are brighter. Augmented, they are mirrored."""

    seed: int
    side: int
    dim: int
    classes: int = 2
    name: str = "noise/train"
    labels: Any = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.labels = np.arange(IMAGES) % self.classes
        pixels = rng.integers(0, 160, (IMAGES, self.side, self.side, 3)) + 60 * (self.labels == 1)[:, None, None, None]
        self.pixels = pixels.astype(np.uint8)
        self.fingerprint = f"noise {self.seed}"

    def take(self, rows: Any, draws: np.random.Generator | None = None, own: slice = slice(None)) -> Any:
        chosen = self.pixels[rows[own]]
        mirrored = draws.random(len(rows))[own] < 0.5 if draws is not None else np.zeros(len(chosen), bool)
        return np.where(mirrored[:, None, None, None], chosen[:, :, ::-1], chosen)

    def column(self, name: str) -> Any:
        return np.array([f"{name} {label}" for label in self.labels], object)

    def prompts(self) -> list[list[str]]:
        words = ("the cat", "the dog", "a cat", "a dog")[: self.classes] if self.classes <= 4 else ()
        return [[word, f"the {word}"] for word in words]

    def classifier(self, base: Encoder) -> Tensor:
        torch.manual_seed(self.seed)
        drawn = torch.nn.functional.normalize(torch.randn(self.dim, self.classes), dim=0)
        return drawn.to(next(base.visual.parameters()))


@dataclass(frozen=True)
class Ended:
    """A run that was left: whether it reached its end, and what it is then."""

    finished: bool
    run: Run
    model: Adapted
    head: Head

    def tensors(self) -> dict[str, Tensor]:
        """All that trained, and the head; every process calls it."""
        return {**self.model.state(), **{f"head.{name}": tensor for name, tensor in self.head.whole().items()}}


def settings(**changes: Any) -> Optimisation:
    plain = {
        "epochs": EPOCHS, "batch": BATCH, "lr_backbone": 1e-3, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0, "schedule": "cosine",
        "warmup_epochs": 1, "sampler": "shuffled",
    }  # fmt: skip
    return Optimisation.model_validate(plain | changes)


def watching(encoder: Encoder, points: int = 3) -> Watch:
    """Looks at how far the weights went: `validation` falls from 1, `test` is of noise told by its prompts, `task` of the head's length."""
    shown = Noise(5, encoder.transform.size, encoder.dim, classes=4, name="general/test")
    start = encoder.visual_state()

    def measure(tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        network = tower.encoder(encoder).visual
        features = network(encoder.transform.normalise(torch.from_numpy(shown.pixels).to(encoder.device)))
        right = ((features @ shown.classifier(encoder)).argmax(1).cpu().numpy() == shown.labels).astype(np.uint8)
        far = (
            sum(float((tensor - start[name]).double().square().sum()) for name, tensor in tower.weights.items()) ** 0.5
        )
        length = sum(float(tensor.double().square().sum()) for tensor in head.values()) ** 0.5
        torch.rand(3)  # what a measure draws is its own
        return Seen(length / (1 + length), 1 / (1 + far), float(right.mean()), {"noise": float(right.mean())}, right)

    return Watch(measure, points, "noise", headed=True)


def pulling(encoder: Encoder, points: int = 3) -> Watch:
    """As `watching`, which also looks at how far the weights went, and at how steep a loss on noise is."""
    plain, shown = watching(encoder, points), Noise(6, encoder.transform.size, encoder.dim, classes=4)

    def measure(tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        return replace(plain.measure(tower, head), drift={"distance": distance(tower, encoder).whole})

    def losses(encode: Encode, which: slice) -> Tensor:
        pixels, labels = (torch.from_numpy(each[which]).to(encoder.device) for each in (shown.pixels, shown.labels))
        features = F.normalize(encode(encoder.transform.normalise(pixels)), dim=1)
        return F.cross_entropy(10 * features @ shown.classifier(encoder), labels, reduction="none")

    return replace(plain, measure=measure, loss=losses)


def go(
    encoder: Encoder,
    adaptation: AdaptationSpec,
    folder: Path,
    remedy: RemedySpec | None = None,
    *,
    head: HeadSpec | None = None,
    classes: int = 2,
    world: World | None = None,
    stop_after: int | None = None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
    watch: Watch | None = None,
    judge: Callable[[Sequence[Mapping[str, Any]], int], bool] = lambda points, steps: False,
    data: str = "one",
    **changes: Any,
) -> Ended:
    """Train from the last checkpoint below `folder`, at most `stop_after` steps."""
    chosen, optimisation, world = remedy or NoRemedy(), settings(**changes), world or World(device=encoder.device)
    side, dim = encoder.transform.size, encoder.dim
    source = Noise(0, side, dim, classes)
    model = adapt(encoder.visual, adaptation, 3, encoder.text).to(encoder.device)
    made = make_head(head or Binary(), dim, classes, 3, world).to(next(encoder.visual.parameters()))
    batches = Batches("shuffled", source.labels, 3, BATCH)
    sources = {name: Noise(1, side, dim, classes=4, name=place) for name, place in chosen.data().items()}
    run = Run(encoder, model, made, optimisation, 3, batches.steps, sources, world, task=source)
    left = [stop_after if stop_after is not None else run.steps + 1]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] <= 0

    keeper = Keeper(folder, {"data": data, "weights": encoder.vision_fingerprint})
    stream = Stream(source, batches, 3, encoder.transform, augmented=True)
    seen = watch or (watching(encoder) if chosen.watching else Watch())
    finished = loop.train(
        run, chosen.hooks(), stream, keeper, watch=seen, should_stop=should_stop, report=report, judge=judge
    )
    return Ended(finished, run, model, made)
