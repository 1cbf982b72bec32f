"""`Looking`: a tower -> what it is worth now, on general sets by their text prompts and on the task by its own validation metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.models.heads import HeadSpec
from gelo.models.tower import Tower
from gelo.models.training.steep import Encode
from gelo.models.training.watch import Seen
from gelo.tasks.data.asking import named_prompts
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.tokens import ask, asked
from gelo.tasks.ledger.watched import CHOSEN
from gelo.tasks.metrics.scores import UndefinedMetric
from gelo.tasks.protocols import zeroshot
from gelo.tasks.protocols.inputs import normalised
from gelo.tasks.training.base import Validation
from gelo.tasks.training.drifting import Drifting, Taken, taken
from gelo.tasks.training.generalloss import zero_shot_losses
from gelo.tasks.training.shown import Shown, digest, features, order, shown


@dataclass(frozen=True)
class General:
    """One general set: its text prompts as the base has them (d, K), its test images, its validation images (None where it has test images
    alone), and the texts of each class."""

    classifier: NDArray[np.float64]
    test: Shown
    validation: Shown | None
    prompts: Sequence[Sequence[str]] = ()

    def asked(self, encoder: Encoder, base: Encoder) -> NDArray[np.float64]:
        """`classifier` by the encoder's own text tower, where that has been trained."""
        if encoder.text is base.text:
            return self.classifier
        return zeroshot.classifier([encoder.encode_texts(texts) for texts in self.prompts])

    def parts(self) -> list[Shown]:
        """Test first."""
        return [self.test, *([self.validation] if self.validation is not None else [])]


@dataclass(frozen=True)
class Own:
    """The task's validation images behind `transform`, its metric, and the head that it is trained with."""

    shown: Shown
    transform: Transform
    validation: Validation
    head: HeadSpec

    def score(self, encoder: Encoder, head: Mapping[str, Tensor]) -> float:
        """head: tensors of one in training, or as a trial kept them. Raises UndefinedMetric."""
        detector = None
        if self.validation.detector:
            try:
                detector = self.head.detector({name: each.detach().cpu().numpy() for name, each in head.items()})
            except KeyError:
                raise UndefinedMetric(f"a head {self.head.kind} has no logits of two classes") from None
        found = features(encoder.with_transform(self.transform), self.shown.pixels)
        if found is None:
            raise UndefinedMetric("features that are not finite, or zero")
        return self.validation.score(found, self.shown.labels, detector)


class Looking:
    """What `Watch.measure` calls. A number that is undefined is None, such as all of a tower whose weights are no longer finite."""

    def __init__(self, base: Encoder, sets: Mapping[str, General], own: Own | None) -> None:
        """sets: by name."""
        self.base, self.own, self.sets = base, own, dict(sorted(sets.items()))
        parts = [part for each in self.sets.values() for part in each.parts()]
        self.pixels = np.concatenate([part.pixels for part in parts]) if parts else None
        self.drifting = Drifting(base, self.pixels, self._rows())

    def __call__(self, tower: Tower, head: Mapping[str, Tensor]) -> Seen:
        """See Watch."""
        encoder = tower.encoder(self.base)
        task = None
        if self.own is not None:
            try:
                task = self.own.score(encoder, head)
            except UndefinedMetric:
                task = None
        if self.pixels is None:
            return Seen(task, drift=self.drifting.look(tower, Taken(None)))
        made, start = taken(encoder, self.pixels), 0
        found, drift = made.features, self.drifting.look(tower, made)
        right: dict[str, dict[str, NDArray[np.bool_]]] = {"test": {}, "validation": {}}
        for name, each in self.sets.items():
            classifier = each.asked(encoder, self.base)
            for kind, part in zip(("test", "validation"), each.parts(), strict=False):
                count = len(part.labels)
                told = np.full(count, -1) if found is None else nearest(found[start : start + count], classifier)
                right[kind][name] = told == part.labels
                start += count
        correct = np.concatenate(list(right["test"].values())).astype(np.uint8)
        if found is None:
            return Seen(task, correct=correct, drift=drift)
        shares = {kind: {name: float(each.mean()) for name, each in of.items()} for kind, of in right.items()}
        means = {kind: sum(of.values()) / len(of) if of else None for kind, of in shares.items()}
        return Seen(task, means["validation"], means["test"], shares["test"], correct, drift)

    def losses(self, encode: Encode, which: slice) -> Tensor:
        """See `zero_shot_losses`; of the sets' validation images."""
        sets = {n: (each.validation, each.classifier) for n, each in self.sets.items() if each.validation is not None}
        return zero_shot_losses(self.base, sets, encode, which)

    def _rows(self) -> NDArray[np.int64]:
        """Of `pixels` the validation images."""
        kinds = [
            np.full(len(part.labels), number) for each in self.sets.values() for number, part in enumerate(each.parts())
        ]
        return np.flatnonzero(np.concatenate([np.zeros(0, np.int64), *kinds]))

    def parts(self, *kinds: str) -> list[Shown]:
        """What is looked at: of general sets `test` and `validation`, and the task's `own`."""
        chosen = []
        for each in self.sets.values():
            chosen += [each.test] if "test" in kinds else []
            chosen += [each.validation] if "validation" in kinds and each.validation is not None else []
        return chosen + ([self.own.shown] if "own" in kinds and self.own is not None else [])

    def of(self, *kinds: str) -> str:
        """Fingerprint of these parts: sets, splits, numbers of images and what the sets are."""
        return digest([f"{part.place} {len(part.labels)} {part.fingerprint}" for part in self.parts(*kinds)])

    def about(self) -> dict[str, object]:
        """`task` and `general` of curve.json."""
        chosen = {part.name: part for part in self.parts("validation")}
        own = None
        if self.own is not None:
            metric, part = self.own.validation.metric, self.own.shown
            own = {"metric": metric, "data": part.place, "images": len(part.labels)}
        validation = {
            "sets": {name: len(part.labels) for name, part in chosen.items()},
            "split": {name: part.split for name, part in chosen.items()},
        }
        test = {"sets": {name: len(each.test.labels) for name, each in self.sets.items()}}
        return {"task": own, "general": {"validation": validation, "test": test}}

    def drifted(self, looks: Sequence[Mapping[str, float]], tower: Tower) -> dict[str, Any]:
        """The content of drift.json: what it was measured on, its looks, and what is kept (docs/watching.md)."""
        images = {part.name: len(part.labels) for part in self.parts("validation")}
        return {"images": images, "looks": list(looks), **self.drifting.kept(tower)}

    def numbers(self) -> NDArray[np.int16]:
        """(test images,): of each, in the order of `Seen.correct`, the place of its set in the sorted names."""
        counts = [len(each.test.labels) for each in self.sets.values()]
        return np.repeat(np.arange(len(counts)), counts).astype(np.int16)


