"""A step of the class head: 10 % of 206,000 classes (MS1MV3 has 93,431, WebFace42M 2,059,906) drawn anew against all of them.

Each side is a process of its own, which makes the same features and starts from the same kernel: CosFace, AdamW and clipping, as the loop
calls them. The headline is seconds a step; the details hold the peak of resident memory beyond the imports, and 1,000,000 classes.
Before anything is timed, a step of either is compared with torch's own on the classes that it saw.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.line import finish, note

DIM, BATCH, SHARE = 512, 128, 0.1
OPTIONS: dict[str, Any] = {"lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument(
        "--steps-of", nargs=3, help="(internal) SHARE CLASSES STEPS: take these steps and print what they cost"
    )
    given = parser.parse_args()
    if given.steps_of:
        share, classes, steps = given.steps_of
        print(json.dumps(steps_of(float(share), int(classes), int(steps))))
        return
    same()
    classes, many, steps, rounds = (5_000, 10_000, 3, 1) if given.smoke else (206_000, 1_000_000, 5, 3)
    found: dict[float, list[dict[str, float]]] = {SHARE: [], 1.0: []}
    for number in range(rounds):
        for share in sorted(found, reverse=number % 2 == 1):
            found[share].append(_measure(share, classes, steps))
            told = found[share][-1]
            note(f"round {number + 1} of {rounds}, {share:.0%}: {told['seconds']:.3f} s a step, {told['mb']:.0f} MB")
    seconds, peaks = (
        {share: [each[what] for each in rows] for share, rows in found.items()} for what in ("seconds", "mb")
    )
    ours, theirs = (statistics.median(peaks[share]) for share in (SHARE, 1.0))
    detail = {
        "classes": classes,
        "memory_mb": {"ours": round(ours), "theirs": round(theirs), "ratio": round(ours / theirs, 4), "aim": "<= 0.55"},
        f"{many:,} classes, sampled": _million(many, steps),
        "load": round(os.getloadavg()[0], 1),
    }
    finish("class_head", seconds[SHARE], seconds[1.0], "s a step", "<= 0.25", detail)


def steps_of(share: float, classes: int, steps: int) -> dict[str, float]:
    """Median seconds of a step but the first, and the peak of resident memory beyond the imports."""
    import torch

    from gelo.models.heads import CosFace
    from gelo.models.heads import classes as _classes  # noqa: F401, imported by make_head when it is needed
    from gelo.models.heads.head import make_head
    from gelo.models.training.world import World

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    warm = make_head(
        CosFace(), DIM, BATCH, 0, World()
    )  # what torch's kernels take once they are called counts as imports
    warm.loss(torch.randn(BATCH, DIM), torch.arange(BATCH)).backward()
    warm.optimizer(**OPTIONS).step()
    before = _resident("VmRSS")
    head = make_head(CosFace(sample=share), DIM, classes, 0, World())
    optimizer = head.optimizer(**OPTIONS)
    generator, times = torch.Generator().manual_seed(0), []
    for step in range(steps):
        features = torch.randn(BATCH, DIM, generator=generator).requires_grad_(True)
        labels = torch.randint(0, classes, (BATCH,), generator=generator)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        head.begin(step, labels)
        head.loss(features, labels).backward()
        head.clip(5.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
    return {"seconds": round(statistics.median(times[1:]), 4), "mb": round(_resident("VmHWM") - before)}


def same() -> None:
    """Raises AssertionError unless a step of either head is torch's AdamW on the classes that it saw, and nothing else moves."""
    import torch
    from torch.nn import functional as F

    from gelo.models.heads import CosFace
    from gelo.models.heads.classes import drawn
    from gelo.models.heads.head import make_head
    from gelo.models.training.world import World

    features, labels = torch.randn(16, 32, dtype=torch.float64), torch.randint(0, 2_000, (16,))
    for share in (SHARE, 1.0):
        head = make_head(CosFace(sample=share), 32, 2_000, 0, World()).double()
        chosen = drawn(2_000, share, labels, 0, 0)
        kernel = head.whole()["kernel"].clone()
        theirs = torch.nn.Parameter(kernel[:, chosen].clone())
        optimizers = [head.optimizer(**OPTIONS), torch.optim.AdamW([theirs], **OPTIONS)]
        head.begin(0, labels)
        head.loss(features, labels).backward()
        place = torch.searchsorted(chosen, labels)
        cosines = F.normalize(features, dim=1) @ F.normalize(theirs, dim=0)
        F.cross_entropy(64 * (cosines - 0.3 * F.one_hot(place, len(chosen)).double()), place).backward()
        for optimizer in optimizers:
            optimizer.step()
        kernel[:, chosen] = theirs.detach()
        torch.testing.assert_close(head.whole()["kernel"], kernel, rtol=0, atol=1e-12)


def _resident(field: str) -> float:
    """MB of this process: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6


def _million(classes: int, steps: int) -> dict[str, Any]:
    """Of so many classes; why not where this machine has no room for rows, two moments and the kernel that they are made from."""
    needed, free = 4 * 4 * classes * DIM, psutil.virtual_memory().available
    if free < 1.2 * needed:
        return {"absent": f"{free / 1e9:.1f} GB free, {1.2 * needed / 1e9:.1f} GB needed"}
    return dict(_measure(SHARE, classes, steps))


def _measure(share: float, classes: int, steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.class_head", "--steps-of", str(share), str(classes), str(steps)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, float] = json.loads(told.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
