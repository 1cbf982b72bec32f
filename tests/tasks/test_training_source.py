"""What a training run reads: the same batches from any number of threads and ranks, from any step on, on the host or the device."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gelo.models.backbones.transforms import Transform
from gelo.models.faults import UserError
from gelo.models.training.sampling import Batches
from gelo.models.training.settings import Sampler
from gelo.models.training.stream import Batch, Stream, ahead, fed
from gelo.models.training.world import World
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.pixels import open_image
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import Reading
from gelo.tasks.data.write import write_dataset
from gelo.tasks.training.base import Augment
from gelo.tasks.training.source import SplitSource

COUNT, BATCH, SIDE = 150, 12, 32
CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def encoded(number: int, size: tuple[int, int], mode: str = "RGB", kind: str = "JPEG") -> bytes:
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    coarse.convert(mode).save(stream, kind)
    return stream.getvalue()


def written(root: Path, images: list[bytes]) -> Dataset:
    records = (Record(f"r{number}", image, number % 10) for number, image in enumerate(images))
    return write_dataset(
        root, name=root.name, version="1", scale="miniature", classes=(), splits={"train": records}, source="a test",
        licence="Apache-2.0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Faces: all stored at 24 x 24."""
    return written(tmp_path_factory.mktemp("data") / "alike", [encoded(n, (24, 24)) for n in range(COUNT)])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """General images: of many sizes, some grey, some PNG with a palette or transparency, some WebP."""
    kinds = [("RGB", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "WEBP"), ("RGB", "JPEG")]
    images = [encoded(n, (20 + n % 7 * 9, 30 + n % 5 * 20), *kinds[n % len(kinds)]) for n in range(COUNT)]
    return written(tmp_path_factory.mktemp("data") / "mixed", images)


def source(
    dataset: Dataset, cache: Path, kind: Augment = "rand_augment", transform: Transform | None = None
) -> SplitSource:
    return SplitSource(dataset, "train", transform or Transform(size=SIDE), cache, SIDE, kind)


