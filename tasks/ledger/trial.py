"""`Trial`: the frozen description of one run, and its key. Same key = same work, anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from gelo.models.adapt import Adaptation, Imported, NoAdaptation
from gelo.models.faults import Fault, UserError
from gelo.models.heads import HeadKind
from gelo.models.remedies import NoRemedy, Remedy
from gelo.models.spec import Spec, joined
from gelo.models.training.settings import Optimisation
from gelo.models.words import told_apart
from gelo.tasks.training.base import Augment
from gelo.tasks.training.preprocess import Preprocess


class Looks(Spec):
    """What is looked at while a trial trains: its forgetting curve, and what a budget is kept by (docs/protocols.md).

    points: looks after that at the untouched tower, evenly spaced, the last at the end; 0: none at all. images: of each look, so many
    validation images of the general sets, so many of their test images, and at most so many of the task's validation images; 0: as many as
    keep all looks within 4 % of the training's arithmetic, from 8 to 666. validation: of the task, "data set/split" (`val` where no split
    is named), never a test split; none: gelo's own where the task's data are, else the `val` split of the training set.
    """

    points: int = Field(default=5, ge=0)
    images: int = Field(default=0, ge=0)
    validation: str | None = None

    @field_validator("validation")
    @classmethod
    def _no_test_split(cls, value: str | None) -> str | None:
        if value is not None and value.partition("/")[2] == "test":
            raise ValueError("a split other than test: what is chosen by test images says nothing on them")
        return value


class Training(Optimisation):
    """Data, optimiser and schedule of a fine-tuning run. Rates per step of AdamW; schedules step once an epoch, but the warm-up.

    schedule: `constant`; `cosine` to zero over the epochs after a linear warm-up by step; `cosine_restarts` holds the peak for
    `warmup_epochs` and then restarts with T0 = 5, T_mult = 2, eta_min = 1e-6 (TaharChettaoui/FRoundation: src/train.py). preprocess: what
    the encoder is shown in training, and in the tests of the detector that is trained (tasks/training/preprocess.py). per_identity: images
    of one identity in a batch of the sampler `identity_balanced`. classes: of the data set the first so many alone, and their images.
    steps_per_epoch: how many steps count as an epoch, whatever the number of images, which then go round. accumulate: parts of a batch that
    go through one after the other, whose gradients are added: less memory, the same batch. precision: bf16 for the vision tower's forward
    pass alone (autocast); weights, features, losses and optimiser stay float32; tf32: matrix products and convolutions take 10 bits of each
    factor's mantissa; both on GPUs alone. checkpointing: each transformer block goes through twice instead of being kept for the backward
    pass: a tenth of the memory of an image for a third more work, the same numbers. compile: the vision tower by torch.compile, which costs
    minutes at each start. fused: all of AdamW in one kernel; rounds otherwise in the last bit. deterministic: on a GPU the same bits in
    every run on the same kind of GPU, where torch has such kernels (it warns where not); attention in fp32 is slower and larger for it;
    false: the fastest kernels. On CPUs every run gives the same bits anyway.
    watch: what is looked at while it trains, below.
    """

    data: str
    augment: Augment
    preprocess: Preprocess = joined("backbone")
    per_identity: int = joined(4, ge=1, validate_default=True)
    classes: int | None = joined(None, ge=2)
    watch: Looks = joined(Looks())

    @field_validator("per_identity")
    @classmethod
    def _fills_a_batch(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("sampler") == "identity_balanced" and info.data.get("batch", 0) % value:
            raise ValueError(f"batch, {info.data['batch']}, is a multiple of it")
        return value


class Trial(Spec):
    """One run. A baseline has task `none` and no training. What is evaluated is the sweep's matter, not part of the key: a data
    set added to a sweep must not train its models again."""

    backbone: str
    task: str
    collection: Literal["miniature", "paper"]
    adaptation: Adaptation = NoAdaptation()
    remedy: Remedy = NoRemedy()
    head: HeadKind | None = None
    training: Training | None = None
    seed: int = Field(0, ge=0)

    @property
    def key(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        document = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()[:12]

    @property
    def source(self) -> Trial:
        """The trial whose training this one's weights come from: itself, or the same with no more than what acts while training."""
        trained = self.remedy.trained()
        return self if trained == self.remedy else self.model_copy(update={"remedy": trained})

    @property
    def parents(self) -> dict[str, Trial]:
        """Other trials whose towers its remedy is handed, by the remedy's names for them; each trains."""
        return {name: _otherwise(self.source, fields) for name, fields in self.remedy.parents().items()}

    @property
    def made_of(self) -> list[Trial]:
        """Every trial that has to be trained before this one is whole, its source first; [] for a baseline."""
        return (
            list({each.key: each for each in (self.source, *self.parents.values())}.values()) if self.training else []
        )

    @property
    def tuned(self) -> bool:
        """True when it has a tower of its own, which it or another trained, or which was imported; False for an untouched backbone."""
        return self.training is not None or isinstance(self.adaptation, Imported)

    @property
    def preprocess(self) -> Preprocess:
        """What its detector is shown."""
        if isinstance(self.adaptation, Imported):
            return self.adaptation.preprocess
        return "backbone" if self.training is None else self.training.preprocess

    @property
    def trains(self) -> bool:
        """True when this trial itself runs a training loop."""
        return self.training is not None and self.source is self

    @property
    def learnt_from(self) -> list[tuple[str, str]]:
        """(data set, split) of all that it, its source and its parents are shown while training and finishing, the task's first."""
        if self.training is None:
            return []
        shown = [(self.training.data, "train")]
        for trial in (self, *self.made_of):
            shown += [split_of(name) for name in trial.remedy.data().values()]
        return list(dict.fromkeys(shown))

    @property
    def label(self) -> str:
        """For people: `mini-s faces lora wise(alpha=0.5) seed 0`."""
        if self.task == "none":
            return f"{self.backbone} untouched"
        if isinstance(self.adaptation, Imported):
            return f"{self.backbone} {self.task} imported {self.adaptation.name}"
        words = (self.backbone, self.task, self.adaptation.kind, self.remedy.label, f"seed {self.seed}")
        return " ".join(filter(None, words))

    @staticmethod
    def labels(trials: Sequence[Trial]) -> dict[str, str]:
        """A label for each trial of a sweep by its key: no two are alike, what varies follows where `label` does not tell it."""
        told = told_apart([trial.label for trial in trials], [trial.flat() for trial in trials])
        return dict(zip((trial.key for trial in trials), told, strict=True))

    def flat(self) -> dict[str, str | int | float | bool]:
        """Fields by dotted name, for MLflow's parameters."""
        return dict(_flatten("", self.model_dump(mode="json")))

    def document(self) -> dict[str, object]:
        """The content of trial.json: the fields and the key."""
        return {"key": self.key, "label": self.label, **self.model_dump(mode="json")}


