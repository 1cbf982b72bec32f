"""S3, MLflow or its database away for five minutes at each stage of a sweep: `python -m benchmarks.drills.outage`.

Two machines with tokens. A server goes when the stage is first told on screen (what is logged is logged from `train` on), and comes back
`--seconds` later. What is compared with a sweep that was left alone: the bits of every result and trained weight, each value in MLflow's
database and how often it stands there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.drills.sweep import LIMIT, STAGES, alone, run, to_the_end, told
from benchmarks.drills.world import World, until, world
from benchmarks.line import note

SERVERS = ("s3", "mlflow", "postgres")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="how long a server is away")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=STAGES)
    parser.add_argument("--servers", nargs="*", choices=SERVERS, default=SERVERS)
    parser.add_argument("--data", type=Path, help="prepared sets; made where nothing is said")
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gelo-drill-") as scratch:
        folder = Path(scratch)
        with world(folder, (asked.data or folder / "data").absolute(), folder / "cache") as here:
            here.s3()
            here.mlflow()
            here.ray()
            whole = alone(here)
            for server in asked.servers:
                for stage in asked.stages:
                    found.append(drill(here, server, stage, asked.seconds, whole))
                    note(json.dumps(found[-1]))
    faults = Counter(fault.split(":")[0] for each in found for fault in each["faults"])
    print(json.dumps({
        "drill": "outage", "seconds away": asked.seconds, "runs": len(found), "struck": sum(each["struck"] for each in found),
        "ended as if unharmed": sum(each["ended"] and not each["faults"] for each in found), "faults": dict(faults),
        "runs_in_detail": found,
    }))  # fmt: skip


def drill(here: World, server: str, stage: str, seconds: float, whole: Any) -> dict[str, Any]:
    """One sweep, one server away from the moment at which the stage is told."""
    name = f"{server}-{stage}"
    own = run(here, name)
    struck = until(lambda: told(own, stage) or own.process.poll() is not None, LIMIT) and own.process.poll() is None
    if struck:
        here.strike(server)
        time.sleep(seconds)
        here.back(server)
    return {"struck": struck, **to_the_end(here, name, [own], whole, LIMIT + seconds)}


if __name__ == "__main__":
    main()
