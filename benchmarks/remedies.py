"""What each remedy that trains costs: the time of a step and the peak of memory, against the same training without one.

ours: a step with feature distillation, whose aim is the closest one; theirs: a plain step. `detail` has all of them, also those of other
distributions: median seconds of a step over all rounds, their ratio to the plain step, the resident peak of the process and what of it is
more than the plain one's, and the aim where there is one. Every training is a process of its own, forked before anything ran, with one
thread: mini-l, full fine-tuning, CosFace, images in memory. What comes before the first step (EWC's information, prompts) is not in the
step's time; it is in the peak. A penalty on weights (L2-SP, EWC) costs a few passes over them, whatever the batch: the larger the tower
and the batch are, the less of a step it is; `--backbone mini-s` has the other end. A remedy that refuses this training is told with its
reason.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.line import finish, note
from gelo.models.adapt import Full, adapt
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import CosFace
from gelo.models.heads.head import make_head
from gelo.models.members import kind_of
from gelo.models.remedies import REMEDIES, Distill, LwF, RemedySpec
from gelo.models.training import loop
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Optimisation
from gelo.models.training.stream import Stream
from gelo.models.training.world import World

SEED, CLASSES, WARM = 7, 16, 2
FIELDS: dict[str, dict[str, Any]] = {  # for a run of a few steps
    "zscl": {"every": 2},
    "ewc": {"images": 16},
    "counterfactual": {"images": 16, "batch": 4},
}
MORE: dict[str, RemedySpec] = {
    "distill of inner layers": Distill(layers="inner"),
    "distill on reference images": Distill(on="reference"),
    "lwf on reference images": LwF(on="reference"),
}
AIMS = {"distill": 1.35, "l2sp": 1.05, "ewc": 1.05}


@dataclass
class Images:
    """A source of noise in memory; its class is where an image is white, in a grid of 4 x 4, so that there is something to recognise."""

    side: int
    count: int
    seed: int
    name: str = "noise/train"
    fingerprint: str = "noise"
    labels: Any = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.labels = np.arange(self.count) % CLASSES
        self.pixels = rng.integers(0, 128, (self.count, self.side, self.side, 3), dtype=np.uint8)
        part = self.side // 4
        for image, label in zip(self.pixels, self.labels, strict=True):
            top, left = label // 4 * part, label % 4 * part
            image[top : top + part, left : left + part] = 255

    def take(self, rows: Any, draws: np.random.Generator | None = None, own: slice = slice(None)) -> Any:
        return self.pixels[rows[own]]

    def column(self, name: str) -> Any:
        return np.array([f"{name} {label}" for label in self.labels], object)

    def prompts(self) -> list[list[str]]:
        return [[f"a photo of thing {number}."] for number in range(CLASSES)]

    def classifier(self, base: Encoder) -> Tensor:
        texts = torch.from_numpy(base.encode_texts([f"a photo of thing {number}." for number in range(CLASSES)]))
        return torch.nn.functional.normalize(texts, dim=1).T.contiguous()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--backbone", help="mini-l where nothing is said; of random images any does")
    given = parser.parse_args()
    smoke, backbone = given.smoke, given.backbone or ("mini-s" if given.smoke else "mini-l")
    torch.set_num_threads(1)
    batch, steps, rounds = (16, 4, 1) if smoke else (32, 14, 5)
    base, remedies = load_backbone(backbone), remedies_of()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in remedies}
    for number in range(rounds):
        for name in sorted(remedies, reverse=number % 2 == 1):
            found[name].append(apart(base, remedies[name], batch, steps))
            told = found[name][-1]
            cost = told.get("refused") or f"{told['step']:.4f} s, {told['peak']:.0f} MB"
            note(f"round {number + 1}, {name}: {cost}")
    plain = {name: _median(found["none"], name) for name in ("step", "cpu", "peak", "task")}
    table = {name: _row(remedies[name], runs, plain, batch) for name, runs in found.items()}
    for name in (*AIMS, "replay"):
        assert table[name].get("same_task_loss"), f"{name}: the first step's loss of the task is that of the plain step"
    seconds = {name: [each["step"] for each in found[name]] for name in ("distill", "none")}
    about = {
        "backbone": backbone,
        "batch": batch,
        "steps": steps - WARM,
        "load": round(os.getloadavg()[0], 1),
        "remedies": table,
    }
    finish("remedies", seconds["distill"], seconds["none"], "s a step (distill)", "<= 1.35", about)


def remedies_of() -> dict[str, RemedySpec]:
    """By name, at their defaults: all that train, and some in another form. `none` is the plain training."""
    kinds = {kind_of(each): each for each in REMEDIES if each.trains}
    return {kind: each.model_validate(FIELDS.get(kind, {})) for kind, each in kinds.items()} | MORE


def apart(base: Encoder, remedy: RemedySpec, batch: int, steps: int) -> dict[str, Any]:
    """`measured`, in a process of its own."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=lambda: there.send(measured(base, remedy, batch, steps)))
    child.start()
    there.close()
    try:
        told: dict[str, Any] = here.recv()
    except EOFError:
        raise RuntimeError(f"{remedy.label or 'no remedy'}: the training ended without a word") from None
    finally:
        child.join()
    return told


