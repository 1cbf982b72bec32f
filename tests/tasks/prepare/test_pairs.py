"""insightface's .bin: every way to write it gives the same images, pairs and folds; whatever is not one is refused and runs nothing."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold

from benchmarks.fuzz_readers import tally
from gelo.models.backbones.zoo import load_backbone
from gelo.models.faults import UserError
from gelo.tasks.data.embed import EncoderRef, embed, features, needs
from gelo.tasks.data.manifest import read_chunk
from gelo.tasks.prepare.biometric.pairs import pairs, verification
from gelo.tasks.prepare.formats.safe_pickle import SafePickleError, load_plain
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.prepare.tree import Tree
from tests.tasks.prepare import face_trees

IMAGES = [face_trees.jpeg(number) for number in range(46)]
SAME = [number % 3 > 0 for number in range(23)]


def read(root: Path, data: bytes) -> tuple[Layout, str]:
    (root / "lfw.bin").write_bytes(data)
    tree = Tree(root)
    return verification(tree, "lfw"), "\n".join(map(str, tree.faults))


WRITTEN: dict[str, bytes] = {
    "python 2, protocol 0": face_trees.python2_bin(IMAGES, SAME, 0),
    "python 2, protocol 2": face_trees.python2_bin(IMAGES, SAME),
    **{f"python 3, protocol {n}": face_trees.python3_bin(IMAGES, SAME, n) for n in range(6)},
    **{
        f"OpenCV arrays {'(n, 1)' if column else '(n,)'}, protocol {n}": face_trees.python3_bin(
            [face_trees.encoded(image, column) for image in IMAGES], SAME, n
        )
        for n in (2, 4, 5)
        for column in (False, True)
    },
    **{f"NumPy booleans, protocol {n}": face_trees.python3_bin(IMAGES, list(np.array(SAME)), n) for n in (2, 4, 5)},
    "array of labels": face_trees.python3_bin(IMAGES, np.array(SAME)),
    "zeros and ones": face_trees.python3_bin(IMAGES, [int(n) for n in SAME]),
    "bytearrays": face_trees.python3_bin([bytearray(image) for image in IMAGES], SAME, 5),
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_images_labels_and_folds(data: bytes, tmp_path: Path) -> None:
    layout, faults = read(tmp_path, data)
    assert not faults
    items, table = layout.splits["test"], layout.tables["pairs"]
    assert [item.load() for item in items] == IMAGES
    assert [item.id for item in items] == [f"{n:06d}" for n in range(46)]
    assert table.column("id_1").to_pylist() == [f"{n:06d}" for n in range(0, 46, 2)]
    assert table.column("id_2").to_pylist() == [f"{n:06d}" for n in range(1, 46, 2)]
    assert table.column("same").to_pylist() == SAME
    assert [str(field.type) for field in table.schema] == ["string", "string", "bool", "int64"]
    assert layout.classes == ()


@pytest.mark.parametrize("count", [10, 11, 19, 23, 600, 6_000, 7_000])
def test_folds_are_those_of_scikit_learn(count: int, tmp_path: Path) -> None:
    layout, _ = read(tmp_path, face_trees.python3_bin([b"x"] * (2 * count), [n % 2 == 0 for n in range(count)]))
    fold = layout.tables["pairs"].column("fold").to_numpy()
    for number, (_, held_out) in enumerate(KFold(10, shuffle=False).split(np.arange(count))):
        np.testing.assert_array_equal(np.flatnonzero(fold == number), held_out)


class _Reduced:
    """Calls when it is unpickled, by any of the ways that a class has to ask for it."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer

    def __reduce__(self) -> tuple[Any, ...]:
        return self.answer


