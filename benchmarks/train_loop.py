"""The step time of the training loop against that of the last release's loop, side by side on one machine.

ours: this checkout. theirs: commit LAST, taken out of the repository's own history into a temporary folder and run there. In a round both
train mini-s on random pictures, fully and by LoRA, for two epochs, each in a process of its own; one waits while the other makes TURN
steps, so that a machine that grows busier slows both. The clock is read where the loop asks whether to stop: once a step, on both sides.
torch has one thread, as in a trial of a sweep. A round's value is the median step after the first turn. Both must end on the same tensors
of the encoder. The headline is the way to train whose ratio is the worse one; the details have both, and the ratio of the processor's time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.backbones import zoo
from gelo.sweeps.stages import train
from gelo.sweeps.state import folder
from gelo.tasks.data import manifest
from gelo.tasks.ledger import trial

ROOT = Path(__file__).parents[1]
LAST = "392cc55"
TURN = 8  # steps
SIDES = {  # where each has what PROGRAM uses
    "ours": {each.__name__.rpartition(".")[2]: each.__name__ for each in (zoo, manifest, trial, folder, train)},
    "theirs": {
        "zoo": "models.zoo",
        "manifest": "tasks.manifest",
        "trial": "sweeps.trial",
        "folder": "sweeps.folder",
        "train": "sweeps.train",
    },
}
WAYS: dict[str, dict[str, Any]] = {
    "full": {"adaptation": {"kind": "full"}, "head": {"kind": "cosface"}},
    "lora": {"adaptation": {"kind": "lora", "rank": 8}, "head": {"kind": "cosface"}},
}
# What both sides run: the same words, except for where their packages are found.
PROGRAM = """
import importlib, json, os, sys, time
from pathlib import Path
from upath import UPath

given = json.loads(sys.argv[1])
told, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
part = lambda name: importlib.import_module(given["modules"][name])
clocks = {"wall": time.perf_counter, "cpu": time.process_time}
place, base = Path(given["place"]), part("zoo").load_backbone("mini-s")
dataset = part("manifest").open_dataset(Path(given["data"]))

def wait():
    print(json.dumps("turn"), file=told, flush=True)
    sys.stdin.readline()
    return {name: clock() for name, clock in clocks.items()}

def asked():
    global before
    now = {name: clock() for name, clock in clocks.items()}
    steps.append({name: now[name] - before[name] for name in clocks})
    before = now if len(steps) % given["turn"] else wait()
    return False

found = {}
for way, fields in given["trials"].items():
    steps, before = [], wait()
    trial, folder = part("trial").Trial.model_validate(fields), part("folder").TrialFolder(UPath(place / way))
    part("train").train(trial, base, dataset, place / "cache", folder, should_stop=asked)
    found[way] = {name: [step[name] for step in steps[given["turn"]:]] for name in clocks}
print(json.dumps({"from": part("train").__file__, "steps": found}), file=told, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    images, batch, rounds = (64, 16, 1) if smoke else (1_024, 32, 5)
    release = exported()
    if release is None:
        absent = f"commit {LAST}, the last release, is not in this clone: git fetch --unshallow"
        if not smoke:
            sys.exit(f"train_loop: {absent}")
        print(json.dumps({"name": "train_loop", "absent": absent}))
        return
    training = {
        "data": "noise", "epochs": 2, "batch": batch, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "cosine", "warmup_epochs": 1, "sampler": "shuffled", "augment": "flip",
    }  # fmt: skip
    common = {"backbone": "mini-s", "task": "morphs", "collection": "miniature", "training": training, "seed": 7}
    trials = {way: common | fields for way, fields in WAYS.items()}
    steps: dict[str, dict[str, list[float]]] = {way: {side: [] for side in SIDES} for way in WAYS}  # ms by the clock
    busy: dict[str, dict[str, list[float]]] = {way: {side: [] for side in SIDES} for way in WAYS}  # ms of the processor
    with release as last, tempfile.TemporaryDirectory() as scratch:
        data = noise(Path(scratch), images).root
        homes = {"ours": ROOT, "theirs": Path(last)}
        for number in range(rounds):
            places = {side: Path(scratch) / f"{side}-{number}" for side in SIDES}
            given = {"data": str(data), "trials": trials, "turn": TURN // 4 if smoke else TURN}
            starts = {
                side: _start({**given, "modules": SIDES[side], "place": str(places[side])}, homes[side])
                for side in sorted(SIDES, reverse=number % 2 == 1)
            }
            for side, told in _by_turns(starts).items():
                assert Path(told["from"]).is_relative_to(homes[side]), f"{told['from']} is not of {homes[side]}"
                for way, clocks in told["steps"].items():
                    steps[way][side].append(1000 * statistics.median(clocks["wall"]))
                    busy[way][side].append(1000 * statistics.median(clocks["cpu"]))
            ends = {
                side: {way: load_file(place / way / "trained" / "encoder.safetensors") for way in WAYS}
                for side, place in places.items()
            }
            for way in WAYS:
                _same(way, ends["ours"][way], ends["theirs"][way])
                pair = " / ".join(f"{steps[way][side][-1]:.2f}" for side in SIDES)
                note(f"round {number + 1} of {rounds}, {way}: {pair} ms a step, the same encoder")
    detail = {
        way: {
            **{f"{side}_ms": [round(value, 2) for value in values] for side, values in steps[way].items()},
            "ratio": round(_ratio(steps[way]), 4),
            "ratio_of_cpu_time": round(_ratio(busy[way]), 4),
        }
        for way in WAYS
    }
    worse = max(WAYS, key=lambda way: _ratio(steps[way]))
    about = {
        "release": LAST,
        "images": images,
        "batch": batch,
        "same_encoder": True,
        "load": round(os.getloadavg()[2], 1),
        **detail,
    }
    finish("train_loop", steps[worse]["ours"], steps[worse]["theirs"], f"ms a step ({worse})", "ratio <= 1.02", about)


def exported() -> tempfile.TemporaryDirectory[str] | None:
    """The last release's files in a folder of their own; None where the history does not have them."""
    try:
        done = subprocess.run(["git", "archive", "--format=tar", LAST], cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        return None
    if done.returncode:
        return None
    place = tempfile.TemporaryDirectory(prefix="gelo-last-")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place.name, filter="data")
    return place


def _start(given: dict[str, Any], home: Path) -> subprocess.Popen[str]:
    """PROGRAM in a process that finds gelo's packages below `home`; it waits for its turn."""
    environment = os.environ | {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(given)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home, env=environment
    )


def _by_turns(started: dict[str, subprocess.Popen[str]]) -> dict[str, Any]:
    """What each process tells in the end; none runs while another has its turn."""
    told: dict[str, Any] = {side: _line(process) for side, process in started.items()}
    while any(line == "turn" for line in told.values()):
        for side, process in started.items():
            if told[side] == "turn":
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
                told[side] = _line(process)
    for process in started.values():
        process.communicate()
    return told


def _line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"train_loop: a side ended with {process.wait()} before it told its times")
    return json.loads(line)


def _same(way: str, ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    other = [name for name in ours.keys() | theirs.keys() if not _equal(ours.get(name), theirs.get(name))]
    assert not other, f"{way}: {len(other)} tensors differ, as {min(other)}"


def _equal(one: torch.Tensor | None, two: torch.Tensor | None) -> bool:
    return one is not None and two is not None and torch.equal(one, two)


def _ratio(sides: dict[str, list[float]]) -> float:
    return statistics.median(sides["ours"]) / statistics.median(sides["theirs"])


if __name__ == "__main__":
    main()
