"""Train a miniature backbone from scratch: `python -m gelo.tasks.mini.pretrain --model mini-s --steps 6000 --minutes 60`.

`mini-s-people` and `mini-l-people` train on from the published mini-s and mini-l, on the pool `people` (docs/miniature.md).

Every batch is a function of the seed and the step, so a run that was stopped (by --minutes, Ctrl-C or a kill) continues with
`--resume` where its last checkpoint stands. The rate warms up, stays, and falls by a cosine over the last --decay steps; the state
before the fall is kept, so that `--resume --steps MORE` trains on from there. Weights are published float16 at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from gelo.models.backbones.registry import MINI
from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.zoo import build_model
from gelo.models.durable import publish_bytes
from gelo.tasks.mini import pool
from gelo.tasks.mini.card import CONTINUED, card
from gelo.tasks.mini.grow import grown
from gelo.tasks.mini.objective import AttributeHeads, loss, targets_of
from gelo.tasks.mini.vocabulary import MERGES
from gelo.tasks.mini.watch import photographs, zero_shot

WARMUP = 300
SHIFT = 3  # pixels: pool images are moved by up to this much
CLIP_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made of, beside the model. Steps are optimiser steps; decay is their last part."""

    steps: int
    decay: int
    batch: int
    rate: float
    seed: int = 0
    weight_decay: float = 0.05

    def rate_at(self, step: int) -> float:
        """Learning rate of this step, counted from 0."""
        rise = min(1.0, (step + 1) / WARMUP)
        into = max(0, step - (self.steps - self.decay)) / max(1, self.decay)
        return self.rate * rise * (0.5 + 0.5 * math.cos(math.pi * min(1.0, into)))


class Run:
    """Model, heads and optimiser of one run and the folder of its checkpoints."""

    def __init__(self, name: str, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.name, self.recipe, self.folder = name, recipe, folder
        self.pool = pool.PEOPLE if name in CONTINUED else pool.GENERAL
        config = json.loads((MINI / f"{name}.json").read_text())
        with torch.random.fork_rng(devices=[]):
            model = build_model(name, MINI / f"{name}.json")
        assert isinstance(model, CLIP)
        self.model = model.train()
        self.tokenizer = SimpleTokenizer(bpe_path=str(MERGES), context_length=config["text_cfg"]["context_length"])
        self.heads = AttributeHeads(config["embed_dim"], self.pool.classes)
        if name in CONTINUED:
            self.model.load_state_dict(safetensors.torch.load_file(MINI / f"{CONTINUED[name]}.safetensors"))
        parameters = [*self.model.parameters(), *self.heads.parameters()]
        kept = [p for p in parameters if p.ndim < 2]
        shrunk = [p for p in parameters if p.ndim >= 2]
        groups = [{"params": shrunk, "weight_decay": recipe.weight_decay}, {"params": kept, "weight_decay": 0.0}]
        self.parameters = parameters
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), eps=1e-6)
        self.step = 0
        self.seconds = 0.0

    def advance(self, shards: list[pool.Shard]) -> dict[str, float]:
        """One optimiser step on the batch that belongs to this step."""
        rng = np.random.Generator(np.random.PCG64([self.recipe.seed, self.step]))
        pixels, captions, targets = _batch(rng, shards, self.recipe.batch, self.pool)
        bare, _ = pool.bare_captions(rng, self.pool)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        terms = loss(self.model, self.heads, pixels, self.tokenizer(captions), self.tokenizer(bare), targets)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimiser.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def save(self, file: str = "last.pt") -> None:
        """Checkpoint in the run's folder: whole or not at all."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save({**state, "step": self.step, "seconds": self.seconds}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self) -> None:
        """Continue from the newest checkpoint that this recipe could have written; from the beginning when there is none."""
        for file in ("last.pt", "stable.pt"):
            path = self.folder / file
            if not path.is_file():
                continue
            state: dict[str, Any] = torch.load(path, weights_only=True)
            if file == "last.pt" and not self._fits(state["step"]):
                continue
            self.model.load_state_dict(state["model"])
            self.heads.load_state_dict(state["heads"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = state["step"], state["seconds"]
            return

    def grow(self, smaller: str) -> None:
        """Start from a published smaller backbone of the same widths: see `tasks.mini.grow`."""
        self.model.load_state_dict(
            grown(self.model.state_dict(), safetensors.torch.load_file(MINI / f"{smaller}.safetensors"))
        )

    def publish(self, folder: Path = MINI) -> None:
        """Write the weights, float16, to `folder`: in models/mini `load_backbone` finds them. Beside those that train on, their card."""
        state = {key: tensor.detach().half().contiguous() for key, tensor in self.model.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        publish_bytes(folder / f"{self.name}.safetensors", safetensors.torch.save(state))
        if self.name in CONTINUED:
            text = card(self.name, self.recipe, self.seconds, self.tokenizer, folder / f"{self.name}.safetensors")
            publish_bytes(folder / f"{self.name}.md", text.encode())

    def watched(self) -> dict[str, float]:
        """What it can do zero-shot on images that no data set holds, in [0, 1] by set."""
        seen = photographs(self.model, self.tokenizer) if self.name in CONTINUED else {}
        return {**zero_shot(self.model, self.tokenizer), **seen}

    def _fits(self, step: int) -> bool:
        """A checkpoint inside another recipe's fall is no use to a longer run: its rate had fallen already."""
        stable = self.folder / "stable.pt"
        return (
            not stable.is_file()
            or step <= self.recipe.steps - self.recipe.decay
            or self._planned() == self.recipe.steps
        )

    def _planned(self) -> int:
        plan = self.folder / "plan.json"
        return int(json.loads(plan.read_text())["steps"]) if plan.is_file() else self.recipe.steps


