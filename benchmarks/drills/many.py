"""500 trials of about a second each: what orchestration costs a trial, and whether the driver grows: `python -m benchmarks.drills.many`.

Two steps a trial on two cores, by the command line. Overhead of a trial: the wall time of the training stages times their slots, less the
seconds that trials were at work, by trials. Memory: the driver's resident set at its highest until a tenth of the trials is scored, and
until all are (it rises and falls by some 300 MB with each pass of encoders); the report comes after.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.line import note

SPEC = """
name: many
backbones: [mini-s]
tasks:
  faces: {{adaptation: {{lora: {{rank: 4}}}}, epochs: 1, steps_per_epoch: 2, batch: 16, watch: {{points: 0}}}}
seeds: {seeds}
evaluate: [zero_shot]
datasets: [shapes]
"""
SLOTS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    memory: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "many.yaml").write_text(SPEC.format(seeds=list(range(asked.trials))))
        data = (asked.data or place / "data").absolute()
        environment = {**os.environ, "GELO_DATA": str(data), "GELO_CACHE": str(place / "cache")}
        command = [sys.executable, "-m", "gelo", "run", "many.yaml", "--cpus", str(SLOTS)]
        began = time.monotonic()
        with (place / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log, text=True)
        threading.Thread(target=_weigh, args=(process.pid, place, memory), daemon=True).start()
        code = process.wait()
        text = (place / "log").read_text()
        assert code == 0, text[-4000:]
        rows = [json.loads(path.read_text()) for path in place.glob("out/many/trials/*/trained/training.json")]
        stages = re.findall(r"train: ([\d,]+) trials in ([\d.]+) s", text)
        spans = sorted((row["started"], row["ended"]) for row in rows)
        work = sum(end - start for start, end in spans)
        wall = sum(float(seconds) for _, seconds in stages)
        note(
            f"{len(rows)} trials, {wall:.0f} s of training stages, {work:.0f} s of work, {time.monotonic() - began:.0f} s in all"
        )
    first, last, end = (max(held for scored, held in memory if scored <= many)
                        for many in (asked.trials // 10, asked.trials, asked.trials + 1))  # fmt: skip
    print(json.dumps({
        "drill": "many", "trials": len(rows), "waves": len(stages), "seconds_of_work_a_trial": round(work / len(rows), 3),
        "overhead_a_trial": round((wall * SLOTS - work) / len(rows), 3), "aim": 0.5,
        "driver_mb": [round(first / 1e6), round(last / 1e6)], "grows": round(last / first, 3), "aim of growth": 1.2,
        "driver_mb_with_the_report": round(end / 1e6),
    }))  # fmt: skip


def _weigh(pid: int, place: Path, memory: list[tuple[int, int]]) -> None:
    """(trials that are scored, bytes that the driver holds) every two seconds. The untouched encoder is one more; then comes the report."""
    own = psutil.Process(pid)
    while own.is_running():
        scored = len(list(place.glob("out/many/trials/*/results/zero_shot/shapes.json")))
        try:
            memory.append((scored, own.memory_info().rss))
        except psutil.Error:
            return
        time.sleep(2)


if __name__ == "__main__":
    main()