def measured(base: Encoder, remedy: RemedySpec, batch: int, steps: int) -> dict[str, Any]:
    """step, cpu: median seconds, and those of the processor, WARM steps not counted; peak: resident MB; task: the task's loss in the first
    step. Or `refused`: why."""
    if not remedy.needs <= Full().gives:
        return {"refused": f"it needs {', '.join(sorted(remedy.needs - Full().gives))}"}
    settings = Optimisation(
        epochs=1, batch=batch, lr_backbone=1e-5, lr_head=1e-3, weight_decay=0.05, clip=5.0, schedule="constant", warmup_epochs=0,
        sampler="shuffled",
    )  # fmt: skip
    side = base.transform.size
    source, world = Images(side, steps * batch, SEED), World()
    model, head = adapt(base.visual, Full(), SEED), make_head(CosFace(), base.dim, CLASSES, SEED, world)
    order = Batches("shuffled", source.labels, SEED, batch)
    sources = {name: Images(side, 256, SEED + 1, place) for name, place in remedy.data().items()}
    run = Run(base, model, head, settings, SEED, order.steps, sources, world, task=source if remedy.looks else None)
    ends: list[tuple[float, float]] = []
    first: list[float] = []

    def after_a_step() -> bool:
        ends.append((time.perf_counter(), time.process_time()))
        if not first:
            first.append(run.sums["task"])
        return False

    try:
        with tempfile.TemporaryDirectory() as scratch:
            stream = Stream(source, order, SEED, base.transform)
            keeper = Keeper(Path(scratch), {"made": "here"})
            loop.train(run, remedy.hooks(), stream, keeper, should_stop=after_a_step)
    except UserError as error:
        return {"refused": str(error)}
    step, cpu = np.median(np.diff(ends, axis=0)[WARM - 1 :], axis=0).tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"step": step, "cpu": cpu, "peak": peak, "task": first[0]}


def _row(remedy: RemedySpec, runs: list[dict[str, Any]], plain: dict[str, float], batch: int) -> dict[str, Any]:
    if "refused" in runs[0]:
        return {"refused": runs[0]["refused"]}
    step, peak, share = _median(runs, "step"), _median(runs, "peak"), remedy.beside / batch
    kind = kind_of(type(remedy))
    aim = round(1 + share + 0.05, 4) if kind == "replay" else AIMS.get(kind)
    plainly = remedy == type(remedy).model_validate(FIELDS.get(kind, {}))
    return {
        "ms_a_step": round(1000 * step, 1),
        "ratio": round(step / plain["step"], 3),
        "ratio_of_cpu_time": round(_median(runs, "cpu") / plain["cpu"], 3),
        **({"aim": aim} if aim and plainly else {}),
        "share_of_images_added": round(share, 3),
        "peak_mb": round(peak),
        "mb_more": round(peak - plain["peak"]),
        "same_task_loss": all(run["task"] == plain["task"] for run in runs),
    }


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


if __name__ == "__main__":
    main()
