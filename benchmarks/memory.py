"""Peak memory of an embedding pass over JPEGs (mini-s, nothing cached): 30,000 images against 3,000.

Each pass is a process of its own. The headline is the resident peak of that process, threads decoding and encoding; the details hold the
same for Ray Data's pipeline, summed over its processes (proportional shares, so that shared pages count once).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

from benchmarks.line import finish, note
from benchmarks.streaming import CORES, data_set, encoder, piped
from gelo.models.backbones.registry import resolve
from gelo.tasks.data.embed import embed, needs
from gelo.tasks.data.manifest import open_dataset


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument(
        "--pass-over", type=Path, help="(internal) make one pass over this data set and print its peaks"
    )
    parser.add_argument("--ray", action="store_true", help="(internal) by the pipeline")
    given = parser.parse_args()
    if given.pass_over is not None:
        print(json.dumps(one_pass(given.pass_over, given.ray)))
        return
    sizes, rounds = ((256, 1_024), 1) if given.smoke else ((3_000, 30_000), 3)
    peaks: dict[str, dict[int, list[float]]] = {"threads": {n: [] for n in sizes}, "ray": {n: [] for n in sizes}}
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            root = data_set(Path(scratch), size, loose=False)[0].root
            for number in range(rounds):
                peaks["threads"][size].append(_measure(root))
                note(f"{size} images, round {number + 1}: {peaks['threads'][size][-1]:.0f} MB")
            if not given.smoke:
                peaks["ray"][size].append(_measure(root, "--ray"))
                note(f"{size} images by Ray Data: {peaks['ray'][size][-1]:.0f} MB")
    few, many = sizes
    by_ray = {f"{n:,} images": round(found[0]) for n, found in peaks["ray"].items() if found}
    detail = {"images": {"ours": many, "theirs": few}, "ray_data_mb": by_ray}
    finish("memory", peaks["threads"][many], peaks["threads"][few], "MB", "<= 1.1", detail)


def one_pass(root: Path, by_ray: bool) -> float:
    """Peak megabytes of one pass with a cache of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        ref = encoder("mini-s", Path(scratch))
        wanted = needs(ref, open_dataset(root), "test", ("image",))
        transform, cache = resolve("mini-s").transform, Path(scratch) / "cache"
        stop = threading.Event()
        peak = [0.0]

        def watch() -> None:
            while not stop.wait(0.2):
                peak[0] = max(peak[0], _megabytes(shared=by_ray))

        watcher = threading.Thread(target=watch)
        watcher.start()
        if by_ray:
            import ray

            ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
            with piped():
                embed(wanted, transform, cache, "ray")
        else:
            embed(wanted, transform, cache, "local")
        stop.set()
        watcher.join()
        return peak[0]


def _megabytes(shared: bool) -> float:
    own = psutil.Process()
    if not shared:
        return own.memory_info().rss / 1e6
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # ended meanwhile
            continue
    return total / 1e6


def _measure(root: Path, *how: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", "--pass-over", str(root), *how]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(output.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