def described(document: Mapping[str, Any], where: str) -> Trial:
    """The trial that a trial.json describes. Raises UserError, saying `where` it stands, for what is none."""
    try:
        return Trial.model_validate({name: value for name, value in document.items() if name in Trial.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'trial.json'}: {first['msg']}"
        raise UserError(
            "trial", Fault(where, found, "a trial's description", "delete its folder, and resume")
        ) from None


def _otherwise(trial: Trial, fields: Mapping[str, Any]) -> Trial:
    """The trial with other fields; of `training` a mapping of its own."""
    changes = dict(fields)
    if "training" in changes and trial.training is not None:
        changes["training"] = Training.model_validate(trial.training.model_dump() | dict(changes["training"]))
    return trial.model_copy(update=changes)


def split_of(name: str) -> tuple[str, str]:
    """`shapes/train`, as a remedy names its images -> ("shapes", "train"); train where no split is named."""
    dataset, _, split = name.partition("/")
    return dataset, split or "train"


def _flatten(prefix: str, value: object) -> list[tuple[str, str | int | float | bool]]:
    if isinstance(value, dict):
        return [
            pair for name, inner in value.items() for pair in _flatten(f"{prefix}.{name}" if prefix else name, inner)
        ]
    if value is None:
        return []
    if isinstance(value, bool | int | float | str):
        return [(prefix, value)]
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return [pair for place, each in enumerate(value) for pair in _flatten(f"{prefix}.{place}", each)]
    return [(prefix, ",".join(map(str, value)) if isinstance(value, list) else str(value))]