def general(
    base: Encoder, datasets: Sequence[Dataset], images: int, cache: Path, lacking: dict[str, str]
) -> dict[str, General]:
    """`images` validation images (of `val`, else of `train`) and as many test images, shared out evenly, at least one of each set.

    A set with an image that cannot be read or prompts that cannot be asked is left out, and `lacking` says why.
    """
    splits = {each.name: next((s for s in CHOSEN if s in each.card.splits), None) for each in datasets}
    each_test = max(1, images // max(1, len(datasets)))
    each_validation = max(1, images // max(1, sum(split is not None for split in splits.values())))
    found = {}
    for dataset in datasets:
        split, counts = splits[dataset.name], dataset.card.counts()
        try:
            ask(base, dataset, cache)
            texts, why_not = asked(base.text_fingerprint, dataset, cache)
            if texts is None or "test" not in counts:
                raise UserError(dataset.name, Fault(dataset.name, why_not or "no test split", "a set for zero-shot"))
            rows = {s: order(dataset, s).permutation(counts[s]) for s in ("test", split) if s is not None}
            prompts = named_prompts(dataset)
            found[dataset.name] = General(
                zeroshot.classifier(texts),
                shown(dataset, "test", rows["test"][:each_test], base.transform),
                shown(dataset, split, rows[split][:each_validation], base.transform) if split is not None else None,
                [] if prompts is None else prompts.texts(),
            )
        except UserError as error:
            lacking[dataset.name] = "; ".join(f"{each.where}: {each.found}" for each in error.faults[:3])
    return found


def own_images(
    dataset: Dataset, split: str, validation: Validation, count: int, transform: Transform, trained: Dataset
) -> Shown:
    """At most `count` of the task's validation images; of the training set's own split only identities that it is not trained on, where
    the metric tells identities apart. Raises UserError for an image that cannot be read, and where none is left."""
    labels = dataset.labels(split)
    rows = np.arange(len(labels))
    if dataset.fingerprint == trained.fingerprint and not validation.detector:
        rows = rows[~np.isin(labels, trained.labels("train"))]
    rows = rows[validation.chosen(labels[rows], count, order(dataset, split))] if len(rows) else rows
    if not len(rows):
        expected = "images of two classes, or two each of identities that are not trained on"
        raise UserError(f"data set {dataset.name}", Fault(f"{dataset.name}/{split}", "none to choose by", expected))
    return shown(dataset, split, rows, transform)


def nearest(found: NDArray[np.float32], classifier: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class whose prompts are nearest, as the protocol `zero_shot` has it: (n,)."""
    return np.asarray((normalised(found) @ classifier).argmax(axis=1))
