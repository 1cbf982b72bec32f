"""From embeddings to Results: which splits each protocol reads, and how it is scored for one encoder.

One entry of `WIRING` a protocol. `Scoring` hands a protocol what it may look at; features come from the cache by split and view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numpy as np
import pyarrow as pa
from gelo.tasks.catalogue import ENTRIES, Protocol
from gelo.tasks.embed import View
from gelo.tasks.manifest import Dataset
from gelo.tasks.protocols import few_shot, identification, knn, morph, probe, spoof, templates, verification, zeroshot
from gelo.tasks.protocols.detection import UNNAMED
from gelo.tasks.protocols.heads import head_scores, text_scores
from gelo.tasks.protocols.tally import Context
from gelo.tasks.results import Result, Suite, rate_label

Scored = tuple[Result, pa.Table]


@dataclass(frozen=True)
class Head:
    """A trained binary head as arrays: weight (2, d), bias (2,)."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Scoring:
    """One encoder on one data set. texts: text features by class, K arrays (T, d), None where no prompt is asked; head: only where it was
    trained for this task.

    unasked: why no prompt can be asked, where one should be. device: where a solver works.
    """

    dataset: Dataset
    features: Callable[[str, View], np.ndarray]
    texts: list[np.ndarray] | None
    logit_scale: float
    head: Head | None
    seed: int
    vision: str
    text: str
    device: str = "cpu"
    unasked: str = ""

    @property
    def context(self) -> Context:
        return {
            "data": self.dataset.fingerprint,
            "vision": self.vision,
            "text": self.text,
            "scale": self.dataset.card.scale,
            "partial": self.dataset.card.partial,
            "reading": self.dataset.card.reading,
        }

    @property
    def prefix(self) -> str:
        """Before the attacks and domains of a user's own set, so that they are not taken for those of the collection's."""
        return "" if self.dataset.name in ENTRIES else f"{self.dataset.name}."

    def classifier(self) -> np.ndarray:
        assert self.texts is not None
        return zeroshot.classifier(self.texts)

    def column(self, split: str, name: str) -> np.ndarray:
        return self.dataset.column(split, name)


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a protocol is run. reads: split -> views. suites: what it yields for any encoder; detector: what a trained head adds.

    optional: splits that are read where they are there. version: protocol version, so that a result of an older one is scored anew.
    protocol: what a result says of it. leaves: its headline metrics, of the data set or with `meant` of the mean over its parts.
    """

    reads: tuple[tuple[str, tuple[View, ...]], ...]
    suites: tuple[str, ...]
    score: Callable[[Scoring], list[Scored]]
    version: int
    protocol: str
    leaves: tuple[str, ...]
    detector: str = ""
    prompted: bool = False
    meant: bool = False
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


def _probe(s: Scoring, suite: Suite, view: View) -> list[Scored]:
    d = s.dataset
    given = (s.features("val", view), d.labels("val")) if "val" in d.card.splits else None
    train = s.features("train", view), d.labels("train")
    test = d.ids("test"), s.features("test", view), d.labels("test")
    names = d.card.classes
    return [probe.score(d.name, *train, *test, s.seed, given, suite=suite, device=s.device, classes=names, **s.context)]


def _probe_wiring(suite: Suite, view: View) -> Wiring:
    reads = tuple((split, (view,)) for split in ("train", "val", "test"))
    score = partial(_probe, suite=suite, view=view)
    return Wiring(reads, (suite,), score, *_of(probe), optional=("val",))


def _of(module: ModuleType) -> tuple[int, str, tuple[str, ...]]:
    """The version, words and leaves of a protocol's module."""
    return module.PROTOCOL_VERSION, module.PROTOCOL, module.LEAVES


