"""Counterfactual images, after SS-CA (arXiv 2511.12100): what a class is recognised by is painted over, and the label stays."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from gelo.models.faults import Fault, UserError
from gelo.models.remedies.base import Hooks
from gelo.models.remedies.reference import OnReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gelo.models.encoder import Encoder
    from gelo.models.training.run import Run, Step
    from gelo.models.training.stream import Stream

_SEEN = 2000  # training images that class means are made of, at most
_AT_ONCE = 64  # images in a forward pass


class Counterfactual(OnReference):
    """weight * the task's loss on `batch` edited images a step, with their own labels. An edited image is a training image in which the
    smallest set of regions is replaced that the untouched tower needs: of a grid of `grid` x `grid`, greedily the one without which the
    chance of its class falls most, until another class is nearest, `most` regions at most. The chance: softmax of the logit scale times
    the cosines to the mean features of the classes, the image itself left out of its own. `images` are edited, drawn from the seed among
    those that are recognised so and then no more. A region is replaced by the same region of an image of `reference`.

    After SS-CA, of which the abstract alone could be read: regions, fill, weight and numbers are ours; its parent LIMA
    (RuoyuChen10/LIMA) has superpixels and a greedy walk. It aims at shortcuts, not at forgetting. Of two classes, attack 0 and bona fide 1,
    bona fide images alone are edited: what marks an attack may be the trace of the attack itself. Costs up to grid^2 * most passes of the
    base for each edited image once, and the share of `batch` of each step.
    """

    looks: ClassVar[bool] = True

    kind: Literal["counterfactual"] = "counterfactual"
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    batch: int = Field(default=16, ge=1)
    images: int = Field(default=64, ge=1)
    grid: int = Field(default=4, ge=2)
    most: int = Field(default=6, ge=1)

    def hooks(self) -> Edits:
        """See RemedySpec."""
        return Edits(self)


@dataclass
class Edited:
    """A Source of images that are in memory."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.integer]
    rows: NDArray[np.integer]  # of the task's images
    name: str = "counterfactual"
    fingerprint: str = ""
    regions: list[int] = field(default_factory=list)  # replaced in each

    def take(self, rows: NDArray[np.integer], draws: np.random.Generator | None, own: slice) -> NDArray[np.uint8]:
        """See Source."""
        return self.pixels[rows[own]]

    def column(self, name: str) -> NDArray[np.object_]:
        """See Source; there is none."""
        raise KeyError(name)

    def classifier(self, base: Encoder) -> Tensor:
        """See Source; there is none."""
        raise UserError(self.name, Fault(self.name, "images of a task", "classes that can be asked"))


class Edits(Hooks[Counterfactual]):
    """Adds the loss `counterfactual`."""

    edited: Edited

    def prepare(self, run: Run) -> None:
        """The edited images. Raises UserError for a head that sees a part of the classes, and where too few images can be edited."""
        if not self.spec.weight:
            return
        if getattr(run.head.spec, "sample", 1) < 1:
            found, expected = "a head that sees a part of the classes a step", "sample: 1, or another remedy"
            raise UserError("counterfactual", Fault("head.sample", found, expected))
        self.edited = edited(run, self.spec)
        if len(self.edited.labels) < self.spec.batch:
            found = f"{len(self.edited.labels)} images whose class can be painted over"
            allowed = f"at least {self.spec.batch}, the batch of counterfactual"
            raise UserError("counterfactual", Fault("the task's images", found, allowed, "lower batch, or raise most"))

    def streams(self, run: Run) -> Mapping[str, Stream]:
        """See Hooks."""
        from gelo.models.training.sampling import Batches
        from gelo.models.training.stream import Stream

        if not self.spec.weight:
            return {}
        order = Batches("shuffled", self.edited.labels, run.seed, self.spec.batch)
        return {"counterfactual": Stream(self.edited, order, run.seed, run.transform or run.base.transform)}

    def losses(self, step: Step, losses: dict[str, Tensor]) -> None:
        """See Hooks."""
        if not self.spec.weight:
            losses["counterfactual"] = step.features.new_zeros(())
            return
        shown = step.batch.extra["counterfactual"]
        losses["counterfactual"] = self.spec.weight * step.run.head.loss(step.run.features(shown.pixels), shown.labels)


