"""Sweep folders with known numbers, written with the real `Result`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gelo.tasks.results import Result


def write_trial(
    root: Path, key: str, backbone: str, task: str, adaptation: Mapping[str, Any] | str = "none", **more: Any
) -> Path:
    """One trial's folder; `more`: remedy, seed, training (of training.json), settings (the training fields of trial.json)."""
    folder = root / "trials" / key
    folder.mkdir(parents=True)
    way = {"kind": adaptation} if isinstance(adaptation, str) else dict(adaptation)
    described = {"key": key, "backbone": backbone, "task": task, "adaptation": way, "seed": more.get("seed", 0)}
    described |= {"remedy": more.get("remedy", {"kind": "none"}), "training": more.get("settings")}
    (folder / "trial.json").write_text(json.dumps(described))
    if "training" in more:
        (folder / "trained").mkdir()
        (folder / "trained" / "training.json").write_text(json.dumps(more["training"]))
    return folder


def write_result(folder: Path, suite: str, dataset: str, values: Mapping[str, float], **more: Any) -> None:
    """One result file; values keyed `part/leaf`."""
    result = Result(
        suite=suite,  # type: ignore[arg-type]
        dataset=dataset,
        protocol=more.get("protocol", suite),
        protocol_version=1,
        scale=more.get("scale", "miniature"),
        values={f"{suite}/{name}": value for name, value in values.items()},
        intervals={f"{suite}/{name}": pair for name, pair in more.get("intervals", {}).items()},
        absent={f"{suite}/{name}": reason for name, reason in more.get("absent", {}).items()},
        counts=more.get("counts", {"images": 300}),
        vision=more.get("vision", ""),
        notes=more.get("notes", {}),
    )
    target = folder / "results" / suite / f"{dataset}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(result.model_dump_json())


def write_sweep(storage: Path, name: str = "demo", **spec: Any) -> Path:
    """`<storage>/<name>` with its sweep.json."""
    root = storage / name
    root.mkdir(parents=True)
    (root / "sweep.json").write_text(json.dumps({"name": name, **spec}))
    return root


SETS = ("shapes", "textures", "colours", "counts", "signs", "scripts", "scenes", "flags", "digits", "shapes_shifted")
TASKS = ("faces", "morphs", "spoofs")
KEPT = {  # the share that each trial keeps, by task and adaptation; the larger backbone keeps 0.05 more of what is lost
    ("faces", "full"): 0.70, ("faces", "lora"): 0.85, ("morphs", "full"): 0.90, ("morphs", "lora"): 0.97,
    ("spoofs", "full"): 0.93, ("spoofs", "lora"): 0.99,
}  # fmt: skip


def demo(storage: Path, *, wise: bool = False) -> Path:
    """14 trials as in the demo, every number a closed form."""
    root = write_sweep(storage, backbones=["mini-s", "mini-l"])
    for size, backbone in enumerate(("mini-s", "mini-l")):
        base = write_trial(root, f"b{size}", backbone, "none")
        _results(base, 1.0, size, "none", 0.0)
        for task in TASKS:
            for way in ("full", "lora"):
                share = 1 - (1 - KEPT[task, way]) * (1 - 0.3 * size)
                ledger = [
                    {"part": "visual", "tensors": 10, "parameters": 1_000_000 * (1 + size), "trains": way == "full"}
                ]
                training = {
                    "train_seconds": 12.5 + size,
                    "trainable_parameters": 1_000_000 * (1 + size) if way == "full" else 20_000,
                    "history": [{"epoch": e, "loss": 3.0 * 0.7**e + 0.1} for e in range(1, 7)],
                    "ledger": ledger,
                }
                spec = {"kind": "lora", "rank": 8} if way == "lora" else {"kind": "full"}
                trial = write_trial(root, f"{task[0]}{way[0]}{size}", backbone, task, spec, training=training)
                _results(trial, share, size, task, 0.15 if way == "full" else 0.12)
        for step in range(3 if wise else 0):
            alpha = 0.25 * (step + 1)
            remedy = {"kind": "wise", "alpha": alpha}
            trial = write_trial(root, f"w{step}{size}", backbone, "faces", "full", remedy=remedy)
            _results(trial, 1 - 0.3 * alpha**2 * (1 - 0.3 * size), size, "faces", 0.15 * alpha**0.5)
    return root


def _results(folder: Path, share: float, size: int, task: str, gain: float) -> None:
    for place, name in enumerate(SETS):
        top1 = (0.62 + 0.03 * place + 0.02 * size) * share
        for suite, value in (("zero_shot", top1), ("probe", min(0.99, top1 + 0.05 * share))):
            if suite == "zero_shot" or name != "shapes_shifted":
                values = {f"{name}/top1": value}
                values |= {f"{name}/mean_per_class": value - 0.01} if suite == "zero_shot" else {}
                write_result(
                    folder, suite, name, values, intervals={f"{name}/top1": (value - 0.03, min(1.0, value + 0.03))}
                )
    for place, part in enumerate(("pairs", "pose", "age")):
        accuracy = 0.70 - 0.04 * place + (gain if task == "faces" else -0.01)
        write_result(folder, "fr", part, {f"{part}/accuracy": accuracy}, counts={"genuine": 300, "impostor": 300})
    rate = {"templates/tar_at_far_1e-2": 0.5 + gain, "templates/tar_at_far_1e-3": 0.3 + gain}
    absent = {"templates/tar_at_far_1e-4": "2,000 impostor pairs cannot resolve a rate of 1e-4"}
    write_result(folder, "fr", "templates", rate, absent=absent, counts={"genuine": 400, "impostor": 2000})
    for suite, dataset, leafs in (("mad", "morphs", ("eer", "apcer_at_bpcer_10")), ("pad", "spoofs", ("hter", "auc"))):
        for name in (suite, f"{suite}_text"):
            if name == suite and task != dataset:
                continue
            error = 0.41 if name != suite else 0.2 - gain / 2
            parts = ("warp", "blend", "mean") if suite == "mad" else ("indoor", "outdoor", "mean")
            values = {f"{part}/{leaf}": 1 - error if leaf == "auc" else error for part in parts for leaf in leafs}
            write_result(folder, name, dataset, values, counts={"bona_fide": 150, "attack": 150})
