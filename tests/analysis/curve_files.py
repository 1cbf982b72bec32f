"""Sweeps with forgetting curves of known shape: `trained/curve.json` and `curve.safetensors` as a trial keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from tests.analysis.sweeps import write_result, write_sweep, write_trial

GENERAL = {"counts": 40, "shapes": 40, "signs": 40}
BASE, START = 0.8, 0.55  # general accuracy and the task's metric of the untouched backbone
METRIC = "fr/validation/accuracy"


def answers(accuracy: Sequence[float], images: int, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """(points, images) right or wrong: an image is right where its threshold in (0, 1) is below the accuracy, so points are paired."""
    return (thresholds[None, :images] < np.asarray(accuracy)[:, None]).astype(np.uint8)


def write_curve(
    folder: Path, gain: Sequence[float], kept: Sequence[float], *, sets: Mapping[str, int] = GENERAL, **more: Any
) -> None:
    """gain: of the task's metric over `START`; kept: share of `BASE`, also on validation images unless `validation` says otherwise.

    thresholds: of the images, alike for every set; evenly spaced by default, so that every accuracy is met to half an image. metric: None
    for a task without one.
    """
    generator = np.random.default_rng(0)
    correct, of = [], []
    for place, (_, size) in enumerate(sorted(sets.items())):
        even = (generator.permutation(size) + 0.5) / size
        correct.append(answers([BASE * share for share in kept], size, more.get("thresholds", even)))
        of += [place] * size
    means = np.mean([each.mean(axis=1) for each in correct], axis=0)
    metric = more.get("metric", METRIC)
    points = []
    for place, (risen, share) in enumerate(zip(gain, more.get("validation", kept), strict=True)):
        point: dict[str, Any] = {
            "step": 50 * place,
            "images": 1600 * place,
            "validation": BASE * share,
            "test": float(means[place]),
        }
        point["sets"] = {name: float(each[place].mean()) for name, each in zip(sorted(sets), correct, strict=True)}
        points.append(point | ({"task": START + risen} if metric else {}))
    split = {"sets": dict(sets), "split": dict.fromkeys(sets, "val")}
    document = {"task": {"metric": metric, "data": "faces/val", "images": 600} if metric else None, "points": points}
    document["general"] = {"validation": split, "test": {"sets": dict(sets)}}
    (folder / "trained").mkdir(exist_ok=True)
    (folder / "trained" / "curve.json").write_text(json.dumps(document))
    tensors = {"correct": np.concatenate(correct, axis=1), "set": np.asarray(of, np.int16)}
    save_file(tensors, folder / "trained" / "curve.safetensors")


def write_scores(folder: Path, gain: float, kept: float) -> None:
    """Results of faces and of the general sets; the untouched backbone has gain 0, kept 1."""
    for name in GENERAL:
        for suite, before in (("zero_shot", BASE), ("probe", 0.9)):
            value = before * (kept if suite == "zero_shot" else (1 + kept) / 2)
            write_result(
                folder, suite, name, {f"{name}/top1": value}, intervals={f"{name}/top1": (value - 0.03, value + 0.03)}
            )
    ends = {"pairs/accuracy": (START + gain - 0.02, START + gain + 0.02)}
    write_result(folder, "fr", "pairs", {"pairs/accuracy": START + gain}, intervals=ends)
    for part in ("pose", "age"):
        write_result(folder, "fr", part, {f"{part}/accuracy": START + gain})


TIMES = np.array([0.0, 0.1, 0.3, 0.6, 1.0])
APPROACHES = {  # kind -> (share of the best gain in the end, kept in the end)
    "none": (0.97, 0.66), "l2sp": (0.93, 0.78), "distill": (0.96, 0.90), "ewc": (0.91, 0.76), "replay": (0.99, 0.88),
    "lwf": (0.95, 0.86), "zscl": (0.98, 0.91), "supcon": (1.00, 0.64), "selective_calibration": (0.94, 0.71),
    "language_contrast": (0.92, 0.70), "budget": (0.62, 0.95), "ema": (0.96, 0.72), "pmg": (0.88, 0.84), "flyp": (0.97, 0.80),
    "group_calibration": (0.97, 0.67),
}  # fmt: skip


def mitigation(
    storage: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    backbones: Sequence[str] = ("mini-s", "mini-l"),
    approaches: Sequence[str] = tuple(APPROACHES),
) -> Path:
    """Faces with a setting or two of each approach, interpolations of what was trained without one, and a soup."""
    root = write_sweep(storage, "mitigation", backbones=list(backbones))
    for size, backbone in enumerate(backbones):
        write_scores(write_trial(root, f"base{size}", backbone, "none"), 0.0, 1.0)
        for seed in seeds:
            noise = np.random.default_rng([size, seed])
            for kind, (reached, left) in ((kind, APPROACHES[kind]) for kind in approaches):
                for strength in (1.0, 0.1) if kind in ("l2sp", "distill") else (1.0,):
                    key, remedy = f"{kind[:7]}{strength:g}-{size}{seed}", {"kind": kind}
                    remedy |= {"strength": strength} if kind != "none" else {}
                    final = 0.3 * reached + noise.normal(0, 0.003)
                    lost = (1 - left) * (1 - 0.25 * size) * strength**-0.3 + noise.normal(0, 0.01)
                    training = {"train_seconds": 30 + 3 * len(kind), "source": key}
                    folder = write_trial(
                        root, key, backbone, "faces", "full", remedy=remedy, seed=seed, training=training
                    )
                    gain = final * (1 - np.exp(-4 * TIMES)) / (1 - np.exp(-4))
                    write_curve(folder, gain, 1 - lost * TIMES**1.3)
                    write_scores(folder, final, 1 - lost)
            made = {"train_seconds": 42.0, "source": f"none1-{size}{seed}", "ledger": []}
            for alpha in (0.2, 0.4, 0.6, 0.8):
                remedy = {"kind": "wise", "alpha": alpha}
                folder = write_trial(
                    root,
                    f"w{10 * alpha:.0f}-{size}{seed}",
                    backbone,
                    "faces",
                    "full",
                    remedy=remedy,
                    seed=seed,
                    training=made,
                )
                write_scores(folder, 0.29 * alpha**0.6, 1 - 0.34 * alpha**2.2)
            made |= {"parents": [f"none1-{size}{other}" for other in seeds]}
            folder = write_trial(
                root, f"soup-{size}{seed}", backbone, "faces", "full", remedy={"kind": "soup"}, seed=seed, training=made
            )
            write_scores(folder, 0.288 + 0.001 * seed, 0.75)
    return root
