"""From a trial to its `Watch`: opens what is looked at, and writes what was seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.training.watch import Curve, Watch
from gelo.models.training.world import World
from gelo.models.untrusted import read_json
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.ledger.watched import MOST, images_of, validation_of
from gelo.tasks.training import TASKS
from gelo.tasks.training.looking import Looking, Own, general, own_images
from gelo.tasks.training.preprocess import transforms

if TYPE_CHECKING:
    from torch import Tensor

    from gelo.models.tower import Tower

CURVE, CORRECT, DRIFT = "curve.json", "curve.safetensors", "drift.json"
Locate = Callable[[str], Dataset]


@dataclass(frozen=True)
class Eye:
    """A trial's watch, and on rank 0 what it looks at. over: images that the tower trains on, from which follows how many these are.
    lacking: why something is not looked at, by set. decided_by: the fingerprint of what the trial's remedy decides by; "" for one that
    decides by nothing."""

    watch: Watch
    looking: Looking | None = None
    over: int = 0
    lacking: Mapping[str, str] = field(default_factory=dict)
    decided_by: str = ""

    def write(self, curve: Curve, tower: Tower, place: Path) -> None:
        """curve.json, curve.safetensors and drift.json of a trial that was looked at. tower: what it keeps. No drift.json where some looks
        of the curve have none: they are of a checkpoint that an older gelo wrote."""
        if self.looking is None or not curve.points:
            return
        (place / CURVE).write_text(json.dumps({**self.looking.about(), "points": curve.points}))
        if curve.correct:
            save_file({"correct": np.stack(curve.correct), "set": self.looking.numbers()}, place / CORRECT)
        if len(curve.drifts) in (0, len(curve.points)):
            (place / DRIFT).write_text(json.dumps(self.looking.drifted(curve.drifts, tower)))

    def ended(self, curve: Curve, tower: Tower, head: Mapping[str, Tensor]) -> Curve:
        """Of what was made of a trained trial, whose curve is given: that one's start, and a look at what was made in place of its end."""
        assert self.looking is not None
        seen, last = self.looking(tower, head), curve.points[-1]
        points = [curve.points[0], {"step": last["step"], "images": last["images"], **seen.numbers()}]
        both = [curve.correct[0], seen.correct] if curve.correct and seen.correct is not None else []
        return Curve(curve.of, points, both)

    def told(self, curve: Curve) -> dict[str, object]:
        """What training.json says of it."""
        if self.looking is None:
            return {}
        parts = self.looking.parts("test", "validation", "own")
        told: dict[str, object] = {
            "watched_over": self.over,
            "watched": {part.place: part.fingerprint for part in parts},
            "watch_seconds": curve.seconds,
            "not_watched": dict(self.lacking),
        }
        return told | ({"decided_by": self.decided_by} if self.decided_by else {})


def eye_of(
    trial: Trial, base: Encoder, sets: Sequence[str], locate: Locate, cache: Path, trained: int, world: World
) -> Eye:
    """sets: general ones, by name. trained: images that the tower trains on. Rank 0 reads them, all hear what they are of.

    What cannot be opened, read or asked is not looked at; a trial that has nothing left to look at has no watch.
    """
    assert trial.training is not None
    points = trial.training.watch.points
    if not points:
        return Eye(Watch())
    looking, lacking = None, dict[str, str]()
    told: list[object] = []
    if not world.rank:
        count = images_of(trial, trained)
        opened = []
        for name in sets:
            try:
                opened.append(locate(name))
            except UserError as error:
                lacking[name] = error.faults[0].found
        own = own_of(trial, base, locate, count, lacking)
        looking = Looking(base, general(base, opened, count, cache, lacking), own)
        seen = bool(looking.parts("test", "validation", "own"))
        decides = trial.remedy.trained().watching
        told = [
            points if seen else 0,
            looking.of("test", "validation", "own"),
            own is not None and own.validation.detector,
            looking.of("validation") if decides else "",
        ]
    number, of, headed, decided_by = world.tell(told)
    measure = looking if looking is not None else Watch().measure
    loss = looking.losses if looking is not None and looking.parts("validation") else None
    return Eye(Watch(measure, number, of, headed, loss), looking, trained, lacking, decided_by)


def own_of(trial: Trial, base: Encoder, locate: Locate, count: int, lacking: dict[str, str]) -> Own | None:
    """The task's validation images; None where there are none, and `lacking` says why."""
    assert trial.training is not None and trial.head is not None
    try:
        trained = locate(trial.training.data)
        place = validation_of(trial, lambda name: trained.card.splits)
        validation = TASKS[trial.task].validation if trial.task in TASKS else None
        if place is None or validation is None:
            lacking[trial.task] = "no validation images are named, and the training set has no `val` split"
            return None
        transform = transforms(trial.preprocess, base.transform).test if validation.detector else base.transform
        shown = own_images(locate(place[0]), place[1], validation, count, transform, trained)
    except UserError as error:
        lacking[trial.task] = f"{error.faults[0].where}: {error.faults[0].found}"
        return None
    return Own(shown, transform, validation, trial.head)


def read_curve(trained: Path) -> Curve | None:
    """What `Eye.write` wrote; None where there is none, or nothing after its start."""
    if not (trained / CURVE).is_file():
        return None
    points = read_json(trained / CURVE).get("points", [])
    whole = trained / CORRECT
    correct = list(load_file(whole)["correct"]) if whole.is_file() else []
    return Curve(points=points, correct=correct) if len(points) > 1 else None


def validated(trial: Trial, base: Encoder, locate: Locate) -> Callable[[Tower, Mapping[str, Tensor]], float]:
    """The task's validation metric of a tower with its head, on as many images as a look may have at most; what it reads is read when it is
    first asked. Raises LookupError where the task has none here, or where it is undefined."""
    from gelo.tasks.metrics.scores import UndefinedMetric

    lacking: dict[str, str] = {}
    held: list[Own | None] = []

    def score(tower: Tower, head: Mapping[str, Tensor]) -> float:
        if not held:
            held.append(own_of(trial, base, locate, 3 * MOST, lacking))
        if held[0] is None:
            raise LookupError(f"{trial.label} has no validation metric: {lacking.get(trial.task, '')}")
        try:
            return held[0].score(tower.encoder(base), head)
        except UndefinedMetric as error:
            raise LookupError(f"{trial.label}: its validation metric is undefined: {error}") from None

    return score