def payloads(place: Path) -> dict[str, bytes]:
    """Each makes the file `place` when C's or Python's plain unpickler loads it, or sets or calls what it should not."""
    touch = f"touch {place}".encode()
    binary = b"X" + struct.pack("<I", len(touch)) + touch
    system = b"\x8c\x05posix\x8c\x06system\x93"
    hostile = _Reduced(os.system, (touch.decode(),))
    return {
        "GLOBAL and REDUCE": b"cposix\nsystem\n(S'" + touch + b"'\ntR.",
        "STACK_GLOBAL": b"\x80\x04" + system + binary + b"\x85R.",
        "INST": b"(S'" + touch + b"'\niposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\nS'" + touch + b"'\no.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n)\x81.",
        "builtins.eval": b"cbuiltins\neval\n(S\"open('" + str(place).encode() + b"', 'w')\"\ntR.",
        "BUILD of a module's function": b"c_codecs\nencode\n}X\x08\x00\x00\x00__dict__Nsb.",
        "BUILD with slots": b"cnumpy\ndtype\nN}X\x08\x00\x00\x00__call__cposix\nsystem\ns\x86b.",
        "BUILD calls __setstate__": b"cnumpy\nndarray\n}b.",
        "getattr through NumPy": b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.tofile.x\x93.",
        "persistent id": b"Pevil\n.",
        "binary persistent id": b"\x8c\x04evilQ.",
        "extension": b"\x82\x01.",
        "nested in the list of images": pickle.dumps(([b"x", hostile], [True]), 4),
        "nested in the labels": pickle.dumps(([b"x"] * 20, [hostile] * 10), 2),
        "as a dictionary's value": pickle.dumps({"a": {"b": [(hostile,)]}}, 3),
        "an array of objects": pickle.dumps(np.array([hostile], object), 4),
        "a state that calls": pickle.dumps(_Reduced(os.getenv, ("HOME",), hostile), 4),
        "items appended to a file": b"cbuiltins\nopen\n(S'" + str(place).encode() + b"'\nS'w'\ntR.",
        "numpy.load": b"cnumpy\nload\n(S'x'\ntR.",
        "a set": pickle.dumps({1, 2}, 4),
    }


@pytest.mark.parametrize("kind", payloads(Path("x")))
def test_a_hostile_pickle_is_refused_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "executed"
    data = payloads(place)[kind]
    layout, faults = read(tmp_path, data)
    assert "refused" in faults or "damaged" in faults
    assert not layout.splits
    assert not place.exists()
    with pytest.raises(UserError, match=r"lfw\.bin"):
        prepare("lfw", tmp_path, tmp_path / "data", allow_partial=True)
    assert not place.exists()


@pytest.mark.parametrize(
    "kind", ["GLOBAL and REDUCE", "STACK_GLOBAL", "INST", "OBJ", "builtins.eval", "nested in the labels"]
)
def test_the_payloads_are_live(kind: str, tmp_path: Path) -> None:
    """What the test above refuses does make the file where pickle.load reads it, in a process of its own."""
    place = tmp_path / "executed"
    (tmp_path / "x").write_bytes(payloads(place)[kind])
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], check=False, capture_output=True, timeout=60)
    assert place.exists()


