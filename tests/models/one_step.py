"""One step of a remedy on the tiny CLIP: what it adds to the losses, beside the images that it was shown."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.adapt import AdaptationSpec, adapt
from gelo.models.adapt.adapted import Adapted
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary, HeadSpec
from gelo.models.heads.head import Head
from gelo.models.remedies import RemedySpec
from gelo.models.training.run import Run, Step
from gelo.models.training.stream import Batch
from tests.models.toy_run import Noise, settings


def moved(encoder: Encoder, spec: AdaptationSpec, scale: float = 0.02) -> Adapted:
    """Away from the start, so that nothing is zero."""
    adapted = adapt(encoder.visual, spec, seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({k: v + scale * torch.randn(v.shape, generator=generator) for k, v in adapted.state().items()})
    return adapted


def losses_of(
    remedy: RemedySpec,
    encoder: Encoder,
    adapted: Adapted,
    pixels: NDArray[np.uint8],
    labels: list[int] | None = None,
    head: HeadSpec | None = None,
) -> tuple[dict[str, Tensor], Step]:
    """What the remedy makes of the task's loss, and the step; the images of its sources are in step.batch.extra."""
    size, classes = encoder.transform.size, max(labels or [1]) + 1
    sources = {name: Noise(1, size, encoder.dim, 4, place) for name, place in remedy.data().items()}
    made = Head(head or Binary(), encoder.dim, classes, 0).to(next(encoder.visual.parameters()).dtype)
    run = Run(encoder, adapted, made, settings(), 3, 3, sources)
    hooks = remedy.hooks()
    run.reseed("prepare", alike=True)
    hooks.prepare(run)
    shown = {name: stream.slices(0, run.world)[0] for name, stream in hooks.streams(run).items()}
    images = run.base.transform.normalise(torch.from_numpy(pixels))
    told = torch.tensor(labels or [0] * len(images))
    batch = Batch(Noise(0, size, encoder.dim), images, told, np.arange(len(images)), shown)
    features, inner = run.activations(images) if hooks.inner else (run.features(images), ())
    step = Step(run, batch, features, inner)
    losses = {"task": run.head.loss(features, told)}
    hooks.losses(step, losses)
    return losses, step


def features_of(encoder: Encoder, adapted: Adapted | None, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, d) by the encoder alone: of the merged tower, or of the untouched one."""
    chosen = encoder if adapted is None else encoder.with_visual(adapted.merged())
    return chosen.encode_images(pixels).astype(np.float64)


def shown(step: Step, source: str) -> NDArray[np.uint8]:
    """The images of a source that came with the step."""
    return np.asarray(step.run.sources[source].take(step.batch.extra[source].rows, None, slice(None)))


def unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis."""
    parts = np.exp(x - x.max(-1, keepdims=True))
    return parts / parts.sum(-1, keepdims=True)


def slope(
    remedy: RemedySpec, encoder: Encoder, spec: AdaptationSpec, pixels: NDArray[np.uint8], labels: list[int]
) -> float:
    """How far, relative to it, the gradient along a random direction of all that trains is from the difference of the loss: in float64."""
    double = in_double(encoder)
    adapted = moved(double, spec)
    losses, _ = losses_of(remedy, double, adapted, pixels, labels)
    added = sum(loss for name, loss in losses.items() if name != "task")
    assert isinstance(added, Tensor)
    moving = list(adapted.trainable().values())
    gradients = torch.autograd.grad(added, moving, allow_unused=True)
    ways = [torch.randn(p.shape, generator=torch.Generator().manual_seed(5), dtype=p.dtype) for p in moving]
    along = sum(float((g * way).sum()) for g, way in zip(gradients, ways, strict=True) if g is not None)
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, way in zip(moving, ways, strict=True):
                parameter.add_(sign * 1e-6 * way)
        losses, _ = losses_of(remedy, double, adapted, pixels, labels)
        ends.append(sum(float(loss.detach()) for name, loss in losses.items() if name != "task"))
        with torch.no_grad():
            for parameter, way in zip(moving, ways, strict=True):
                parameter.sub_(sign * 1e-6 * way)
    assert along, "a gradient that is zero says nothing"
    return abs((ends[0] - ends[1]) / 2e-6 / along - 1)


def in_double(encoder: Encoder) -> Encoder:
    """The same encoder in float64, fed with float32 images."""
    encoder.visual.double()
    encoder.visual.register_forward_pre_hook(lambda module, given: (given[0].double(),))
    return encoder
