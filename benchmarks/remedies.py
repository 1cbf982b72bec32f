"""What each remedy that trains costs: the time of a step and the peak of memory, against the same training without one.

ours: a step with feature distillation, whose aim is the closest one; theirs: a plain step. `detail` has all of them, also those of other
distributions: the median step, the median ratio to the plain step beside it, the resident peak of the process and what of it is more than
the plain one's, and the aim where there is one. A remedy and the plain training are two processes, forked before anything ran, with one
thread each, that make their steps in turn: a machine that is slower for a minute is so for both. `none` against itself says how far the
ratios can be trusted. mini-l, full fine-tuning, CosFace, images in memory. What comes before the first step (EWC's information, prompts)
is not in the step's time; it is in the peak. A penalty on weights (L2-SP, EWC) costs a few passes over them, whatever the batch: the
larger the tower and the batch are, the less of a step it is; `--backbone mini-s` has the other end. A remedy that refuses this training
is told with its reason.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
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
from gelo.models.remedies import REMEDIES, Distill, LwF, NoRemedy, RemedySpec
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
    batch, steps, rounds = (16, 4, 1) if smoke else (32, 14, 3)
    base, remedies = load_backbone(backbone), remedies_of()
    found: dict[str, list[tuple[Told, Told]]] = {name: [] for name in remedies}
    for number in range(rounds):
        for name in sorted(remedies, reverse=number % 2 == 1):
            own, plain = in_turn(base, (remedies[name], NoRemedy()), batch, steps)
            found[name].append((own, plain))
            cost = own.refused or f"{_ratio(own, plain):.3f} of {np.median(plain.seconds):.4f} s, {own.peak:.0f} MB"
            note(f"round {number + 1}, {name}: {cost}")
    table = {name: _row(remedies[name], runs, batch) for name, runs in found.items()}
    for name in (*AIMS, "replay"):
        assert table[name].get("same_task_loss"), f"{name}: the first step's loss of the task is that of the plain step"
    seconds = [[float(np.median(each.seconds)) for each in side] for side in zip(*found["distill"], strict=True)]
    about = {
        "backbone": backbone,
        "batch": batch,
        "steps": steps - WARM,
        "load": round(os.getloadavg()[0], 1),
        "remedies": table,
    }
    finish("remedies", seconds[0], seconds[1], "s a step (distill)", "<= 1.35", about)


def remedies_of() -> dict[str, RemedySpec]:
    """By name, at their defaults: all that train, and some in another form. `none` is the plain training."""
    kinds = {kind_of(each): each for each in REMEDIES if each.trains}
    return {kind: each.model_validate(FIELDS.get(kind, {})) for kind, each in kinds.items()} | MORE


@dataclass
class Told:
    """Of one training: seconds and processor's seconds of each step after the WARM ones, resident MB at the most, the first step's loss of
    the task; or why it was refused."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: float = 0.0
    task: float = 0.0
    refused: str = ""


def in_turn(base: Encoder, sides: Sequence[RemedySpec], batch: int, steps: int) -> list[Told]:
    """`measured` of each side in a process of its own, of which one at a time makes a step."""
    context = multiprocessing.get_context("fork")
    lines, children = [], []
    for remedy in sides:
        here, there = context.Pipe()
        children.append(context.Process(target=measured, args=(base, remedy, batch, steps, there)))
        children[-1].start()
        there.close()
        lines.append(here)
    told: list[Told | None] = [None] * len(sides)
    try:
        while None in told:
            for place, line in enumerate(lines):
                if told[place] is None:
                    line.send("go on")
                    told[place] = line.recv()  # None after a step
    except EOFError:
        raise RuntimeError(f"{sides[0].label or 'no remedy'}: a training ended without a word") from None
    finally:
        for line in lines:
            line.close()
        for child in children:
            child.join()
    return [each for each in told if each is not None]


def measured(base: Encoder, remedy: RemedySpec, batch: int, steps: int, line: Connection) -> None:
    """Train, each step only when the line says so; what it tells at last is a `Told`."""
    if not remedy.needs <= Full().gives:
        line.recv()
        line.send(Told(refused=f"it needs {', '.join(sorted(remedy.needs - Full().gives))}"))
        return
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
    told, began, done = Told(), (0.0, 0.0), 0

    def after_a_step() -> bool:
        nonlocal began, done
        done += 1
        if done == 1:
            told.task = run.sums["task"]
        if done > WARM:
            told.seconds.append(time.perf_counter() - began[0])
            told.cpu.append(time.process_time() - began[1])
        if done < steps:
            line.send(None)
            line.recv()
        began = time.perf_counter(), time.process_time()
        return False

    line.recv()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            stream = Stream(source, order, SEED, base.transform)
            keeper = Keeper(Path(scratch), {"made": "here"})
            loop.train(run, remedy.hooks(), stream, keeper, should_stop=after_a_step)
    except UserError as error:
        line.send(Told(refused=str(error)))
        return
    told.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line.send(told)


def _ratio(own: Told, plain: Told) -> float:
    """Of steps that were made one after the other."""
    return float(np.median(np.divide(own.seconds, plain.seconds)))


def _row(remedy: RemedySpec, runs: Sequence[tuple[Told, Told]], batch: int) -> dict[str, Any]:
    if runs[0][0].refused:
        return {"refused": runs[0][0].refused}
    ratios = [_ratio(own, plain) for own, plain in runs]
    of_cpu = statistics.median(float(np.median(np.divide(own.cpu, plain.cpu))) for own, plain in runs)
    peak, other = (statistics.median(each.peak for each in side) for side in zip(*runs, strict=True))
    share, kind = remedy.beside / batch, kind_of(type(remedy))
    aim = round(1 + share + 0.05, 4) if kind == "replay" else AIMS.get(kind)
    plainly = remedy == type(remedy).model_validate(FIELDS.get(kind, {}))
    return {
        "ms_a_step": round(1000 * statistics.median(float(np.median(own.seconds)) for own, _ in runs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
        "ratio_of_cpu_time": round(of_cpu, 3),
        **({"aim": aim} if aim and plainly else {}),
        "share_of_images_added": round(share, 3),
        "peak_mb": round(peak),
        "mb_more": round(peak - other),
        "same_task_loss": all(own.task == plain.task for own, plain in runs),
    }


if __name__ == "__main__":
    main()