def nested(depth: int) -> bytes:
    """(((x, x), (x, x)), ...) by DUP: 2^depth leaves in 3 x depth bytes."""
    return b"K\x01" + b"2\x86" * depth


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.", "bytes asked for"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 35) + b"abc.", "bytes asked for"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 63) + b"abc.", "damaged"),
        (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "bytes asked for"),
        (b"B" + struct.pack("<I", 0xFFFFFFFF) + b"abc.", "bytes asked for"),
        (b"\x8b" + struct.pack("<I", 0x7FFFFFFF) + b"abc.", "bytes asked for"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftS'b'\ntR.", "NumPy would not write"),
        (b"cnumpy\ndtype\n(S'V2000000000'\ntR.", "refused"),
        (b"}" + nested(60) + b"Ns.", "other keys"),
        (b"", "damaged"),
        (b".", "damaged"),
        (b"garbage", "damaged"),
        (b"(" * 50, "damaged"),
        (b"\x80\x7f.", "damaged"),
    ],
)  # fmt: skip
def test_what_a_few_bytes_claim_takes_no_memory(data: bytes, said: str) -> None:
    tracemalloc.start()
    with pytest.raises(SafePickleError, match=said):
        load_plain(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_a_memo_of_two_thousand_million_entries_takes_no_memory(tmp_path: Path) -> None:
    """The C machine would make room for all of them; here the file is read, and is no list of images."""
    layout, faults = read(tmp_path, b"Nr\xff\xff\xff\x7f.")
    assert "other content: NoneType" in faults
    assert not layout.splits


@pytest.mark.slow
def test_containers_that_hold_one_another_end() -> None:
    assert load_plain(b"(" + nested(60) + b"t.")[0][0][0] is not None
    loop = load_plain(b"]q\x00h\x00a.")
    assert loop[0] is loop
    with pytest.raises(SafePickleError, match="damaged"):
        load_plain(b"N" + b"\x85" * 100_000 + b".")


def test_text_becomes_bytes_once() -> None:
    """A text of the memo turned into bytes again and again would be memory without end; each of a real file stands in it once."""
    head = b"c_codecs\nencode\nq\x00X\xe8\x03\x00\x00" + b"a" * 1000 + b"q\x01X\x06\x00\x00\x00latin1q\x02"
    with pytest.raises(SafePickleError, match="bytes in latin1"):
        load_plain(head + b"000](" + b"h\x00h\x01h\x02\x86R" * 1000 + b"e.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((IMAGES, SAME[:-1]), "46 images, 22 labels; expected two images a label"),
        ((IMAGES[:-1], SAME), "45 images, 23 labels"),
        ((IMAGES[:18], SAME[:9]), "9 pairs; expected at least 10"),
        ((IMAGES, [2, *SAME[1:]]), "labels: list of 23 (bool, int); expected a list of booleans"),
        ((IMAGES, ["yes"] * 23), "labels: list of 23 (str)"),
        ((IMAGES, [0.5] * 23), "labels: list of 23 (float)"),
        ((IMAGES, np.zeros((23, 1), bool)), "labels: bool array of shape (23, 1)"),
        ((IMAGES, None), "labels: NoneType"),
        (([*IMAGES[:-1], "text"], SAME), "1 images are no bytes, first image 45: str"),
        (([*IMAGES[:-1], np.zeros((8, 8, 3), np.uint8)], SAME), "image 45: uint8 array of shape (8, 8, 3)"),
        ((IMAGES, SAME, SAME), "other content: tuple of 3"),
        ({"images": IMAGES}, "other content: dict"),
        ((b"x", SAME), "other content: tuple of 2 (bytes, list)"),
        (b"x", "other content: bytes"),
    ],
)
def test_another_content_is_told_and_never_partial(content: object, said: str, tmp_path: Path) -> None:
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(UserError) as error:
        prepare("lfw", tmp_path, tmp_path / "data", allow_partial=True)
    assert said in str(error.value)


@pytest.mark.parametrize("same", [True, False])
def test_pairs_of_one_kind(same: bool, tmp_path: Path) -> None:
    """A fault; whoever wants them has them with allow_partial, where the accuracy is absent (tests of the protocol)."""
    layout, faults = read(tmp_path, face_trees.python3_bin(IMAGES, [same] * 23))
    assert f"all 23 pairs are of one kind: {same}; expected pairs of the same and of different persons" in faults
    assert len(layout.splits["test"]) == 46


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    for protocol, whole in ((0, WRITTEN["python 2, protocol 0"]), (4, WRITTEN["python 3, protocol 4"])):
        for cut in np.random.default_rng(protocol).integers(1, len(whole), 40):
            layout, faults = read(tmp_path, whole[:cut])
            assert "damaged pickle" in faults, cut
            assert not layout.splits
    assert "empty" in read(tmp_path, b"")[1]


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert not verification(tree, "lfw").splits
    assert [(fault.where, fault.found) for fault in tree.faults] == [(str(tmp_path / "lfw.bin"), "missing")]
    (tmp_path / "faces_emore").mkdir()
    (tmp_path / "faces_emore" / "lfw.bin").write_bytes(WRITTEN["python 2, protocol 2"])
    assert len(verification(Tree(tmp_path), "lfw").splits["test"]) == 46
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "lfw.bin").write_bytes(WRITTEN["python 2, protocol 2"])
    assert not verification(tree := Tree(tmp_path), "lfw").splits
    assert "lfw.bin in faces_emore, other" in str(tree.faults[0])


