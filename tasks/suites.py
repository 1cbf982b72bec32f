"""From embeddings to Results: which splits each protocol reads, and how it is scored for one encoder.

One entry of `WIRING` a protocol. `Scoring` hands a protocol what it may look at; features come from the cache by split and view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.catalogue import Protocol
from tasks.embed import View
from tasks.manifest import Dataset
from tasks.protocols import few_shot, knn, morph, probe, spoof, templates, verification, zeroshot
from tasks.protocols.heads import head_scores, text_scores
from tasks.protocols.tally import Context
from tasks.results import Result

Scored = tuple[Result, pa.Table]


@dataclass(frozen=True)
class Head:
    """A trained binary head as arrays: weight (2, d), bias (2,)."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Scoring:
    """One encoder on one data set. texts: text features by class, K arrays (T, d); head: only where it was trained for this task."""

    dataset: Dataset
    features: Callable[[str, View], np.ndarray]
    texts: list[np.ndarray] | None
    logit_scale: float
    head: Head | None
    seed: int
    vision: str
    text: str

    @property
    def context(self) -> Context:
        return {
            "data": self.dataset.fingerprint,
            "vision": self.vision,
            "text": self.text,
            "scale": self.dataset.card.scale,
            "partial": self.dataset.card.partial,
        }

    def classifier(self) -> np.ndarray:
        assert self.texts is not None
        return zeroshot.classifier(self.texts)

    def column(self, split: str, name: str) -> np.ndarray:
        return self.dataset.column(split, name)


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a protocol is run. reads: split -> views. suites: what it yields for any encoder; detector: what a trained head adds.

    optional: splits that are read where they are there. version: protocol version, so that a result of an older one is scored anew.
    """

    reads: tuple[tuple[str, tuple[View, ...]], ...]
    suites: tuple[str, ...]
    score: Callable[[Scoring], list[Scored]]
    version: int
    detector: str = ""
    prompted: bool = False
    optional: tuple[str, ...] = ()

    def reads_of(self, dataset: Dataset) -> list[tuple[str, tuple[View, ...]]]:
        """`reads` without the optional splits that this data set lacks."""
        return [(s, views) for s, views in self.reads if s in dataset.card.splits or s not in self.optional]


def _zero_shot(s: Scoring) -> list[Scored]:
    d = s.dataset
    return [
        zeroshot.score(
            d.name, d.ids("test"), s.features("test", "image"), d.labels("test"), s.classifier(), **s.context
        )
    ]


def _probe(s: Scoring) -> list[Scored]:
    d = s.dataset
    train, test = s.features("train", "image"), s.features("test", "image")
    given = (s.features("val", "image"), d.labels("val")) if "val" in d.card.splits else None
    return [
        probe.score(
            d.name,
            train,
            d.labels("train"),
            d.ids("test"),
            test,
            d.labels("test"),
            s.seed,
            validation=given,
            **s.context,
        )
    ]


def _train_and_test(s: Scoring) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a protocol that learns from train asks for; a validation split counts as train where nothing is chosen on it."""
    d = s.dataset
    splits = [split for split in ("train", "val") if split in d.card.splits]
    train = np.concatenate([s.features(split, "image") for split in splits])
    labels = np.concatenate([d.labels(split) for split in splits])
    return d.name, train, labels, d.ids("test"), s.features("test", "image"), d.labels("test")


def _knn(s: Scoring) -> list[Scored]:
    return [knn.score(*_train_and_test(s), **s.context)]


def _few_shot(s: Scoring) -> list[Scored]:
    return [few_shot.score(*_train_and_test(s), s.seed, **s.context)]


def _verification(s: Scoring) -> list[Scored]:
    d = s.dataset
    pairs = d.table("pairs")
    return [
        verification.score(
            d.name, s.features("test", "image"), s.features("test", "flip"), d.ids("test"), pairs, **s.context
        )
    ]


def _templates(s: Scoring) -> list[Scored]:
    d = s.dataset
    image, flip = s.features("test", "image"), s.features("test", "flip")
    return [templates.score(d.name, image, flip, d.ids("test"), d.table("members"), d.table("pairs"), **s.context)]


def _morph(s: Scoring) -> list[Scored]:
    d, features = s.dataset, s.features("test", "image")
    rest = (d.labels("test"), s.column("test", "attack"), d.ids("test"))
    subjects = s.column("test", "subject")
    by_text = text_scores(features, s.classifier(), s.logit_scale)
    out = [morph.score("mad_text", by_text, *rest, dataset=d.name, subjects=subjects, **s.context)]
    if s.head is not None:
        by_head = head_scores(features, s.head.weight, s.head.bias)
        out.append(morph.score("mad", by_head, *rest, dataset=d.name, subjects=subjects, **s.context))
    return out


def _spoof(s: Scoring) -> list[Scored]:
    def frames(split: str, scores: np.ndarray) -> spoof.Frames:
        d = s.dataset
        domains = np.array([f"domain_{name}" for name in s.column(split, "domain")])
        return spoof.Frames(
            scores, d.labels(split), s.column(split, "video"), domains, d.ids(split), s.column(split, "attack")
        )

    test, dev = s.features("test", "image"), s.features("dev", "image")
    by_text = [frames(n, text_scores(f, s.classifier(), s.logit_scale)) for n, f in (("test", test), ("dev", dev))]
    out = [spoof.score("pad_text", by_text[0], by_text[1], dataset=s.dataset.name, **s.context)]
    if s.head is not None:
        by_head = [frames(n, head_scores(f, s.head.weight, s.head.bias)) for n, f in (("test", test), ("dev", dev))]
        out.append(spoof.score("pad", by_head[0], by_head[1], dataset=s.dataset.name, **s.context))
    return out


_TEST: tuple[tuple[str, tuple[View, ...]], ...] = (("test", ("image",)),)
_LEARNT: tuple[tuple[str, tuple[View, ...]], ...] = (("train", ("image",)), ("val", ("image",)), ("test", ("image",)))
_BOTH_VIEWS: tuple[tuple[str, tuple[View, ...]], ...] = (("test", ("image", "flip")),)

WIRING: dict[Protocol, Wiring] = {
    "zero_shot": Wiring(_TEST, ("zero_shot",), _zero_shot, zeroshot.PROTOCOL_VERSION, prompted=True),
    "probe": Wiring(_LEARNT, ("probe",), _probe, probe.PROTOCOL_VERSION, optional=("val",)),
    "knn": Wiring(_LEARNT, ("knn",), _knn, knn.PROTOCOL_VERSION, optional=("val",)),
    "few_shot": Wiring(_LEARNT, ("few_shot",), _few_shot, few_shot.PROTOCOL_VERSION, optional=("val",)),
    "verification": Wiring(_BOTH_VIEWS, ("fr",), _verification, verification.PROTOCOL_VERSION),
    "templates": Wiring(_BOTH_VIEWS, ("fr",), _templates, templates.PROTOCOL_VERSION),
    "morph": Wiring(_TEST, ("mad_text",), _morph, morph.PROTOCOL_VERSION, detector="mad", prompted=True),
    "spoof": Wiring(
        (("dev", ("image",)), ("test", ("image",))),
        ("pad_text",),
        _spoof,
        spoof.PROTOCOL_VERSION,
        detector="pad",
        prompted=True,
    ),
}