def _train_and_test(s: Scoring) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a protocol that learns from train asks for; a validation split counts as train where nothing is chosen on it."""
    d = s.dataset
    splits = [split for split in ("train", "val") if split in d.card.splits]
    train = np.concatenate([s.features(split, "image") for split in splits])
    labels = np.concatenate([d.labels(split) for split in splits])
    return d.name, train, labels, d.ids("test"), s.features("test", "image"), d.labels("test")


def _knn(s: Scoring) -> list[Scored]:
    return [knn.score(*_train_and_test(s), classes=s.dataset.card.classes, **s.context)]


def _few_shot(s: Scoring) -> list[Scored]:
    return [few_shot.score(*_train_and_test(s), s.seed, classes=s.dataset.card.classes, **s.context)]


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


def _identification(s: Scoring) -> list[Scored]:
    d = s.dataset
    image, flip = s.features("test", "image"), s.features("test", "flip")
    searches = d.table("identification") if "identification" in d.card.tables else None
    return [identification.score(d.name, image, flip, d.ids("test"), d.table("members"), searches, **s.context)]


def _morph(s: Scoring) -> list[Scored]:
    d, features = s.dataset, s.features("test", "image")
    rest = (d.labels("test"), s.column("test", "attack"), d.ids("test"))
    subjects = _subjects(s, "test")
    out = []
    if s.texts is not None:
        by_text = text_scores(features, s.classifier(), s.logit_scale)
        out.append(
            morph.score("mad_text", by_text, *rest, dataset=d.name, prefix=s.prefix, subjects=subjects, **s.context)
        )
    if s.head is not None:
        by_head = head_scores(features, s.head.weight, s.head.bias)
        out.append(morph.score("mad", by_head, *rest, dataset=d.name, prefix=s.prefix, subjects=subjects, **s.context))
    return out


def _subjects(s: Scoring, split: str) -> np.ndarray | None:
    """Who each image of a split shows; None where that is not known of all."""
    if "subject" not in s.dataset.card.columns:
        return None
    subjects = s.column(split, "subject")
    return subjects if all(subjects.tolist()) else None


def _spoof(s: Scoring) -> list[Scored]:
    d = s.dataset

    def frames(split: str, scores: np.ndarray) -> spoof.Frames:
        domains = np.array([f"domain_{name}" for name in s.column(split, "domain")])
        attacks = s.column(split, "attack")
        known = np.where(attacks == UNNAMED, "", attacks)  # so that no ACER is read from instruments thrown together
        videos = s.column(split, "video")
        return spoof.Frames(scores, d.labels(split), videos, domains, d.ids(split), known, _subjects(s, split))

    features = {split: s.features(split, "image") for split in ("test", "dev") if split in d.card.splits}
    out = []
    if s.texts is not None:
        by_text = {n: frames(n, text_scores(f, s.classifier(), s.logit_scale)) for n, f in features.items()}
        out.append(
            spoof.score("pad_text", by_text["test"], by_text.get("dev"), dataset=d.name, prefix=s.prefix, **s.context)
        )
    if s.head is not None:
        by_head = {n: frames(n, head_scores(f, s.head.weight, s.head.bias)) for n, f in features.items()}
        out.append(
            spoof.score("pad", by_head["test"], by_head.get("dev"), dataset=d.name, prefix=s.prefix, **s.context)
        )
    return out


_TEST: tuple[tuple[str, tuple[View, ...]], ...] = (("test", ("image",)),)
_LEARNT: tuple[tuple[str, tuple[View, ...]], ...] = (("train", ("image",)), ("val", ("image",)), ("test", ("image",)))
_BOTH_VIEWS: tuple[tuple[str, tuple[View, ...]], ...] = (("test", ("image", "flip")),)

_TARS = tuple(f"tar_at_far_{rate_label(rate)}" for rate in templates.RATES)

WIRING: dict[Protocol, Wiring] = {
    "zero_shot": Wiring(_TEST, ("zero_shot",), _zero_shot, *_of(zeroshot), prompted=True),
    "probe": _probe_wiring("probe", "image"),
    "probe_train": _probe_wiring("probe_train", "image"),
    "probe_trunk": _probe_wiring("probe_trunk", "trunk"),
    "probe_trunk_train": _probe_wiring("probe_trunk_train", "trunk"),
    "knn": Wiring(_LEARNT, ("knn",), _knn, *_of(knn), optional=("val",)),
    "few_shot": Wiring(_LEARNT, ("few_shot",), _few_shot, *_of(few_shot), optional=("val",)),
    "verification": Wiring(
        _BOTH_VIEWS, ("fr",), _verification, verification.PROTOCOL_VERSION, verification.PROTOCOL, ("accuracy",)
    ),
    "templates": Wiring(_BOTH_VIEWS, ("fr",), _templates, templates.PROTOCOL_VERSION, templates.PROTOCOL, _TARS),
    "identification": Wiring(_BOTH_VIEWS, ("fr_1n",), _identification, *_of(identification)),
    "morph": Wiring(_TEST, ("mad_text",), _morph, *_of(morph), detector="mad", prompted=True, meant=True),
    "spoof": Wiring(
        (("dev", ("image",)), ("test", ("image",))),
        ("pad_text",),
        _spoof,
        *_of(spoof),
        detector="pad",
        prompted=True,
        meant=True,
        optional=("dev",),
    ),
}