def test_pairs_of_a_users_own(tmp_path: Path) -> None:
    assert not pairs(tree := Tree(tmp_path)).splits
    assert "no .bin file" in str(tree.faults[0])
    (tmp_path / "mine.bin").write_bytes(WRITTEN["python 3, protocol 4"])
    dataset, _ = prepare("my_faces", tmp_path, tmp_path / "data", reader="pairs")
    assert dataset.card.protocols == ("verification",)
    assert dataset.card.counts() == {"test": 46}
    assert [data for chunk in dataset.chunks("test") for data in read_chunk(chunk)[1]] == IMAGES
    (tmp_path / "more.bin").write_bytes(b"")
    assert not pairs(tree := Tree(tmp_path)).splits
    assert "2 .bin files: mine.bin, more.bin" in str(tree.faults[0])


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(face_trees.python3_bin([*IMAGES[:7], IMAGES[7][:40], *IMAGES[8:]], SAME))
    with pytest.raises(UserError, match=r"mine\.bin image 7 \(pair 3\): unreadable image"):
        prepare("my_faces", tmp_path, tmp_path / "data", reader="pairs")


@pytest.mark.slow
def test_damaged_files_end_in_a_refusal_or_a_right_read() -> None:
    for seed, kind in enumerate(("bin", "cifar", "mnist")):
        outcomes, _ = tally(kind, 200 if kind == "bin" else 40, seed=100 + seed)
        assert set(outcomes) == {"refused", "read"}


def accuracy(distance: np.ndarray, same: np.ndarray) -> float:
    """Mean over KFold's parts of the accuracy at the threshold that is best on the others: loops, no sums of steps."""
    grid = np.arange(0, 4, 0.01)
    found = []
    for train, test in KFold(10, shuffle=False).split(distance):
        best = np.argmax([np.mean((distance[train] < t) == same[train]) for t in grid])
        found.append(np.mean((distance[test] < grid[best]) == same[test]))
    return float(np.mean(found))


@pytest.mark.slow
def test_prepared_and_scored_lfw_is_scikit_learns_and_numpys(tmp_path: Path, command: Callable[..., str]) -> None:
    images, same = face_trees.face_pairs(24)
    (tmp_path / "lfw.bin").write_bytes(face_trees.python2_bin(images, same))
    data, cache = tmp_path / "data", tmp_path / "cache"
    command("prepare", "lfw", "--from", str(tmp_path), "--allow-partial", "--data", str(data))
    said = command(
        "evaluate", "mini-s", "--dataset", "lfw", "--suite", "biometric", "--json", "--data", str(data), "--cache", str(cache)
    )  # fmt: skip
    (result,) = json.loads(said[said.index("[") :])

    dataset, made = prepare("lfw", tmp_path, data, allow_partial=True)
    assert not made
    encoder = load_backbone("mini-s")
    ref = EncoderRef(encoder.vision_fingerprint, "mini-s", None, None)
    embed(needs(ref, dataset, "test", ("image", "flip")), encoder.transform, tmp_path / "again", "local")
    both = sum(features(ref, dataset, "test", tmp_path / "again", view) for view in ("image", "flip"))
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    distance = ((unit[::2].astype(np.float64) - unit[1::2]) ** 2).sum(axis=1)
    assert result["values"]["fr/lfw/accuracy"] == pytest.approx(accuracy(distance, np.array(same)), abs=1e-12)
    assert result["partial"] is True
    assert result["counts"] == {"images": 48, "genuine": 12, "impostor": 12, "folds": 10}


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GELO_")}
        done = subprocess.run(
            [sys.executable, "-m", "gelo", *arguments],
            cwd=Path(__file__).parents[3], env=environment | {"COLUMNS": "400"}, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call
