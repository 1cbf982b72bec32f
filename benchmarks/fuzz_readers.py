"""Damaged files to the readers of .bin, .rec, .idx, CIFAR and IDX: each must end in a clear refusal or a right read.

ours: files that ended so; theirs: files tried. A read is right where every image and label is what an independent reader finds in the same
damaged bytes: the C unpickler with NumPy's names alone, dmlc's loop over a stream, MNIST's header by hand. Another exception, more than
10 s for one file, memory beyond 2 GB or a wrong value ends the bench.
"""

from __future__ import annotations

import argparse
import io
import pickle
import pickletools
import resource
import signal
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.line import finish, note
from gelo.tasks.data.pixels import UNREADABLE, open_image
from gelo.tasks.prepare.biometric.identities import identities
from gelo.tasks.prepare.biometric.pairs import verification
from gelo.tasks.prepare.formats.arrays import cifar10, mnist
from gelo.tasks.prepare.layout import Item, Layout
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare import face_trees, trees

ROUNDS = {
    "bin": 4_000, "rec": 3_000, "idx": 2_000, "cifar": 1_000, "mnist": 1_000,
}  # fmt: skip
SECONDS, BYTES = 10, 2 << 30
Read = dict[str, tuple[int, Any]]  # label and content by where it lies


class HangError(BaseException):
    """One file took too long; no reader may catch it."""


