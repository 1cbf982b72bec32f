"""One rank of a run that several processes share: `python -m tests.models.two_processes RANK SIZE STORE OUT CASE...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from gelo.models.adapt import AdaptationSpec, Full, LayerNorm, Lora, LoraExperts, LpFt
from gelo.models.backbones.zoo import load_backbone
from gelo.models.heads import AdaFace, CosFace, HeadSpec
from gelo.models.remedies import (
    EMA,
    EWC,
    FLYP,
    L2SP,
    PMG,
    ZSCL,
    Budget,
    Counterfactual,
    Distill,
    LanguageContrast,
    LwF,
    RemedySpec,
    Replay,
    SelectiveCalibration,
    Stack,
    SupCon,
)
from gelo.models.training.world import World
from tests.models.toy_run import go, pulling

CASES: dict[str, tuple[AdaptationSpec, RemedySpec | None, int]] = {
    "full": (Full(), None, 1),
    "lora": (Lora(rank=4), None, 1),
    "experts": (LoraExperts(rank=2), L2SP(strength=0.1), 1),
    "distill": (Full(), Distill(), 1),
    "ewc": (Lora(rank=4), EWC(reference="noise/train", strength=50.0, images=4), 1),
    "replay": (Lora(rank=4), Replay(reference="noise/train", batch=4), 1),
    "stack": (
        Lora(rank=4),
        Stack(remedies=(L2SP(strength=0.1), Replay(reference="noise/train", batch=4), EMA(decay=0.5))),
        1,
    ),
    "pmg": (Lora(rank=4), PMG(reference="noise/train", epsilon=8.0, step_size=4.0), 2),
    "counterfactual": (Lora(rank=4), Counterfactual(reference="noise/train", batch=4, grid=2, most=4), 1),
    "mean": (Lora(rank=4), EMA(rule="mean", every=2), 1),
    "zscl": (Lora(rank=4), ZSCL(reference="noise/train", batch=4, every=2, l2=0.1), 1),
    "losses": (
        Full(),
        Stack(
            remedies=(
                Distill(strength=100.0, layers="inner"),
                LwF(reference="noise/train"),
                SupCon(),
                LanguageContrast(),
            )
        ),
        1,
    ),
    "flyp both": (Full(towers="both"), FLYP(task_weight=0), 1),
    "flyp neutral": (LayerNorm(towers="both"), FLYP(weight=0), 1),  # no process has a gradient of the text tower
    "budget": (Full(), Budget(share=0.5), 1),
    "pulled": (Lora(rank=4), L2SP(strength=0.1), 2),
    "accumulate": (Lora(rank=4), Replay(reference="noise/train", batch=4), 2),
}
PULLED = {"pulled"}  # are looked at, how far the weights went and how steep a loss is
# 23 classes: one process holds 12 of them, the other 11
HEADS: dict[str, HeadSpec] = {"cosface": CosFace(), "sampled": AdaFace(sample=0.6), "few": CosFace(sample=0.1)}
HEADS["budget"] = CosFace()
CASES |= {"cosface": (Lora(rank=4), None, 1), "sampled": (Lora(rank=4), None, 1), "few": (LpFt(), None, 2)}
HEADS["selective"] = CosFace(scale=8.0)  # its columns lie on two processes
CASES["selective"] = (Lora(rank=4), SelectiveCalibration(selective=5), 1)


def run(case: str, world: World, out: Path, stop_after: int | None = None) -> None:
    """In float64, where rounding is no matter. Rank 0 writes what trained to out/CASE.safetensors; checkpoints lie in out/CASE."""
    adaptation, remedy, accumulate = CASES[case]
    encoder = load_backbone("mini-s")
    encoder.visual.double()
    encoder.text.model.double()
    encoder.visual.register_forward_pre_hook(lambda module, given: (given[0].double(),))
    chosen: dict[str, Any] = {"head": HEADS[case], "classes": 23, "clip": 0.5} if case in HEADS else {}
    if case in PULLED:
        chosen["watch"] = pulling(encoder)
    ended = go(
        encoder, adaptation, out / case, remedy, world=world, stop_after=stop_after, accumulate=accumulate, **chosen
    )
    tensors = ended.tensors()
    if world.rank == 0:
        save_file(tensors, out / f"{case}.safetensors")
        (out / f"{case}.json").write_text(json.dumps(ended.run.curve.drifts))


if __name__ == "__main__":
    rank, size, store, out, *asked = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(size))
    for each in asked:
        name, _, steps = each.partition(":")
        run(name, World(int(rank), int(size)), Path(out), int(steps) if steps else None)
    dist.destroy_process_group()
