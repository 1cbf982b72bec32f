"""`Watch`: the one place where a run is measured while it trains: forgetting curves, budgets and schedulers look through it.

A look measures the tower that would be kept now, a copy, with generators of its own: no bit of the training depends on whether one looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gelo.models.training.steep import ZeroShot, steepness
from gelo.models.training.switches import arithmetic

if TYPE_CHECKING:
    from gelo.models.tower import Tower
    from gelo.models.training.run import Run

_DECIDABLE = ("step", "images", "task", "validation")  # of a point: what a hook is shown, none of it of test images


@dataclass(frozen=True)
class Seen:
    """What one look finds, all in [0, 1], higher = better; None, or no entry, where there is none of it.

    task: the task's validation metric. validation, test: means over general sets of zero-shot top-1 on their validation and test images.
    sets: of test images by set. correct: uint8 (test images,), 1 = told right. drift: how far the tower went (docs/watching.md), in units
    of their own; no point of a curve has it.
    """

    task: float | None = None
    validation: float | None = None
    test: float | None = None
    sets: Mapping[str, float] = field(default_factory=dict)
    correct: NDArray[np.uint8] | None = None
    drift: Mapping[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """As a point of a curve has them: what there is none of is absent."""
        named = {"task": self.task, "validation": self.validation, "test": self.test}
        return {**{name: value for name, value in named.items() if value is not None}, "sets": dict(self.sets)}


@dataclass
class Curve:
    """The looks of a run so far, which its checkpoints keep: none is taken twice.

    of: what is looked at, by fingerprint; points of something else are left behind. correct, drifts (with their step): of each point, on
    rank 0. seconds: spent on it.
    """

    of: str = ""
    points: list[dict[str, Any]] = field(default_factory=list)
    correct: list[NDArray[np.uint8]] = field(default_factory=list)
    seconds: float = 0.0
    drifts: list[dict[str, float]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """As JSON takes it, but for `tensors`; {} before the first look."""
        if not self.points:
            return {}
        return {"of": self.of, "points": self.points, "seconds": self.seconds, "drifts": self.drifts}

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The group "curve" of a checkpoint's tensors: `correct`, uint8 (points, test images); {} where no test image is looked at."""
        return {"curve": {"correct": torch.from_numpy(np.stack(self.correct))}} if self.correct else {}

    def last(self) -> dict[str, float]:
        """What the last look found, for whoever follows the run: `zero_shot` (on validation images) and `task`, as they are there."""
        point = self.points[-1] if self.points else {}
        return {name: point[key] for name, key in (("zero_shot", "validation"), ("task", "task")) if key in point}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Inverse of both."""
        if state and state["of"] == self.of:
            self.points, self.seconds = list(state["points"]), float(state["seconds"])
            self.drifts = list(state.get("drifts", ()))  # of an older gelo's checkpoint there are none
            self.correct = list(tensors["correct"].numpy()) if "correct" in tensors else []


@dataclass(frozen=True)
class Watch:
    """measure: a tower and its head's tensors -> what they are worth, on rank 0 alone. points: looks after step 0, evenly spaced, the last
    at the end; 0 = none at all. of: what is looked at, by fingerprint. headed: whether `measure` wants the head; else it is given {}.
    loss: zero-shot losses of images, by which `steepness` is measured once, at the first look at which the tower has trained.
    """

    measure: Callable[[Tower, Mapping[str, Tensor]], Seen] = lambda tower, head: Seen()
    points: int = 0
    of: str = ""
    headed: bool = False
    loss: ZeroShot | None = None

    def due(self, step: int, steps: int) -> bool:
        """Whether a run of `steps` is looked at once `step` of them are done."""
        return self.points > 0 and (step == 0 or step in (steps * n // self.points for n in range(1, self.points + 1)))

    def look(self, run: Run) -> dict[str, Any]:
        """One more point of `run.curve`; returns what hooks may decide on, on every rank: step, images, task and validation as they are
        there. Raises what `measure` raises."""
        started = time.perf_counter()
        head = run.head.whole() if self.headed else {}  # said by every rank: a head may lie on several
        point: dict[str, Any] = {"step": run.step, "images": run.step * run.settings.batch}
        if run.world.rank == 0:
            exact = run.settings.model_copy(update={"precision": "fp32"})
            run.reseed("watch", alike=True)
            with torch.no_grad(), arithmetic(exact, run.world.device):
                seen = self.measure(run.model.publish(), head)
                steep = steepness(run, self.loss) if self.loss is not None and not _steep(run.curve) else {}
            point |= seen.numbers()
            if seen.drift:
                run.curve.drifts.append({"step": run.step, **seen.drift, **steep})
            if seen.correct is not None:
                run.curve.correct.append(seen.correct)
        point = run.world.tell(point)
        run.curve.points.append(point)
        run.curve.seconds += time.perf_counter() - started
        return {name: point[name] for name in _DECIDABLE if name in point}


def _steep(curve: Curve) -> bool:
    return any("alignment" in each for each in curve.drifts)


NEVER = Watch()
