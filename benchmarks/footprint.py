"""The predicted peak memory of a trial against that of the process that trains it, weights read and results published.

ours: `gelo.models.training.footprint`; theirs: the resident peak that the system tells. Each case is a process of its own with one thread;
the headline is the case that is furthest off. ViT-B/16 has random weights. On a machine with a GPU the cards' peaks are compared too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from upath import UPath

from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.backbones.geometry import geometry
from gelo.models.backbones.registry import BACKBONES, config_path
from gelo.models.backbones.zoo import build_model, load_backbone
from gelo.models.training.footprint import Plan
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.ledger.trial import Trial

LORA = {"kind": "lora", "rank": 16}
B16 = "ViT-B/16"
CASES: dict[str, dict[str, Any]] = {  # mini: batch 128; ViT-B/16: batch 2 and 8, two steps an epoch
    "mini-s full, batch 32": {"backbone": "mini-s", "batch": 32},
    "mini-l full, batch 128": {"backbone": "mini-l", "batch": 128},
    "mini-l LoRA, batch 128": {"backbone": "mini-l", "batch": 128, "adaptation": LORA},
    "B/16 full, batch 2": {"backbone": B16, "batch": 2},
    "B/16 full, batch 8": {"backbone": B16, "batch": 8},
    "B/16 LoRA, batch 2": {"backbone": B16, "batch": 2, "adaptation": LORA},
    "B/16 LoRA, batch 8": {"backbone": B16, "batch": 8, "adaptation": LORA},
    "B/16 LoRA with dropout, batch 16": {"backbone": B16, "batch": 16, "adaptation": LORA | {"dropout": 0.25}},
    "B/16 full recomputed, batch 16": {"backbone": B16, "batch": 16, "checkpointing": True},
    "B/16 full, batch 16": {"backbone": B16, "batch": 16},
}
SMOKE = ("mini-s full, batch 32",)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", nargs="*", help="these cases")
    parser.add_argument("--case", help="(internal) train one and print its peaks")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(peaks(**json.loads(given.case))))
        return
    chosen = SMOKE if given.smoke else given.only or tuple(CASES)
    predicted: dict[str, float] = {}
    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            for where, (ours, theirs) in _case(Path(scratch), **CASES[name]).items():
                label = name if where == "cpu" else f"{name}, on the card"
                predicted[label], measured[label] = ours, theirs
                note(f"{label}: {ours / 1e9:.2f} GB predicted, {theirs / 1e9:.2f} measured, {ours / theirs:.3f}")
    worst = max(predicted, key=lambda name: abs(predicted[name] / measured[name] - 1))
    detail = {
        name: {
            "predicted_gb": round(predicted[name] / 1e9, 3),
            "measured_gb": round(measured[name] / 1e9, 3),
            "ratio": round(predicted[name] / measured[name], 3),
        }
        for name in predicted
    }
    finish(
        "footprint", [predicted[worst] / 1e9], [measured[worst] / 1e9], f"GB ({worst})", "0.8 to 1.2, all cases", detail
    )


def _case(place: Path, backbone: str, batch: int, **changes: Any) -> dict[str, tuple[float, float]]:
    """By place (cpu, cuda): predicted and measured bytes."""
    adaptation = changes.pop("adaptation", {"kind": "full"})
    training = {
        "data": "noise", "epochs": 2, "batch": batch, "lr_backbone": 1e-5, "lr_head": 1e-3, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip", **changes,
    }  # fmt: skip
    trial = {
        "backbone": backbone, "task": "morphs", "collection": "miniature", "adaptation": adaptation, "head": {"kind": "cosface"},
        "training": training,
    }  # fmt: skip
    data = place / f"{2 * batch}"
    if not data.exists():
        noise(data, 2 * batch)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        given = {"trial": trial, "data": str(data / "noise"), "weights": _weights(place, backbone), "place": scratch}
        command = [sys.executable, "-m", "benchmarks.footprint", "--case", json.dumps(given)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = Trial.model_validate(trial)
    size = geometry(backbone)
    assert size is not None and found.training is not None
    told = json.loads(told.strip().splitlines()[-1])
    return {
        where: (Plan(size, found.adaptation, found.training, 2, where=where).footprint().peak, told[where])
        for where in told
    }


def peaks(trial: dict[str, Any], data: str, weights: str | None, place: str) -> dict[str, float]:
    """Train in this process; the most that it held, and the most that the card held."""
    import ray.tune  # noqa: F401  # as in a trial of a sweep

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = load_backbone(trial["backbone"], Path(weights) if weights else None, device=device)
    train(Trial.model_validate(trial), base, open_dataset(Path(data)), Path(place) / "cache", TrialFolder(UPath(place)))
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        outside = total - free - torch.cuda.memory_reserved()
        return {"cuda": float(torch.cuda.max_memory_reserved() + outside)}
    return {"cpu": 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def _weights(place: Path, backbone: str) -> str | None:
    """Random ones, where gelo ships none."""
    if BACKBONES[backbone].file:
        return None
    path = place / f"{backbone.replace('/', '-')}.safetensors"
    if not path.exists():
        architecture = BACKBONES[backbone].architecture
        config = config_path(architecture)
        assert config is not None
        save_file({name: t.contiguous() for name, t in build_model(architecture, config).state_dict().items()}, path)
    return str(path)


if __name__ == "__main__":
    main()
