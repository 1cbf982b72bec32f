"""What orchestration costs: wall time x slots - the trials' own training seconds, per trial, after start-up.

ours: wall seconds of the sweep's training stage (Ray Tune, two trials at once). theirs: the seconds that its trials' own steps took, by
the slots: what a perfect scheduler would need. detail has the overhead in seconds a trial, whose aim is <= 1 s after start-up; start-up is
the time from handing the trials to Tune to the first trial's start in a fresh worker (its imports and the first loading of weights).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.line import finish, note

SPEC = """
name: overhead
backbones: [mini-s]
tasks:
  morphs: {{adaptation: lora, epochs: {epochs}}}
seeds: {seeds}
evaluate: [zero_shot]
"""
SLOTS = 2


def main() -> None:
    """Run `rounds` sweeps in folders of their own on shared data and caches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    rounds, trials, epochs = (1, 2, 1) if smoke else (3, 8, 4)
    walls, works, detail = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            measured = _round(Path(scratch), number, trials, epochs, "datasets: [digits]" if smoke else "")
            note(f"round {number + 1} of {rounds}: {measured}")
            walls.append(measured["wall"])
            works.append(measured["work"] / SLOTS)
            detail.append(measured)
    middle = sorted(detail, key=lambda row: row["overhead_per_trial"])[len(detail) // 2]
    finish(
        "sweep_overhead", walls, works, "seconds (training stage)", "overhead_per_trial <= 1 s after start-up", middle
    )


def _round(scratch: Path, number: int, trials: int, epochs: int, more: str) -> dict[str, float]:
    place = scratch / f"round-{number}"
    place.mkdir()
    (place / "overhead.yaml").write_text(SPEC.format(epochs=epochs, seeds=list(range(trials))) + more)
    environment = {**os.environ, "GELO_DATA": str(scratch / "data"), "GELO_CACHE": str(scratch / "cache")}
    started = time.monotonic()
    command = [sys.executable, "-m", "gelo", "run", "overhead.yaml", "--cpus", str(SLOTS)]
    output = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True).stdout
    total = time.monotonic() - started
    stage = next(line for line in output.splitlines() if f"train: {trials} trials in" in line)
    wall = float(stage.split(" in ")[1].split(" s")[0])
    rows = [json.loads(path.read_text()) for path in place.glob("out/overhead/trials/*/trained/training.json")]
    spans = sorted((row["started"], row["ended"]) for row in rows)
    first = spans[0][0]
    after_start = max(end for _, end in spans) - first
    work = sum(end - start for start, end in spans)
    overhead = after_start * SLOTS - work
    return {
        "wall": wall,
        "work": work,
        "trials": trials,
        "start_up": wall - after_start,
        "overhead_per_trial": round(overhead / trials, 3),
        "whole_command": round(total, 1),
    }


if __name__ == "__main__":
    main()
