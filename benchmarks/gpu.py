"""Training and encoding on a GPU: images a second, the share of the card's peak that is reached, and what a bare PyTorch loop reaches.

`python -m benchmarks.gpu` on any CUDA machine, with nothing prepared; writes its table to out/gpu.md. ours: gelo's own loop
(`gelo.models.training.loop`) on random images that lie ready; theirs: forward, loss, backward, clipping and AdamW under the same kernels
and precision. ViT-B/16 and ViT-L/14 of random weights, fully and by LoRA, in fp32, tf32 and bf16; then the pass that makes features. The
headline is the smallest ratio of all trainings. --peak TFLOPS names the card's bf16 peak where it is not known here. Without CUDA it says
`absent`; --smoke there runs the same code on a tiny tower and the CPU, in fp32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.line import finish, note
from benchmarks.towers import DIM, FULL, TINY, tower
from gelo.models.adapt import AdaptationSpec, Full, Lora, adapt
from gelo.models.backbones.geometry import Geometry
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.heads import CosFace
from gelo.models.heads.head import Head
from gelo.models.remedies import NoRemedy
from gelo.models.texttower import TextTower
from gelo.models.training import loop
from gelo.models.training.footprint import Plan
from gelo.models.training.keeper import Keeper
from gelo.models.training.run import Run
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Optimisation
from gelo.models.training.stream import Stream
from gelo.models.training.switches import arithmetic
from gelo.models.training.world import World

WAYS: dict[str, AdaptationSpec] = {"full": Full(), "lora": Lora(rank=16, alpha=16.0)}
PRECISIONS = ("fp32", "tf32", "bf16")
CLASSES, AIM = 1_000, ">= 0.95 of a bare loop; >= 40 % of the peak in bf16"
PEAKS = {
    "H100": 990.0,
    "H200": 990.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "V100": 125.0,
}  # dense, 16 bits


@dataclass
class Ready:
    """A Source of random images in memory."""

    side: int
    count: int
    name: str = "noise/train"
    fingerprint: str = "noise"
    labels: Any = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.labels = np.arange(self.count) % CLASSES
        self.pixels = rng.integers(0, 256, (self.count, self.side, self.side, 3), dtype=np.uint8)

    def take(self, rows: NDArray[np.integer], draws: object, own: slice) -> NDArray[np.uint8]:
        return self.pixels[rows[own]]

    def column(self, name: str) -> NDArray[np.object_]:
        raise KeyError(name)

    def prompts(self) -> list[list[str]]:
        return []

    def classifier(self, base: Encoder) -> Tensor:
        raise KeyError("classes of noise")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--peak", type=float, help="TFLOPS of this card in bf16")
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    cuda = torch.cuda.is_available()
    if not cuda and not given.smoke:
        print(json.dumps({"name": "gpu", "absent": "no CUDA device on this machine"}))
        return
    device = torch.device("cuda" if cuda else "cpu")
    card = torch.cuda.get_device_name() if cuda else "CPU"
    peak = given.peak or next((value for name, value in PEAKS.items() if cuda and name in card), None)
    names, batch, steps, rounds = (("tiny",), 8, 3, 1) if given.smoke else (tuple(FULL), given.batch, 20, 3)
    rows: list[dict[str, Any]] = []
    for name in names:
        for way in WAYS:
            for precision in PRECISIONS if cuda else PRECISIONS[:1]:
                row = _training(name, way, precision, batch, steps, rounds, device)
                if peak:
                    row["share_of_bf16_peak"] = round(row["ours"] * row["flops_an_image"] / (peak * 1e12), 4)
                rows.append(row)
                note(f"{name} {way} {precision}: {row['ours']:.1f} / {row['theirs']:.1f} images a second")
    features = {name: round(_features(name, 4 * batch, steps, device), 1) for name in names}
    if not given.smoke:
        _write(rows, features, card)
    worst = min(rows, key=lambda row: row["ours"] / row["theirs"])
    label = f"{worst['model']} {worst['way']} {worst['precision']}"
    detail = {
        "card": card,
        "peak_tflops_bf16": peak,
        "batch": batch,
        "features_images_a_second": features,
        "trainings": rows,
    }
    finish("gpu", [worst["ours"]], [worst["theirs"]], f"images a second ({label})", AIM, detail)


def _training(
    name: str, way: str, precision: str, batch: int, steps: int, rounds: int, device: torch.device
) -> dict[str, Any]:
    """Medians of interleaved rounds; the first steps of each are not counted."""
    settings = Optimisation.model_validate(
        {"epochs": 1, "batch": batch, "lr_backbone": 1e-5, "lr_head": 1e-4, "weight_decay": 0.05, "clip": 5.0, "schedule": "constant",
         "warmup_epochs": 0, "sampler": "shuffled", "precision": precision}
    )  # fmt: skip
    visual, side, dim = tower(name)
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    losses: dict[str, list[float]] = {"ours": [], "theirs": []}
    sides: dict[str, Callable[..., tuple[float, float]]] = {"ours": _ours, "theirs": _theirs}
    for number in range(rounds):
        for which in sorted(sides, reverse=number % 2 == 1):
            speed, loss = sides[which](visual.to(device), side, dim, WAYS[way], settings, steps, device)
            found[which].append(speed)
            losses[which].append(loss)
    assert abs(losses["ours"][0] - losses["theirs"][0]) < 0.02 * losses["theirs"][0], f"both learn the same: {losses}"
    shape = FULL.get(name, TINY)
    size = Geometry(
        shape["layers"], shape["width"], shape["width"] // shape["head_width"], 4 * shape["width"], shape["patch_size"], side, DIM[name],
        True, 0,
    )  # fmt: skip
    plan = Plan(size, WAYS[way], settings, CLASSES, where="cuda")
    ours, theirs = (float(np.median(found[which])) for which in ("ours", "theirs"))
    row = {"model": name, "way": way, "precision": precision, "ours": round(ours, 2), "theirs": round(theirs, 2)}
    row |= {"ratio": round(ours / theirs, 4), "flops_an_image": plan.operations()}
    if device.type == "cuda":
        row |= {
            "predicted_gb": round(plan.footprint().peak / 1e9, 2),
            "peak_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2),
        }
        torch.cuda.reset_peak_memory_stats()
    return row


def _ours(
    visual: nn.Module,
    side: int,
    dim: int,
    way: AdaptationSpec,
    settings: Optimisation,
    steps: int,
    device: torch.device,
) -> tuple[float, float]:
    """(images a second, mean loss) of gelo's loop, clocked where it asks whether to stop."""
    source = Ready(side, settings.batch * (steps + 2))
    base = _encoder(visual, side, dim, device)
    model, head = adapt(visual, way, 0).to(device), Head(CosFace(), dim, CLASSES, 0).to(device)
    order = Batches("shuffled", source.labels, 0, settings.batch)
    run = Run(base, model, head, settings, 0, order.steps, {}, World(device=device))
    marks: list[float] = []

    def asked() -> bool:
        marks.append(_now(device))
        return False

    with tempfile.TemporaryDirectory() as scratch:
        stream = Stream(source, order, 0, base.transform)
        loop.train(run, NoRemedy().hooks(), stream, Keeper(Path(scratch), {}), should_stop=asked)
    return settings.batch * steps / (marks[-1] - marks[-1 - steps]), run.history[-1]["loss"]


