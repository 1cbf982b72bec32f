"""A miniature sweep in which something is killed at a random moment, resumed until it ends: `python -m benchmarks.drills.kills`.

Two machines with tokens, results in S3, MLflow on PostgreSQL. Victims: the driver (SIGKILL, SIGTERM), the process of a trial, a rank beside
it, a process that merges, the machine beside the head, the head, MLflow, PostgreSQL, S3's door. The moment: up to ten seconds after a
stage, drawn too, was told. Where a server is killed it comes back ten seconds later, a machine five seconds later, Ray's head once the run
has ended. About half of the sweeps train with two ranks a trial, across both machines.

What is compared with sweeps that were left alone: the bits of every result and of all trained weights, each value in MLflow's database and
how often it stands there. A traceback, or a minute without a line, is a fault of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.drills.sweep import LIMIT, STAGES, alone, ended, run, to_the_end, told
from benchmarks.drills.world import HANDS, PEERS, TRAINERS, Said, World, until, world
from benchmarks.line import note

LONGEST = 10.0  # seconds after a stage was told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="*", choices=sorted(VICTIMS), help="these alone, in turn")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=STAGES, help="of which one is drawn")
    parser.add_argument("--data", type=Path, help="prepared sets; made where nothing is said")
    asked = parser.parse_args()
    draws = random.Random(asked.seed)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gelo-drill-") as scratch:
        folder = Path(scratch)
        data = (asked.data or folder / "data").absolute()
        with world(folder, data, folder / "cache") as here:
            here.s3()
            here.mlflow()
            here.ray()
            whole = {workers: alone(here, workers) for workers in (1, 2)}
            victims = asked.victims or sorted(VICTIMS)
            for number in range(asked.runs):
                victim = victims[number % len(victims)]
                workers = 2 if victim == "rank" else 1 + number // len(victims) % 2
                moment = draws.choice(asked.stages), draws.uniform(0, LONGEST)
                found.append(drill(here, f"drill-{number}", victim, workers, moment, whole[workers]))
                note(json.dumps(found[-1]))
    faults = Counter(fault.split(":")[0] for each in found for fault in each["faults"])
    good = sum(each["ended"] and not each["faults"] for each in found)
    print(json.dumps({
        "drill": "kills", "runs": len(found), "ended as if unharmed": good, "faults": dict(faults),
        "longest silence, s": max(each["silence"] for each in found), "runs_in_detail": found,
    }))  # fmt: skip


def drill(here: World, name: str, victim: str, workers: int, moment: tuple[str, float], whole: Any) -> dict[str, Any]:
    """One sweep, with one kill so many seconds after a stage was told, to its end."""
    own = run(here, name, workers)
    kill, back = VICTIMS[victim]
    stage, later = moment
    until(lambda: told(own, stage) or own.process.poll() is not None, LIMIT)
    time.sleep(later)
    struck = False
    if own.process.poll() is None:
        struck = kill(here, own)
        if struck and back is not None and victim != "head":
            time.sleep(5.0 if victim == "machine" else 10.0)
            back(here)
    said, hung = [own], list[str]()
    if victim == "head" and struck and back is not None:
        _, hung = ended(said)
        back(here)
    found = to_the_end(here, name, said, whole)
    found["faults"] += hung
    last = next((line for _, line in reversed(own.lines) if "s  " in line), "")
    when = f"{later:.1f} s after {stage}"
    return {"victim": victim, "ranks": workers, "at": when, "struck": struck, **found, "last": last}


def _driver(number: signal.Signals) -> Callable[[World, Said], bool]:
    def kill(here: World, own: Said) -> bool:
        os.kill(own.process.pid, number)
        return True

    return kill


def _process(titles: tuple[str, ...]) -> Callable[[World, Said], bool]:
    def kill(here: World, own: Said) -> bool:
        """Whoever trains now, or does next: a training may be over, or not yet begun."""
        until(lambda: here.processes(titles) or own.process.poll() is not None, 60)
        for process in here.processes(titles)[:1]:
            process.kill()
            return True
        return False

    return kill


def _machine(here: World, own: Said) -> bool:
    here.cluster.remove_node(here.machines()[0], allow_graceful=False)
    return True


def _head(here: World, own: Said) -> bool:
    here.cluster.head_node.kill_gcs_server()
    return True


def _new_cluster(here: World) -> None:
    here.no_ray()
    here.ray()


def _strikes(server: str) -> Callable[[World, Said], bool]:
    def kill(here: World, own: Said) -> bool:
        here.strike(server)
        return True

    return kill


Back = Callable[[World], Any] | None
VICTIMS: dict[str, tuple[Callable[[World, Said], bool], Back]] = {
    "driver, SIGKILL": (_driver(signal.SIGKILL), None),
    "driver, SIGTERM": (_driver(signal.SIGTERM), None),
    "trial": (_process(TRAINERS), None),
    "rank": (_process(PEERS), None),
    "hand": (_process(HANDS), None),
    "machine": (_machine, lambda here: here.cluster.add_node(num_cpus=here.cpus)),
    "head": (_head, _new_cluster),
    **{server: (_strikes(server), partial(World.back, server=server)) for server in ("mlflow", "postgres", "s3")},
}

if __name__ == "__main__":
    main()
