"""Numbers that a change of the house must not move, as this checkout makes them: `python -m tests.golden.values` prints them as JSON.

Keys of the trials of every preset, fingerprints of transforms and encoders, how many results each preset owes, the bytes of the report's
tables on a sweep of closed forms, and the weights after a short training. The last depend on the processor's vector instructions and on
torch, which are told beside them.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from upath import UPath

from gelo.analysis.report import write_report
from gelo.models.adapt import Full, Lora
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.zoo import load_backbone
from gelo.models.heads import Binary
from gelo.sweeps.spec.sweep import load_spec
from gelo.sweeps.stages.embed import pairs_of
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.owed import owed as of_trial
from gelo.tasks.ledger.trial import Training, Trial
from tests.analysis.sweeps import demo
from tests.tasks.pictures import encode

# Name -> the preset, or the file that holds one as it was
PRESETS = {
    "demo": "demo",
    "demo-remedies": str(Path(__file__).with_name("first-remedies.yaml")),
    "paper": "paper",
}
NAMES = ("ViT-B/16", "ViT-L/14", "mini-l", "mini-s")


def keys() -> dict[str, dict[str, str]]:
    """Preset -> label -> key of each trial."""
    return {name: {trial.label: trial.key for trial in load_spec(of).trials()} for name, of in PRESETS.items()}


def owed() -> dict[str, int]:
    """Preset -> how many results its trials owe together."""
    counts = {}
    for name, of in PRESETS.items():
        spec = load_spec(of)
        pairs = pairs_of(spec, Path("nowhere"))
        counts[name] = sum(len(list(of_trial(pairs, trial.task))) for trial in spec.trials())
    return counts


def fingerprints() -> dict[str, Any]:
    """Of the transforms of the named backbones, and of the two towers of the shipped ones."""
    encoders = {name: load_backbone(name) for name in ("mini-s", "mini-l")}
    return {
        "transforms": {name: resolve(name).transform.fingerprint for name in sorted(NAMES)},
        "encoders": {name: [each.vision_fingerprint, each.text_fingerprint] for name, each in encoders.items()},
    }


def tables() -> dict[str, str]:
    """File -> SHA-256 of each CSV of the report on tests/analysis/sweeps.py's demo."""
    with tempfile.TemporaryDirectory() as scratch:
        demo(Path(scratch), wise=True)
        write_report(scratch, "demo")
        found = sorted((Path(scratch) / "demo" / "report").glob("*.csv"))
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in found}


def trained() -> dict[str, dict[str, Any]]:
    """Way -> SHA-256 of the encoder and the head after two epochs of eight steps, and the losses."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    records = [
        Record(f"{n}", encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "PNG"), n % 2) for n in range(64)
    ]
    ways = {"full": Full(), "lora": Lora(rank=4, alpha=4.0), "lora with dropout": Lora(rank=4, alpha=4.0, dropout=0.25)}
    training = Training(
        data="noise", epochs=2, batch=8, lr_backbone=1e-3, lr_head=1e-2, weight_decay=0.05, clip=5.0, schedule="cosine",
        warmup_epochs=1, sampler="shuffled", augment="flip",
    )  # fmt: skip
    base, found = load_backbone("mini-s"), {}
    with tempfile.TemporaryDirectory() as scratch:
        dataset = write_dataset(
            Path(scratch) / "noise", name="noise", version="1", scale="miniature", classes=("attack", "bona fide"),
            splits={"train": records}, source="a test", licence="Apache-2.0",
        )  # fmt: skip
        for name, adaptation in ways.items():
            trial = Trial(
                backbone="mini-s", task="morphs", collection="miniature", adaptation=adaptation, head=Binary(),
                training=training, seed=5,
            )  # fmt: skip
            folder = TrialFolder(UPath(scratch) / name)
            assert train(trial, base, dataset, Path(scratch) / "cache", folder)
            files = {part: Path(str(folder.trained)) / f"{part}.safetensors" for part in ("encoder", "head")}
            found[name] = {
                **{part: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for part, file in files.items()},
                "loss": [row["loss"] for row in folder.training()["history"]],
            }
    return found


def machine() -> dict[str, str]:
    """What equal bits of training need to be equal. Two processors of one instruction set do not add in the same order."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else platform.processor()
    pairs = (line.partition(":") for line in told.split("\n\n")[0].splitlines())
    first = {key.strip(): value.strip() for key, _, value in pairs}
    named = [first.get(key, "") for key in ("vendor_id", "cpu family", "model", "stepping", "cache size", "flags")]
    return {
        "processor": hashlib.sha256(" ".join(named).encode()).hexdigest()[:16],
        "torch": torch.__version__.partition("+")[0],
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    parts = (keys, owed, fingerprints, tables, trained, machine)
    print(json.dumps({part.__name__: part() for part in parts}, indent=1))