def _theirs(
    visual: nn.Module,
    side: int,
    dim: int,
    way: AdaptationSpec,
    settings: Optimisation,
    steps: int,
    device: torch.device,
) -> tuple[float, float]:
    """The same by torch alone, on batches that lie on the device."""
    source = Ready(side, settings.batch * (steps + 2))
    order = Batches("shuffled", source.labels, 0, settings.batch)
    made, head = adapt(visual, way, 0).to(device), Head(CosFace(), dim, CLASSES, 0).to(device)
    transform, network, moving = Transform(size=side), made.network.train(), list(made.trainable().values())
    both = [
        torch.optim.AdamW(moving, lr=settings.lr_backbone, weight_decay=settings.weight_decay),
        torch.optim.AdamW(head.parameters(), lr=settings.lr_head, weight_decay=settings.weight_decay),
    ]
    marks, total = [], 0.0
    with arithmetic(settings, device):
        for step in range(order.steps):
            rows = order.at(0, step)
            pixels = transform.normalise(torch.from_numpy(source.pixels[rows]).to(device))
            labels = torch.from_numpy(source.labels[rows]).to(device)
            for optimiser in both:
                optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                features = network(pixels)
            loss = head.loss(features.float(), labels)
            loss.backward()
            for group, optimiser in ((moving, both[0]), (list(head.parameters()), both[1])):
                nn.utils.clip_grad_norm_(group, settings.clip)
                optimiser.step()
            total += float(loss.detach())
            marks.append(_now(device))
    return settings.batch * steps / (marks[-1] - marks[-1 - steps]), total / order.steps


def _features(name: str, batch: int, passes: int, device: torch.device) -> float:
    """Images a second of `Encoder.encode_images`, float32."""
    visual, side, dim = tower(name)
    encoder = _encoder(visual.to(device), side, dim, device)
    pixels = Ready(side, batch).pixels
    encoder.encode_images(pixels)
    started = _now(device)
    for _ in range(passes):
        encoder.encode_images(pixels)
    return batch * passes / (_now(device) - started)


def _encoder(visual: nn.Module, side: int, dim: int, device: torch.device) -> Encoder:
    """An encoder that is never asked for texts."""
    text = TextTower(nn.Identity(), lambda texts: torch.zeros(len(texts), 1), {})
    return Encoder(visual, text, Transform(size=side), name="noise", dim=dim, scale="full", config={}, device=device)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _write(rows: list[dict[str, Any]], features: dict[str, float], card: str) -> None:
    heads = list(rows[0])
    lines = [f"# {card}, torch {torch.__version__}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(row[head]) for head in heads) + " |" for row in rows]
    lines += ["", *(f"features, {name}: {speed} images a second" for name, speed in features.items()), ""]
    place = Path("out") / "gpu.md"
    place.parent.mkdir(exist_ok=True)
    place.write_text("\n".join(lines))
    note(f"table: {place}")


if __name__ == "__main__":
    main()
