"""One machine's clock off by five minutes, forwards and back, and then the driver's: `python -m benchmarks.drills.clock`.

Debian's faketime moves the clock of a machine and all that it starts. A sweep on two machines has to end as one whose clocks agree; and a
second driver, whose clock says that the first's lease is over, has to be refused all the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.drills.sweep import alone, run, to_the_end
from benchmarks.drills.world import Said, World, until, world
from benchmarks.line import note

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
OFF = ("+300s", "-300s")


def shifted(by: str) -> dict[str, str]:
    """The environment of a process whose wall clock is off; its stopwatches are not."""
    assert LIBRARY is not None, "apt-get install faketime"
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
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
            for number, by in enumerate(OFF):
                here.cluster.remove_node(here.machines()[0])
                here.cluster.add_node(num_cpus=here.cpus, env_vars=shifted(by))
                found.append({"clock of": "a machine", "off": by, **machine(here, f"machine-{number}", whole)})
                note(json.dumps(found[-1]))
            here.cluster.remove_node(here.machines()[0])
            here.cluster.add_node(num_cpus=here.cpus)
            for number, by in enumerate(OFF):
                found.append({"clock of": "a second driver", "off": by, **second(here, f"second-{number}", by, whole)})
                note(json.dumps(found[-1]))
    good = sum(each["ended"] and not each["faults"] for each in found)
    print(json.dumps({"drill": "clock", "runs": len(found), "ended as if unharmed": good, "runs_in_detail": found}))


def machine(here: World, name: str, whole: Any) -> dict[str, Any]:
    """A sweep on whatever machines there are."""
    return to_the_end(here, name, [run(here, name)], whole)


def second(here: World, name: str, by: str, whole: Any) -> dict[str, Any]:
    """A sweep, and while it trains a second driver of it whose clock is off."""
    first = run(here, name)
    until(lambda: "s  train" in first.text or first.process.poll() is not None, 600)
    places = ("--storage", here.storage, "--address", here.cluster.address)
    other = Said(here, "resume", name, *places, **shifted(by))
    code = other.wait(600)
    told = to_the_end(here, name, [first], whole)
    if code != 2 or "Traceback" in other.text:
        told["faults"].append(f"the second driver ended with {code}: {other.text[-300:]}")
    return {**told, "refused": other.text.strip().splitlines()[:2]}


if __name__ == "__main__":
    main()
