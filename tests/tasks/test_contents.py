"""Leaks by content: against set intersections and loops over pairs, and on planted duplicates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gelo.models.faults import UserError
from gelo.tasks.data import contents
from gelo.tasks.data.manifest import CHUNK, Dataset, open_dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import Leak, Understood
from gelo.tasks.data.write import write_dataset

Images = Sequence[tuple[bytes, int]]  # content and label


def write(root: Path, splits: Mapping[str, Images], classes: tuple[str, ...] = ("a", "b", "c")) -> Dataset:
    records = {
        split: [Record(f"{split}/{row}", image, label) for row, (image, label) in enumerate(images)]
        for split, images in splits.items()
    }
    return write_dataset(
        root, name=root.name, version="1", scale="full", classes=classes, splits=records, source="a test", licence="none",
        understood=lambda: Understood(reader="test", root=str(root)),
    )  # fmt: skip


def by_hand(splits: Mapping[str, Images]) -> dict[tuple[str, str, bool], int]:
    """(split, other, relabelled) -> images, by a loop over all pairs."""
    order = [name for name in ("test", "dev", "val", "train") if name in splits]
    counts = {}
    for place, split in enumerate(order):
        for other in order[place:]:
            for relabelled in (False, True):
                counts[split, other, relabelled] = sum(
                    any(
                        image == there and (not relabelled or label != other_label)
                        for number, (there, other_label) in enumerate(splits[other])
                        if (split, row) != (other, number)
                    )
                    for row, (image, label) in enumerate(splits[split])
                )
    return {key: count for key, count in counts.items() if count}


_IMAGES = st.lists(
    st.tuples(st.integers(0, 12).map(lambda n: b"image %d" % n), st.integers(0, 2)), min_size=1, max_size=9
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["train", "val", "test", "dev"]), _IMAGES, min_size=1))
def test_leaks_are_those_of_a_loop_over_all_pairs(splits: dict[str, Images]) -> None:
    with TemporaryDirectory() as folder:
        dataset = write(Path(folder) / "mine", splits)
        found = contents.within(dataset)
        assert dataset.card.understood is not None and dataset.card.understood.leaks == found
    assert {(leak.split, leak.other, leak.relabelled): leak.count for leak in found} == by_hand(splits)
    content = {f"{split}/{row}": each for split, images in splits.items() for row, each in enumerate(images)}
    for leak in found:
        assert leak.of == len(splits[leak.split])
        assert leak.first
        for pair in leak.first:
            (image, label), (partner, other_label) = (content[identity] for identity in pair.split(" = "))
            assert image == partner
            assert label != other_label or not leak.relabelled


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)), st.randoms(use_true_random=False))
def test_planted_duplicates_are_found_and_no_others(test: set[int], train: set[int], random) -> None:  # type: ignore[no-untyped-def]
    rows = {"test": [*test, 1000], "train": [*train, 2000]}
    for numbers in rows.values():
        random.shuffle(numbers)
    with TemporaryDirectory() as folder:
        one = write(Path(folder) / "one", {"test": [(b"%d" % n, 0) for n in rows["test"]]})
        two = write(Path(folder) / "two", {"train": [(b"%d" % n, 1) for n in rows["train"]]})
        leak = contents.shared(one, "test", two, "train")
    if not test & train:
        assert leak is None
        return
    assert leak is not None
    assert (leak.split, leak.other, leak.count, leak.of) == ("one/test", "two/train", len(test & train), len(test) + 1)
    expected = [(row, rows["train"].index(n)) for row, n in enumerate(rows["test"]) if n in train]
    assert leak.first == tuple(f"test/{row} = train/{other}" for row, other in expected[:3])


def test_digests_are_the_first_half_of_sha256_in_record_order(tmp_path: Path) -> None:
    images = [b"%d" % n for n in range(CHUNK + 5)]
    dataset = write(tmp_path / "mine", {"train": [(image, 0) for image in images], "test": [(b"x", 1)]})
    table = pq.read_table(dataset.root / "contents.parquet")
    assert table.column("split").to_pylist() == ["train"] * len(images) + ["test"]
    assert table.column("digest").to_pylist() == [hashlib.sha256(image).digest()[:16] for image in [*images, b"x"]]
    assert str(table.schema.field("digest").type) == "fixed_size_binary[16]"
    assert open_dataset(dataset.root, verify=True).card.tables["contents"].rows == len(images) + 1


def test_digests_that_agree_in_their_first_half_are_told_apart() -> None:
    import numpy as np

    a = np.array([[1, 5], [1, 4], [1, 5], [0, 9]], np.uint64)
    b = np.array([[1, 4], [1, 6], [1, 4]], np.uint64)
    first, second = contents._groups([a, b])
    assert first[0] == first[2] != first[1]
    assert second[0] == second[2] == first[1]
    assert len({*first, *second}) == 4


def test_free_labels_may_name_an_image_twice_but_not_in_two_splits(tmp_path: Path) -> None:
    dataset = write(tmp_path / "pairs", {"test": [(b"a", 0), (b"a", 0), (b"b", 0)], "train": [(b"b", 0)]}, classes=())
    assert [(leak.split, leak.other, leak.count) for leak in contents.within(dataset)] == [("test", "train", 1)]


def test_a_set_of_an_older_gelo_is_known_as_such(tmp_path: Path) -> None:
    dataset = write(tmp_path / "mine", {"test": [(b"a", 0)]})
    old = Dataset(dataset.root, dataset.card.model_copy(update={"tables": {}}))
    assert contents.is_known(dataset)
    assert not contents.is_known(old)
    with pytest.raises(UserError, match="contents"):
        contents.shared(old, "test", dataset, "test")


def test_a_leak_in_words() -> None:
    leak = Leak(split="test", other="train", count=12, of=1200, first=("a = b", "c = d"))
    assert str(leak) == "12 of 1,200 images of test stand in train too, byte for byte: a = b, c = d, ..."
    one = Leak(split="test", other="test", count=1, of=1, relabelled=True, first=("a = b",))
    assert str(one) == "1 of 1 image of test stands there under two labels, byte for byte: a = b"
    near = Leak(split="mine/test", other="faces/train", count=2, of=9, kind="near", first=("a = b", "c = d"))
    assert str(near) == "2 of 9 images of mine/test stand in faces/train too, nearly the same to the eye: a = b, c = d"
