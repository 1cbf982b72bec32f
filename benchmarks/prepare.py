"""`gelo prepare` of 50,000 small images against reading the tree once: listing it and every file's bytes.

gelo also decodes each image to see that it can, hashes the shards and writes the data set durably. Both sides find the files in the
page cache.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.line import finish, note
from benchmarks.streaming import timed
from tasks.prepare.prepare import prepare
from tasks.prepare.tree import png

CLASSES = 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds = (1_000, 1) if smoke else (50_000, 3)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        rng = np.random.default_rng(0)
        for number in range(count):
            path = tree / "test" / f"class {number % CLASSES:03d}" / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)))
        ours, theirs = [], []
        for number in range(rounds):
            data = Path(scratch) / f"data-{number}"
            theirs.append(timed(_read, tree)[0])
            ours.append(timed(prepare, "small", tree, data, reader="folder")[0])
            note(f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s")
        finish("prepare", ours, theirs, "seconds", "<= 2", {"images": count, "bytes_each": path.stat().st_size})


def _read(tree: Path) -> int:
    """The sum of all files' sizes, by reading them."""
    return sum(len(Path(place, name).read_bytes()) for place, _, names in os.walk(tree) for name in names)


if __name__ == "__main__":
    main()
