"""The pack: every image's own bytes at random access, made once whoever asks, made anew where it is not whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gelo.models.faults import UserError
from gelo.tasks.data.cache import entries, prune
from gelo.tasks.data.manifest import CHUNK, Dataset, read_chunk
from gelo.tasks.data.pack import IMAGES, OFFSETS, Pack, bytes_of, is_packed, packed, place_of
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset

ENV = {**os.environ, "PYTHONHASHSEED": "0"}
COUNT = CHUNK + 30  # two row groups


def sized(number: int) -> bytes:
    """Images of any length, one of them of none."""
    return np.random.default_rng(number).bytes(number % 97 * 11)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "bytes"
    records = (Record(f"r{number}", sized(number), number % 3) for number in range(COUNT))
    other = (Record(f"s{number}", b"other", 0) for number in range(3))
    return write_dataset(
        root, name="bytes", version="1", scale="miniature", classes=(), splits={"train": records, "val": other},
        source="a test", licence="Apache-2.0",
    )  # fmt: skip


def test_any_image_at_any_time(dataset: Dataset, tmp_path: Path) -> None:
    ticks: list[int] = []
    pack = packed(dataset, "train", tmp_path, ticks.append)
    assert len(pack) == COUNT and ticks == [CHUNK, COUNT - CHUNK]
    for row in (COUNT - 1, 0, 97, 5, CHUNK, CHUNK - 1, 5):
        assert pack.read(row) == sized(row)
    assert (
        b"".join(pack.read(row) for row in range(COUNT)) == (place_of(dataset, "train", tmp_path) / IMAGES).read_bytes()
    )
    stored = [image for chunk in dataset.chunks("train") for image in read_chunk(chunk)[1]]
    assert [pack.read(row) for row in range(COUNT)] == stored
    (entry,) = entries(tmp_path)
    assert (entry.kind, entry.made_by, entry.dataset) == ("packs", "stored", dataset.fingerprint)
    assert sum(map(len, stored)) < entry.bytes <= bytes_of(dataset, "train") + 128, "the header of the offsets"


def test_what_is_there_is_taken_and_what_was_pruned_made_again(dataset: Dataset, tmp_path: Path) -> None:
    packed(dataset, "train", tmp_path)
    ticks: list[int] = []
    assert packed(dataset, "train", tmp_path, ticks.append).read(1) == sized(1) and not ticks
    assert packed(dataset, "val", tmp_path).read(2) == b"other"
    (gone,) = prune(tmp_path, 0)
    assert gone.dataset == dataset.fingerprint and not is_packed(dataset, "train", tmp_path)
    assert packed(dataset, "train", tmp_path).read(1) == sized(1)


def cut(folder: Path) -> None:
    with (folder / IMAGES).open("r+b") as stream:
        stream.truncate(100)


def cut_offsets(folder: Path) -> None:
    (folder / OFFSETS).write_bytes((folder / OFFSETS).read_bytes()[:-8])


def of_another(folder: Path) -> None:
    np.save(folder / OFFSETS, np.arange(COUNT + 2, dtype=np.uint64))


def of_other_numbers(folder: Path) -> None:
    np.save(folder / OFFSETS, np.linspace(0, (folder / IMAGES).stat().st_size, COUNT + 1))


def not_whole(folder: Path) -> None:
    (folder / "DONE").unlink()


@pytest.mark.parametrize("harm", [cut, cut_offsets, of_another, of_other_numbers, not_whole])
def test_a_pack_that_is_cut_or_anothers_is_made_anew(
    harm: Callable[[Path], None], dataset: Dataset, tmp_path: Path
) -> None:
    packed(dataset, "train", tmp_path)
    harm(place_of(dataset, "train", tmp_path))
    pack = packed(dataset, "train", tmp_path)
    assert [pack.read(row) for row in range(COUNT)] == [sized(row) for row in range(COUNT)]


def test_a_file_that_is_cut_while_it_is_read_is_an_error_of_the_disk(dataset: Dataset, tmp_path: Path) -> None:
    packed(dataset, "train", tmp_path)
    pack = Pack(place_of(dataset, "train", tmp_path))
    cut(place_of(dataset, "train", tmp_path))
    with pytest.raises(OSError, match=rf"{IMAGES} ends before image {COUNT - 1} does"):
        pack.read(COUNT - 1)


MAKE = """
import sys
from pathlib import Path
from gelo.tasks.data.manifest import open_dataset
from gelo.tasks.data.pack import packed

ticks = []
sys.stdin.readline()
pack = packed(open_dataset(Path(sys.argv[1])), "train", Path(sys.argv[2]), ticks.append)
print(sum(ticks), hash(b"".join(pack.read(row) for row in range(len(pack)))))
"""


@pytest.mark.slow
def test_processes_that_make_it_at_once_make_one(dataset: Dataset, tmp_path: Path) -> None:
    left = place_of(dataset, "train", tmp_path).parent / ".partial-train-0000"  # of a process that was killed
    left.mkdir(parents=True)
    command = [sys.executable, "-c", MAKE, str(dataset.root), str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENV) for _ in range(3)
    ]
    told = [process.communicate("go\n", timeout=120)[0].split() for process in started]
    assert sorted(int(copied) for copied, _ in told) == [0, 0, COUNT], "one made it, the others waited"
    assert len({content for _, content in told}) == 1
    assert not left.exists() and is_packed(dataset, "train", tmp_path)


def test_a_full_disk_says_what_is_needed_and_leaves_nothing(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gelo.tasks.data.pack.np.save", full)
        with pytest.raises(
            UserError, match=r"the disk is full, .* [kMG]?B free; expected .* [kMG]?B for the images of bytes/train"
        ):
            packed(dataset, "train", tmp_path)
    assert not list(place_of(dataset, "train", tmp_path).parent.glob("*"))
    assert packed(dataset, "train", tmp_path).read(1) == sized(1)
    with pytest.raises(UserError, match="bytes/test: no such split; expected one of train, val"):
        packed(dataset, "test", tmp_path)