def stream(dataset: Dataset, cache: Path, sampler: Sampler = "shuffled", seed: int = 5) -> Stream:
    own = source(dataset, cache)
    return Stream(own, Batches(sampler, own.labels, seed, BATCH), seed, Transform(size=SIDE), augmented=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def numbers(steps: Iterator[list[Batch]]) -> list[tuple[list[int], torch.Tensor, torch.Tensor]]:
    return [
        (np.concatenate([part.rows for part in parts]).tolist(), torch.cat([p.pixels for p in parts]), torch.cat([p.labels for p in parts]))
        for parts in steps
    ]  # fmt: skip


@pytest.mark.parametrize("set_", ["alike", "mixed"])
def test_images_are_those_of_the_transform_one_by_one(set_: str, cache: Path, request: pytest.FixtureRequest) -> None:
    dataset: Dataset = request.getfixturevalue(set_)
    images = dataset.records("train", range(COUNT), ["image"])
    for transform in (
        Transform(size=SIDE),
        Transform(size=SIDE, resize="squash", interpolation="bilinear", channels="bgr"),
    ):
        own, rows = source(dataset, cache, transform=transform), np.array([140, 3, 0, 77, 3])
        expected = np.stack([transform.to_uint8(open_image(images[row]["image"])) for row in rows])
        np.testing.assert_array_equal(own.take(rows), expected)


@pytest.mark.parametrize("kind", ["flip", "rand_augment", "spoof"])
@pytest.mark.parametrize("set_", ["alike", "mixed"])
@pytest.mark.parametrize(
    "transform",
    [
        Transform(size=SIDE),
        Transform(size=SIDE + 5, interpolation="bilinear", resize="squash", channels="bgr"),
        Transform(size=SIDE + 5, interpolation="bilinear", resize="squash", antialias=False),
    ],
    ids=["bicubic", "bgr", "opencv"],
)
def test_what_the_device_finishes_is_what_the_host_makes(
    kind: Augment, transform: Transform, set_: str, cache: Path, request: pytest.FixtureRequest
) -> None:
    dataset: Dataset = request.getfixturevalue(set_)
    own, rows = source(dataset, cache, kind, transform), np.random.default_rng(0).permutation(COUNT)[:30]
    for part in (slice(0, 30), slice(10, 20)):
        expected = own.take(rows, np.random.default_rng(4), part)
        found = own.deferred(rows, np.random.default_rng(4), part, CPU)()
        np.testing.assert_array_equal(found.numpy(), expected)
        for device in DEVICES:
            begun = own.begin(rows, np.random.default_rng(4), part, torch.device(device))()
            np.testing.assert_array_equal(begun.cpu().numpy(), expected)
    plain = own.deferred(rows, None, slice(0, 30), CPU)()
    np.testing.assert_array_equal(plain.numpy(), own.take(rows))


def test_faces_go_to_the_device_as_they_are_stored(
    alike: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = source(alike, cache, "flip")
    monkeypatch.setattr(Transform, "to_uint8", lambda *_: pytest.fail("resized on the host"))
    finish = own.deferred(np.arange(6), np.random.default_rng(0), slice(0, 6), CPU)
    held = next(cell.cell_contents for cell in finish.__closure__ or () if isinstance(cell.cell_contents, torch.Tensor))
    assert held.shape == (6, 24, 24, 3) and held.dtype == torch.uint8


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    sampler=st.sampled_from(["shuffled", "class_balanced", "identity_balanced"]), seed=st.integers(0, 9),
    start=st.integers(0, 2 * (COUNT // BATCH) - 3), workers=st.sampled_from([1, 4]), ranks=st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_a_step_is_the_same_from_any_start_on_any_threads_and_ranks(
    alike: Dataset, cache: Path, sampler: Sampler, seed: int, start: int, workers: int, ranks: int
) -> None:
    """The batches of `start` and the two after it, against those that a new stream makes one at a time."""
    fresh = stream(alike, cache, sampler, seed)
    expected = numbers(fresh.slices(step, World()) for step in range(start, start + 3))
    parts = []
    for rank in range(ranks):
        other, world = stream(alike, cache, sampler, seed), World(rank, ranks)
        made = ahead(other.rows, partial(_begin, other, world), start, start + 3, workers)
        parts.append(numbers(finish() for finish in made))
    for step, (rows, pixels, labels) in enumerate(expected):
        assert [row for rank in parts for row in rank[step][0]] == rows
        assert torch.equal(torch.cat([rank[step][1] for rank in parts]), pixels)
        assert torch.equal(torch.cat([rank[step][2] for rank in parts]), labels)


def _begin(of: Stream, world: World, step: int, rows: np.ndarray) -> object:
    return of.begin(step, rows, world, 1)


def test_the_loop_gets_what_stands_beside_in_parts(alike: Dataset, mixed: Dataset, cache: Path) -> None:
    own, other = stream(alike, cache), stream(mixed, cache, seed=6)
    found = list(fed(own, {"general": other}, World(), 3, 4, 6))
    for step, parts in zip((4, 5), found, strict=True):
        assert len(parts) == 3
        for of, batches in ((own, parts), (other, [part.extra["general"] for part in parts])):
            for part, expected in zip(batches, of.slices(step, World(), 3), strict=True):
                assert torch.equal(part.pixels, expected.pixels) and torch.equal(part.labels, expected.labels)
    assert own.slices(4, World())[0].pixels.shape == (BATCH, 3, SIDE, SIDE)


def test_an_image_that_cannot_be_read_names_itself_and_the_step_in_its_turn(tmp_path: Path) -> None:
    images = [encoded(n, (24, 24)) for n in range(40)]
    images[17] = images[17][:200]
    images[23] = b"no image"
    damaged = stream(written(tmp_path / "data" / "damaged", images), tmp_path / "cache")
    steps = [set(damaged.rows(step).tolist()) for step in range(3)]
    first = next(step for step, rows in enumerate(steps) if rows & {17, 23})
    taken = 0
    with pytest.raises(UserError) as caught:
        for _ in fed(damaged, {}, World(), 1, 0, 3):
            taken += 1
    assert taken == first, "batches before it are not lost"
    assert caught.value.subject == f"data set damaged, read for step {first} (epoch 1, {first} of its 3)"
    named = {fault.where for fault in caught.value.faults}
    assert named == {f"damaged/train id 'r{row}'" for row in steps[first] & {17, 23}}
    assert all(fault.remedy == "prepare the data set again" for fault in caught.value.faults)
    with pytest.raises(UserError, match="damaged/val: no such split; expected one of train"):
        SplitSource(damaged.source._dataset, "val", Transform(size=8), tmp_path / "cache")  # type: ignore[attr-defined]


@pytest.mark.parametrize("most", [0, 10**9])
def test_images_of_a_small_set_are_decoded_once(
    most: int, mixed: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def counting(data: bytes, reading: Reading) -> Image.Image:
        opened.append(len(data))
        return open_image(data, reading)

    monkeypatch.setattr("gelo.tasks.training.source.open_image", counting)
    monkeypatch.setattr("gelo.tasks.training.source._KEPT", most)
    own = source(mixed, cache, "rand_augment")
    first = own.take(np.array([4, 9, 4]), np.random.default_rng(1))
    assert len(opened) == 3
    np.testing.assert_array_equal(own.take(np.array([4, 9, 4]), np.random.default_rng(1)), first)
    own.take(np.array([9, 11]))
    assert len(opened) == (4 if most else 8)
