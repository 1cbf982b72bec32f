"""`gelo prepare` of 50,000 small images against reading the tree once: listing it and every file's bytes.

gelo also decodes each image to see that it can, hashes images and shards and writes the data set durably. Both sides find the files in the
page cache. `decode_alone`: what Pillow needs for the decoding, by itself, of the same files in one thread. `peak_mb`: of a process that
prepares a fifth of the images, and all of them.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.line import finish, note
from benchmarks.streaming import timed
from gelo.tasks.prepare.layout import png
from gelo.tasks.prepare.prepare import prepare

CLASSES = 100
_ALONE = """
import re, sys
from pathlib import Path
from gelo.tasks.prepare.prepare import prepare
prepare("small", Path(sys.argv[1]), Path(sys.argv[2]), reader="folder")
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds = (1_000, 1) if smoke else (50_000, 3)
    with tempfile.TemporaryDirectory() as scratch:
        tree, fifth = Path(scratch) / "tree", Path(scratch) / "fifth"
        size = _written(tree, count)
        _written(fifth, count // 5)
        ours, theirs = [], []
        for number in range(rounds):
            data = Path(scratch) / f"data-{number}"
            theirs.append(timed(_read, tree)[0])
            ours.append(timed(prepare, "small", tree, data, reader="folder")[0])
            note(f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s")
        files = [path.read_bytes() for path in tree.rglob("*.png")]
        detail = {
            "images": count,
            "bytes_each": size,
            "decode_alone": round(timed(_decode, files)[0], 3),
            "peak_mb": [round(_peak(place, Path(scratch) / f"alone-{place.name}")) for place in (fifth, tree)],
        }
        finish("prepare", ours, theirs, "seconds", "<= 2", detail)


def _written(tree: Path, count: int) -> int:
    """Noise in folders of classes; bytes of the last file."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = tree / "test" / f"class {number % CLASSES:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)))
    return path.stat().st_size


def _read(tree: Path) -> int:
    """The sum of all files' sizes, by reading them."""
    return sum(len(Path(place, name).read_bytes()) for place, _, names in os.walk(tree) for name in names)


def _decode(files: list[bytes]) -> None:
    for data in files:
        Image.open(io.BytesIO(data)).load()


def _peak(tree: Path, data: Path) -> float:
    """Megabytes that a process of its own holds at most."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(tree), str(data)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


if __name__ == "__main__":
    main()
