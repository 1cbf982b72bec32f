"""`trained/drift.json` as a trial keeps it, beside a curve of tests/analysis/curve_files.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.analysis.curve_files import BASE, START, write_curve, write_scores
from tests.analysis.sweeps import write_sweep, write_trial


def write_drift(folder: Path, distances: Sequence[float], *, once: float = 0.1, blocks: int = 3) -> None:
    """distances: of each look, whose features drift ten times as little; alignment and sharpness follow from `once`, at the first look."""
    looks: list[dict[str, Any]] = [
        {"step": 50 * place, "distance": far, "drift": far / 10, "cka": 1 - far} for place, far in enumerate(distances)
    ]
    looks[1] |= {"alignment": -once, "sharpness": once**2}
    layers = [
        {"block": place, "cka": 1 - distances[-1] * place / 10, "distance": distances[-1]} for place in range(blocks)
    ]
    document = {"images": {"counts": 40}, "of": "weights", "looks": looks, "blocks": layers}
    (folder / "trained" / "drift.json").write_text(json.dumps(document))


def drifted(storage: Path, tasks: Sequence[str], approaches: int, seeds: int = 3, noise: float = 0.0) -> Path:
    """Trials whose distance after the first look is a falling line of what they keep, but for `noise`; the task moves what they keep, not
    the line. Kept early tells nothing: it is drawn."""
    root = write_sweep(storage, "drifted", backbones=["mini-s"])
    write_scores(write_trial(root, "base", "mini-s", "none"), 0.0, 1.0)
    random = np.random.default_rng(0)
    for place, task in enumerate(tasks):
        for approach in range(approaches):
            for seed in range(seeds):
                key = f"{task}{approach}-{seed}"
                kept = 0.9 - 0.2 * place - 0.4 * approach / approaches + 0.01 * random.standard_normal()
                remedy = {"kind": "l2sp" if approach % 2 else "distill", "strength": float(approach)}
                settings = {"watch": {"points": 4}, "data": task}
                folder = write_trial(
                    root,
                    key,
                    "mini-s",
                    task,
                    "full",
                    remedy=remedy,
                    seed=seed,
                    settings=settings,
                    training={"source": key},
                )
                early = float(random.uniform(0.5, 1.0))
                write_curve(folder, [0, 0.1, 0.2, 0.3, 0.3], [1, early, kept, kept, kept])
                far = (1 - kept) / 5 + noise * random.standard_normal()
                write_drift(folder, [0, far, 2 * far, 3 * far, 3 * far], once=float(random.uniform(0.1, 0.9)))
                write_scores(folder, 0.3, kept)
    assert BASE > START
    return root