def train(run: Run, shards: list[pool.Shard], minutes: float, watch: int) -> bool:
    """Train until the recipe's end (True) or for `minutes` (False); every `watch` steps save and print what it can do."""
    started = last = time.monotonic()
    terms: dict[str, float] = {}
    publish_bytes(run.folder / "plan.json", json.dumps({"steps": run.recipe.steps}).encode())
    while run.step < run.recipe.steps:
        if run.step == run.recipe.steps - run.recipe.decay:
            run.save("stable.pt")
        terms = run.advance(shards)
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
        over = now - started > 60 * minutes
        if over or run.step % watch == 0 or run.step == run.recipe.steps:
            run.save()
            scores = run.watched()
            told = (
                " ".join(f"{k} {v:.2f}" for k, v in terms.items())
                + " | "
                + " ".join(f"{k} {100 * v:.0f}" for k, v in scores.items())
            )
            print(f"{run.name} step {run.step} of {run.recipe.steps}, {run.seconds / 60:.1f} min | {told}", flush=True)
            last = time.monotonic()
        if over:
            return run.step >= run.recipe.steps
    return True


def _batch(
    rng: np.random.Generator, shards: list[pool.Shard], size: int, kind: pool.Pool = pool.GENERAL
) -> tuple[Tensor, list[str], dict[str, Tensor]]:
    rows = rng.integers(len(shards) * pool.SHARD, size=size)
    picked = [(shards[row // pool.SHARD], int(row % pool.SHARD)) for row in rows]
    worlds = np.array([shard.worlds[i] for shard, i in picked])
    labels = np.array([shard.labels[i] for shard, i in picked])
    words = [shard.words[i] for shard, i in picked]
    drawn = zip(worlds, labels, words, strict=True)
    captions = [pool.caption(rng, int(world), int(label), said, kind) for world, label, said in drawn]
    images = np.stack([_moved(rng, shard.images[i]) for shard, i in picked])
    pixels = Transform(size=64).normalise(torch.from_numpy(images))
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, size=(size, 1, 1, 1)).astype(np.float32))
    return pixels * gain, captions, targets_of(worlds, labels, words, kind)


def _moved(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image shifted by a few pixels, its border repeated."""
    down, right = rng.integers(-SHIFT, SHIFT + 1, size=2)
    at = np.arange(len(image))
    return image[np.clip(at + down, 0, len(image) - 1)][:, np.clip(at + right, 0, len(image) - 1)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gelo.tasks.mini.pretrain", description="Train a miniature backbone."
    )
    parser.add_argument("--model", choices=("mini-s", "mini-l", *CONTINUED), required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--decay", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=32, help="of 4096 images each")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop and save after this long")
    parser.add_argument("--watch", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/pretrain"))
    parser.add_argument("--grow", choices=("mini-s",), help="start from this published backbone instead of from noise")
    parser.add_argument("--publish", type=Path, default=MINI, help="where the weights go when all steps are done")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    if given.grow and given.model in CONTINUED:
        parser.error(f"--grow: {given.model} trains on from {CONTINUED[given.model]}")
    torch.set_num_threads(given.threads)
    recipe = Recipe(given.steps, given.decay, given.batch, given.rate, given.seed)
    run = Run(given.model, recipe, given.out / given.model)
    if given.grow:
        run.grow(given.grow)
    if given.resume:
        run.resume()
    kind = "people" if given.model in CONTINUED else "general"
    if train(run, pool.prepare(given.out, given.shards, kind=kind), given.minutes, given.watch):
        run.publish(given.publish)
    else:
        print(f"stopped at step {run.step}; the same command with --resume continues")


if __name__ == "__main__":
    main()
