"""Two processes on two cores against one process with two threads: the same trial, the same batches, per image.

ours: milliseconds an image of two ranks with one thread each, which share every batch (gloo on this machine's loopback). theirs: of one
process with two threads of torch. In a round both train the same trial, one after the other, in turn the first. A process's clock is read
where the loop asks whether to stop, once a step; a round's value is the median step after the first ones. Both must end on the same loss
(1e-5) and, for LoRA, on the same weights (1e-5). The headline is the way to train whose ratio is the worse one; the details have both, and
the processor's time of two ranks together against that of one process with one thread, which a busy machine disturbs less: two threads are
at best twice as fast as one, so that ratio is the most that the other is where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from upath import UPath

from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.backbones.zoo import load_backbone
from gelo.models.training.world import World
from gelo.sweeps.engine.joined import joined
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.ledger.trial import Trial

ROOT = Path(__file__).parents[1]
SIDES = {"ours": (2, 1), "theirs": (1, 2), "one thread": (1, 1)}  # processes, threads of each
LEFT = 4  # steps that no one counts
WAYS: dict[str, dict[str, Any]] = {"full": {"kind": "full"}, "lora": {"kind": "lora", "rank": 8}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    backbone, images, batch, epochs, rounds = ("mini-s", 64, 16, 2, 1) if smoke else ("mini-l", 512, 64, 3, 3)
    ways = {"full": WAYS["full"]} if smoke else WAYS
    training = {
        "data": "noise", "epochs": epochs, "batch": batch, "lr_backbone": 1e-5, "lr_head": 1e-3, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "cosine", "warmup_epochs": 1, "sampler": "shuffled", "augment": "flip",
    }  # fmt: skip
    common = {"backbone": backbone, "task": "morphs", "collection": "miniature", "training": training, "seed": 7}
    steps: dict[str, dict[str, list[float]]] = {way: {side: [] for side in SIDES} for way in ways}
    busy: dict[str, dict[str, list[float]]] = {way: {side: [] for side in SIDES} for way in ways}
    apart: dict[str, float] = dict.fromkeys(ways, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        data = noise(Path(scratch), images).root
        for number in range(rounds):
            for way, adaptation in ways.items():
                trial = {**common, "adaptation": adaptation, "head": {"kind": "binary"}}
                place = Path(scratch) / f"{way}-{number}"
                for side in sorted(SIDES, reverse=number % 2 == 1):
                    given = {"trial": trial, "data": str(data), "place": str(place / side)}
                    wall, cpu = _run(given, *SIDES[side])
                    steps[way][side].append(1000 * wall / batch)
                    busy[way][side].append(1000 * cpu / batch)
                apart[way] = max(apart[way], _same(way, place / "ours", place / "theirs"))
                pair = " / ".join(f"{steps[way][side][-1]:.3f}" for side in ("ours", "theirs"))
                note(f"round {number + 1} of {rounds}, {way}: {pair} ms an image, losses {apart[way]:.1e} apart")
    detail = {
        way: {
            **{f"{side}_ms": [round(value, 3) for value in steps[way][side]] for side in ("ours", "theirs")},
            "ratio": round(_ratio(steps[way]), 4),
            "cpu_ms": {side: round(statistics.median(busy[way][side]), 3) for side in ("ours", "one thread")},
            "ratio_of_cpu_time": round(_ratio(busy[way], "one thread"), 4),
            "largest_difference_of_a_loss": apart[way],
        }
        for way in ways
    }
    about = {"backbone": backbone, "batch": batch, "steps": epochs * (images // batch), "load": os.getloadavg()[2]}
    worse = max(ways, key=lambda way: _ratio(steps[way]))
    finish(
        "ddp", steps[worse]["ours"], steps[worse]["theirs"], f"ms an image ({worse})", "ratio <= 1.15", about | detail
    )


def _ratio(sides: dict[str, list[float]], other: str = "theirs") -> float:
    return statistics.median(sides["ours"]) / statistics.median(sides[other])


def _run(given: dict[str, Any], size: int, threads: int) -> tuple[float, float]:
    """Train in `size` processes; seconds of rank 0's median step, and of the processor in one step of all."""
    with socket.create_server(("127.0.0.1", 0)) as door:  # free again when the ranks meet there
        port = door.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.ddp", "--rank"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    told = [json.dumps({**given, "rank": rank, "size": size, "threads": threads, "port": port}) for rank in range(size)]
    ranks = [
        subprocess.Popen([*command, each], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for each in told
    ]
    said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit("ddp: a rank failed")
    clocks = [json.loads(each.strip().splitlines()[-1]) for each in said]
    medians = [[statistics.median(each[name][LEFT:]) for name in ("wall", "cpu")] for each in clocks]
    return medians[0][0], sum(cpu for _, cpu in medians)


def _rank(given: dict[str, Any]) -> None:
    """One process; prints the seconds of its steps."""
    torch.set_num_threads(given["threads"])
    trial, place = Trial.model_validate(given["trial"]), Path(given["place"])
    base, dataset = load_backbone(trial.backbone), open_dataset(Path(given["data"]))
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    read: dict[str, list[float]] = {name: [clock()] for name, clock in clocks.items()}

    def asked() -> bool:
        for name, clock in clocks.items():
            read[name].append(clock())
        return False

    def work(world: World) -> None:
        train(trial, base, dataset, place / "cache", TrialFolder(UPath(place)), should_stop=asked, world=world)

    if given["size"] == 1:
        work(World())
    else:
        with joined(given["rank"], given["size"], "127.0.0.1", given["port"]) as world:
            work(world)
    print(json.dumps({name: [b - a for a, b in pairwise(times)] for name, times in read.items()}))


def _same(way: str, ours: Path, theirs: Path) -> float:
    """The largest difference of an epoch's loss. Exits where the sides did not compute the same thing."""
    one, two = (json.loads((place / "trained" / "training.json").read_text()) for place in (ours, theirs))
    assert (one["ranks"], two["ranks"]) == ([2], [1])
    losses = [abs(a["loss"] - b["loss"]) for a, b in zip(one["history"], two["history"], strict=True)]
    assert max(losses) <= 1e-5, f"{way}: losses are {max(losses)} apart"
    if way == "lora":
        a, b = (load_file(place / "trained" / "encoder.safetensors") for place in (ours, theirs))
        assert max(float((a[name] - b[name]).abs().max()) for name in a) <= 1e-5
    return max(losses)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        _rank(json.loads(sys.argv[2]))
    else:
        main()