@dataclass(frozen=True)
class Case:
    """A form: writers of whole trees, the files to damage in each, gelo's reader, and the independent one (folder -> all it finds).

    content: what is compared of an image. A reader that is independent may raise anything: then a read of ours must not be whole.
    """

    trees: tuple[Callable[[Path], None], ...]
    files: tuple[str, ...]
    read: Callable[[Tree], Layout]
    other: Callable[[Path], Read]
    name: Callable[[Item], str]
    content: Callable[[bytes], Any] = bytes
    running: bool = False  # names count on over files, so those after a refused one have moved


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    outcomes: dict[str, Counter[str]] = {}
    slowest = 0.0
    for kind, count in ROUNDS.items():
        outcomes[kind], seconds = tally(kind, count // 50 if smoke else count, seed=0)
        slowest = max(slowest, seconds)
        note(f"{kind}: {dict(outcomes[kind])}")
    tried = sum(sum(counts.values()) for counts in outcomes.values())
    ended = sum(counts["refused"] + counts["read"] for counts in outcomes.values())
    detail = {
        "outcomes": {kind: dict(counts) for kind, counts in outcomes.items()},
        "slowest_ms": round(1000 * slowest, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    finish(
        "fuzz_readers", [float(ended)], [float(tried)], "files that ended well", "= 1 (10,000 or more tried)", detail
    )


def tally(kind: str, count: int, seed: int) -> tuple[Counter[str], float]:
    """`count` damaged files of one kind: how many were `refused` and `read`, and the slowest in seconds. Raises on any other end."""
    case = CASES[kind]
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        places = [Path(scratch) / str(number) for number in range(len(case.trees))]
        for write, place in zip(case.trees, places, strict=True):
            write(place)
            assert outcome(case, place) == "read", "the whole tree is read right"
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            place = places[number % len(places)]
            path = place / case.files[number // len(places) % len(case.files)]
            whole = path.read_bytes()
            path.write_bytes(damaged(whole, rng))
            started = time.perf_counter()
            try:
                with at_most(SECONDS):
                    outcomes[outcome(case, place)] += 1
            except BaseException as error:
                error.add_note(f"{kind} seed {seed} number {number}")
                raise
            finally:
                path.write_bytes(whole)
            slowest = max(slowest, time.perf_counter() - started)
    return outcomes, slowest


def outcome(case: Case, place: Path) -> str:
    """`refused`: a fault, or an image that prepare drops with one. `read`: everything, as the independent reader has it."""
    tree = Tree(place)
    layout = case.read(tree)
    found: Read = {}
    refused = bool(tree.faults)
    for items in layout.splits.values():
        for item in items:
            try:
                data = item.load()
                open_image(data)
            except UNREADABLE as error:
                assert str(error), "a refusal says why"
                refused = True
            else:
                found[case.name(item)] = (item.label, case.content(data))
    assert all(fault.found and fault.expected for fault in tree.faults)
    if refused and not found:
        return "refused"
    there = case.other(place)
    moved = refused and case.running
    wrong = [name for name, value in found.items() if (value not in there.values() if moved else there[name] != value)]
    assert not wrong, f"other values than the independent reader's: {wrong}"
    assert refused or len(found) == len(there), f"{len(found)} of {len(there)}, and no fault"
    same = layout.tables.get("pairs")
    if same is not None:
        assert same.column("same").to_pylist() == [bool(n) for n in unpickled(place / "lfw.bin")[1]]
    return "refused" if refused else "read"


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, cut off, bytes put in, chunks exchanged, taken out or repeated, or a word that lies at a border."""
    at, other = sorted(int(n) for n in rng.integers(0, len(data), 2))
    size = int(rng.integers(1, 65))
    words = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(8), face_trees.MAGIC, b"\x00\x00\x00\x80", b"9" * 19)
    match int(rng.integers(0, 8)):
        case 0 | 1:
            flipped = bytearray(data)
            for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
                flipped[place] ^= 1 << int(rng.integers(0, 8))
            return bytes(flipped)
        case 2:
            return data[:at]
        case 3:
            return data[:at] + rng.bytes(size) + data[at:]
        case 4:
            return (
                data[:at]
                + data[other : other + size]
                + data[at + size : other]
                + data[at : at + size]
                + data[other + size :]
            )
        case 5:
            return data[:at] + data[at + size :]
        case 6:
            return data[:at] + data[at : at + size] + data[at:]
        case _:
            word = words[int(rng.integers(0, len(words)))]
            return data[:at] + word + data[at + len(word) :]


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise HangError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class _NumbersOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer", "encode",
        }  # fmt: skip
        if name not in allowed:
            raise pickle.UnpicklingError(name)
        return super().find_class(module, name)


def unpickled(path: Path) -> Any:
    """By the C unpickler, once its memo is known to stay small."""
    data = path.read_bytes()
    for opcode, argument, _ in pickletools.genops(data):
        assert "PUT" not in opcode.name or int(argument or 0) < 1 << 24
    return _NumbersOnly(io.BytesIO(data), encoding="bytes").load()


def other_bin(place: Path) -> Read:
    images, _ = unpickled(place / "lfw.bin")
    return {str(number): (0, bytes(image)) for number, image in enumerate(images)}


def other_records(place: Path) -> Read:
    """dmlc's ReadRecord and mxnet's unpack at each offset of the index; a record that they cannot read is left out."""
    lines = [line.split("\t") for line in (place / "train.idx").read_text("latin-1").splitlines() if line]
    index = {int(line[0]): int(line[1]) for line in lines if len(line) == 2 and (line[0] + line[1]).isdigit()}
    rows: dict[int, tuple[int, list[float], bytes]] = {}
    with (place / "train.rec").open("rb") as stream:
        for key, offset in index.items():
            stream.seek(min(offset, 1 << 40))
            whole = b""
            while True:
                head = stream.read(8)
                if len(head) < 8 or head[:4] != face_trees.MAGIC:
                    break
                word = int.from_bytes(head[4:], "little")
                length = word % (1 << 29)
                padded = stream.read(-(-length // 4) * 4)
                whole += padded[:length]
                if word >> 29 in (0, 3):
                    flag, label = struct.unpack("<If", whole[:8].ljust(8, b"\0"))
                    if len(whole) >= 24 + 4 * flag:
                        several = [n for (n,) in struct.iter_unpack("<f", whole[24 : 24 + 4 * flag])]
                        rows[key] = (flag, several or [label], whole[24 + 4 * flag :])
                    break
                whole += face_trees.MAGIC
    keys = set(rows)
    if 0 in rows and rows[0][0] > 0 and not rows[0][2]:
        keys = set(range(1, min(int(rows[0][1][0]), 1 << 20)))
    return {
        str(key): (int(rows[key][1][0]), rows[key][2]) for key in keys if key in rows and np.isfinite(rows[key][1][0])
    }


def other_cifar(place: Path) -> Read:
    found: Read = {}
    base = place / "cifar-10-batches-py"
    for split, files in (("train", [f"data_batch_{n}" for n in range(1, 6)]), ("test", ["test_batch"])):
        row = 0
        for file in files:
            try:
                batch = unpickled(base / file)
                data, labels = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), batch[b"labels"]
            except Exception:
                continue  # ours must have said so: then what is left is counted from the others
            for pixels, label in zip(data, labels, strict=False):
                found[f"{split}/{row:05d}"] = (int(label), pixels.tobytes())
                row += 1
    return found


def other_mnist(place: Path) -> Read:
    found: Read = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images = (place / f"MNIST/raw/{stem}-images-idx3-ubyte").read_bytes()
        labels = (place / f"MNIST/raw/{stem}-labels-idx1-ubyte").read_bytes()[8:]
        count, height, width = struct.unpack(">3I", images[4:16].ljust(12, b"\0"))
        side = height * width
        for row in range(min(count, len(labels))):
            found[f"{split}/{row:05d}"] = (labels[row], images[16 + row * side : 16 + (row + 1) * side])
    return found


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def _bin(place: Path, write: Callable[..., bytes], wrap: Callable[[bytes], Any] = bytes, **options: Any) -> None:
    place.mkdir()
    images = [wrap(face_trees.jpeg(number, 8)) for number in range(24)]
    (place / "lfw.bin").write_bytes(write(images, [number % 2 == 0 for number in range(12)], **options))


def _images(count: int) -> list[bytes]:
    """JPEGs; every third holds the magic word after its end, where the record is cut, and decodes all the same."""
    plain = [face_trees.jpeg(number, 8) for number in range(count)]
    return [
        image + bytes(-len(image) % 4) + face_trees.MAGIC + b"tail" if n % 3 == 0 else image
        for n, image in enumerate(plain)
    ]


def _with_header(place: Path) -> None:
    images = _images(12)
    face_trees.write_records(place, face_trees.with_header([images[:4], images[4:9], images[9:]]))


def _im2rec(place: Path) -> None:
    face_trees.write_records(place, face_trees.im2rec([0.0, 1.0, 1.0, 2.0] * 3, _images(12)))


def _id(item: Item) -> str:
    return item.id


def _number(item: Item) -> str:
    return str(int(item.id))


def _key(item: Item) -> str:
    return item.where.rpartition(" key ")[2]


_BINS: tuple[Callable[[Path], None], ...] = (
    partial(_bin, write=face_trees.python2_bin),
    partial(_bin, write=face_trees.python2_bin, protocol=0),
    *(partial(_bin, write=face_trees.python3_bin, protocol=protocol) for protocol in (2, 4)),
    partial(_bin, write=face_trees.python3_bin, protocol=4, wrap=face_trees.encoded),
    partial(_bin, write=face_trees.python3_bin, protocol=5, wrap=face_trees.encoded),
)
_RECORDS = ((_with_header, _im2rec), identities, other_records, _key)
CASES: Mapping[str, Case] = {
    "bin": Case(_BINS, ("lfw.bin",), partial(verification, name="lfw"), other_bin, _number),
    "rec": Case(_RECORDS[0], ("train.rec",), *_RECORDS[1:]),
    "idx": Case(_RECORDS[0], ("train.idx",), *_RECORDS[1:]),
    "cifar": Case(
        (trees.cifar10,), tuple(f"cifar-10-batches-py/{file}" for file in ("data_batch_1", "data_batch_4", "test_batch")),
        cifar10, other_cifar, _id, _pixels, running=True,
    ),
    "mnist": Case(
        (trees.mnist,), tuple(f"MNIST/raw/{stem}" for stem in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte")),
        mnist, other_mnist, _id, _pixels, running=True,
    ),
}  # fmt: skip


if __name__ == "__main__":
    main()
