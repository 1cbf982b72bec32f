"""Reading a .rec through gelo's items against plain sequential reading and decoding of the same bytes, in images a second.

ours: opening, index, every item's header, label and bytes, decoded by Pillow. theirs: the file read from start to end in blocks of 1 MiB,
and every image, whose place is known beforehand, decoded by Pillow. Both find the file in the page cache, and the checksums of their
pixels must agree. detail: peak memory of a process that opens and passes 10^4 to 10^6 records, index included.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.line import finish, note
from benchmarks.streaming import jpeg, timed
from gelo.tasks.prepare.formats.recordio import records
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare.face_trees import packed, record

DISTINCT = 64  # JPEGs that are written again and again: nothing remembers what it decoded
BLOCK = 1 << 20
PASS = """
import json, sys
from pathlib import Path
from gelo.tasks.prepare.formats.recordio import records
from gelo.tasks.prepare.tree import Tree
def peak():
    status = Path("/proc/self/status").read_text()  # a child's ru_maxrss begins with its parent's
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before, tree = peak(), Tree(Path(sys.argv[1]))
items, _ = records(tree, "train.rec", "train.idx")
count = sum(1 for item in items if item.load())
assert not tree.faults
print(json.dumps([count, before, peak()]))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds, sizes = (500, 1, (100, 1_000)) if smoke else (20_000, 5, (10_000, 100_000, 1_000_000))
    with tempfile.TemporaryDirectory() as scratch:
        faces = Path(scratch) / "faces"
        places = write(faces, count, side=112)
        ours, theirs = [], []
        for number in range(rounds):
            seconds, mine = timed(_ours, faces)
            ours.append(count / seconds)
            seconds, other = timed(_plain, faces / "train.rec", places)
            theirs.append(count / seconds)
            assert mine == other
            note(f"round {number + 1} of {rounds}: {ours[-1]:.0f} against {theirs[-1]:.0f} images/s")
        memory = {}
        for size in sizes:
            write(Path(scratch) / "small", size, side=8)
            command = [sys.executable, "-c", PASS, str(Path(scratch) / "small")]
            passed, before, peak = json.loads(
                subprocess.run(command, capture_output=True, text=True, check=True).stdout
            )
            assert passed == size
            memory[f"{size:,}"] = {"peak_mb": round(peak, 1), "above_imports_mb": round(peak - before, 1)}
            note(f"{size:,} records: {memory[f'{size:,}']}")
        detail = {
            "images": count,
            "bytes_each": (faces / "train.rec").stat().st_size // count,
            "memory_by_records": memory,
        }
        finish("records_io", ours, theirs, "images/s", ">= 0.9, memory constant but for 16 bytes a record", detail)


def write(folder: Path, count: int, side: int) -> list[tuple[int, int]]:
    """`count` records of JPEGs in turn; returns (offset, bytes) of each image."""
    folder.mkdir(exist_ok=True)
    images = [_crop(number, side) for number in range(DISTINCT)]
    whole = [record(packed(number % 10, image)) for number, image in enumerate(images)]
    places, at = [], 0
    with (folder / "train.rec").open("wb") as rec, (folder / "train.idx").open("w") as idx:
        for key in range(count):
            data = whole[key % DISTINCT]
            idx.write(f"{key}\t{at}\n")
            rec.write(data)
            places.append((at + 8 + 24, len(images[key % DISTINCT])))
            at += len(data)
    return places


def _crop(number: int, side: int) -> bytes:
    """A photograph's detail in a JPEG of an aligned face's size."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(jpeg(number))) as image:
        image.resize((side, side)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _ours(folder: Path) -> int:
    found = records(Tree(folder), "train.rec", "train.idx")
    assert found is not None
    total = 0
    for item in found[0]:
        total = (total + _decoded(item.load())) % (1 << 32)
    return total


def _plain(path: Path, places: list[tuple[int, int]]) -> int:
    """One block after another; what is left of the last one stays for the image that runs on into the next."""
    total, held, start = 0, b"", 0
    with path.open("rb", buffering=0) as stream:
        for offset, size in places:
            while start + len(held) < offset + size:
                done = min(offset - start, len(held))
                held, start = held[done:] + stream.read(BLOCK), start + done
            total = (total + _decoded(held[offset - start : offset - start + size])) % (1 << 32)
    return total


def _decoded(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return zlib.adler32(np.asarray(image).data)


if __name__ == "__main__":
    main()