def edited(run: Run, spec: Counterfactual) -> Edited:
    """See Counterfactual; the same on every rank. Raises ValueError where the run does not know the task's images."""
    import numpy as np

    task, general, draws = run.task, run.sources["reference"], np.random.default_rng([run.seed, 4])
    if task is None:
        raise ValueError("counterfactual edits the task's images: the run has to know them")
    shown = (run.transform or run.base.transform).model_copy(update={"size": run.base.transform.size})
    encoder = run.base.with_transform(shown)
    seen = draws.permutation(len(task.labels))[:_SEEN]
    labels, fills = np.asarray(task.labels[seen], np.int64), draws.integers(0, len(general.labels), len(seen))
    features = _features(
        encoder, [task.take(seen[s : s + _AT_ONCE], None, slice(None)) for s in range(0, len(seen), _AT_ONCE)]
    )
    known = _Known(features, labels, encoder.logit_scale)
    wanted = np.flatnonzero((labels == 1) | (labels.max() > 1))
    regions = _regions(shown.size, spec.grid)
    found: list[tuple[int, NDArray[np.uint8], int]] = []
    for place in filter(known.right, wanted.tolist()):
        if len(found) == spec.images:
            break
        image = task.take(seen[[place]], None, slice(None))[0]
        fill = general.take(fills[[place]], None, slice(None))[0]
        fill = fill if shown.channels == run.base.transform.channels else fill[..., ::-1]
        mask = np.zeros(image.shape[:2], bool)
        for count in range(1, spec.most + 1):
            open_ = [region for region in regions if not mask[region].any()]
            tried = np.repeat(mask[None], len(open_), axis=0)
            for each, region in zip(tried, open_, strict=True):
                each[region] = True
            made = np.where(tried[..., None], fill, image)
            logs = known.said(_features(encoder, np.array_split(made, -(-len(made) // _AT_ONCE))), place)
            best = int(logs[:, known.column(place)].argmin())
            mask = tried[best]
            if int(logs[best].argmax()) != known.column(place):
                found.append((place, made[best], count))
                break
            if len(open_) == 1:
                break
    places = np.array([place for place, _, _ in found], np.int64)
    pixels = np.stack([image for _, image, _ in found]) if found else np.zeros((0, shown.size, shown.size, 3), np.uint8)
    return Edited(pixels, labels[places], seen[places], regions=[count for *_, count in found])


class _Known:
    """Classes as the means of features of unit length; of the image that is asked about, its own is left out."""

    def __init__(self, features: NDArray[np.float64], labels: NDArray[np.int64], scale: float) -> None:
        import numpy as np

        self.features, self.scale = features, scale
        classes, self.of, self.counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.sums = np.zeros((len(classes), features.shape[1]))
        np.add.at(self.sums, self.of, features)
        self.means = _unit(self.sums)

    def column(self, place: int) -> int:
        """That of the image's own class."""
        return int(self.of[place])

    def said(self, features: NDArray[np.float64], place: int) -> NDArray[np.float64]:
        """(n, d) of unit length, versions of the image -> log chances (n, C)."""
        from scipy.special import log_softmax

        cosines = features @ self.means.T
        cosines[:, self.of[place]] = features @ _unit(self.sums[self.of[place]] - self.features[place])
        logs: NDArray[np.float64] = log_softmax(self.scale * cosines, axis=1)
        return logs

    def right(self, place: int) -> bool:
        """Whether the image is recognised; not where its class has no other."""
        alone = self.counts[self.of[place]] == 1
        return not alone and int(self.said(self.features[[place]], place).argmax()) == self.of[place]


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    made: NDArray[np.float64] = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return made


def _features(encoder: Encoder, parts: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """(n, d) of unit length."""
    import numpy as np

    return _unit(np.concatenate([encoder.encode_images(part) for part in parts]).astype(np.float64))


def _regions(size: int, grid: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each cell."""
    edges = [round(size * n / grid) for n in range(grid + 1)]
    spans = [slice(one, two) for one, two in itertools.pairwise(edges)]
    return [(down, across) for down in spans for across in spans]
