"""One set of pictures, written in any order, under any names of splits, with any order of labels and any classes left out, by four readers:
zero-shot and probe are the numbers that scikit-learn has from the pictures themselves, or nothing is read."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from gelo.models.faults import UserError
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.protocols import zeroshot
from tests.tasks.prepare.hub_trees import CELL, described, features
from tests.tasks.prepare.plain import COLOURS
from tests.tasks.prepare.same_pictures import put, write_tar

Picture = tuple[str, str, bytes]  # split, class, PNG
SPLITS = {
    "train": ("train", "Training", "TRAIN", "train_set", "trn"),
    "test": ("test", "testing", "Test", "held-out", "mine"),
}
SHOWN = {name: np.array(rgb, float) / 255 - 0.5 for name, rgb in COLOURS.items()}


def pictures(rng: random.Random, classes: list[str]) -> list[Picture]:
    """Noisy colours, a third of them in the folder of another class, so that no accuracy is 100 % by chance alone."""
    made = []
    for split, each in (("train", 4), ("test", 3)):
        for name in classes:
            for n in range(each):
                seen = rng.choice(classes) if n == 0 else name
                noise = np.random.default_rng(rng.getrandbits(32)).integers(-40, 41, (4, 4, 3))
                stream = io.BytesIO()
                Image.fromarray(np.clip(np.array(COLOURS[seen]) + noise, 0, 255).astype(np.uint8)).save(stream, "PNG")
                made.append((split, name, stream.getvalue()))
    return made


def encoded(data: bytes) -> NDArray[np.float64]:
    """An encoder of colours: the mean pixel."""
    return np.asarray(Image.open(io.BytesIO(data)), float).mean(axis=(0, 1)) / 255 - 0.5


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def truth(made: list[Picture]) -> tuple[float, float]:
    """Zero-shot and probe accuracy, from the pictures alone."""
    names = sorted({name for _, name, _ in made})
    train, test = ([(encoded(data), name) for part, name, data in made if part == split] for split in ("train", "test"))
    seen, labels = unit(np.stack([x for x, _ in test])), np.array([name for _, name in test])
    asked = np.array(names)[np.argmax(seen @ unit(np.stack([SHOWN[name] for name in names])).T, axis=1)]
    probe = LogisticRegression(C=10, max_iter=5000, tol=1e-8)
    probe.fit(unit(np.stack([x for x, _ in train])), [name for _, name in train])
    return float(np.mean(asked == labels)), float(np.mean(probe.predict(seen) == labels))


def measured(dataset: Dataset) -> tuple[float, float]:
    """The same of what was prepared: prompts by the card's class names, labels by its records."""
    asked = prompts_for(dataset).classes
    found = {
        split: np.stack([encoded(data) for chunk in dataset.chunks(split) for data in read_chunk(chunk)[1]])
        for split in ("train", "test")
    }
    text = [SHOWN[name][None] for name in asked]
    result, _ = zeroshot.score(
        dataset.name, dataset.ids("test"), found["test"], dataset.labels("test"), zeroshot.classifier(text),
        data="a" * 16, vision="b" * 16, text="c" * 16, scale="full",
    )  # fmt: skip
    probe = LogisticRegression(C=10, max_iter=5000, tol=1e-8)
    probe.fit(unit(found["train"]), np.array(asked)[dataset.labels("train")])
    right = probe.predict(unit(found["test"])) == np.array(asked)[dataset.labels("test")]
    return result.values[f"zero_shot/{dataset.name}/top1"], float(np.mean(right))


def folders(root: Path, made: list[Picture], called: dict[str, str], order: list[str]) -> None:
    for n, (split, name, data) in enumerate(made):
        put(root / called[split] / name / f"{n}.png", data)


def table(root: Path, made: list[Picture], called: dict[str, str], order: list[str]) -> None:
    lines = ["path,label,split"]
    for n, (split, name, data) in enumerate(made):
        put(root / "all" / f"{n}.png", data)
        lines.append(f"all/{n}.png,{name},{called[split]}")
    put(root / "list.csv", "\n".join(lines))


def parquet(root: Path, made: list[Picture], called: dict[str, str], order: list[str]) -> None:
    """Every file with a ClassLabel order of its own."""
    for place, split in enumerate(called):
        names = order if place == 0 else order[::-1]
        mine = [(data, names.index(name)) for part, name, data in made if part == split]
        cells = pa.array([{"bytes": data, "path": None} for data, _ in mine], CELL)
        rows = pa.table({"image": cells, "label": pa.array([label for _, label in mine], pa.int64())})
        path = root / f"{called[split]}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(described(rows, features(names)), path)


def tars(root: Path, made: list[Picture], called: dict[str, str], order: list[str]) -> None:
    for split in called:
        mine = [(data, order.index(name)) for part, name, data in made if part == split]
        members = [
            (f"{n:03d}{end}", what)
            for n, (data, label) in enumerate(mine)
            for end, what in ((".png", data), (".cls", b"%d" % label))
        ]
        write_tar(root / called[split] / "0.tar", members)
    put(root / "classnames.txt", "\n".join(order))


WRITERS: dict[str, Callable[[Path, list[Picture], dict[str, str], list[str]], None]] = {
    "folder": folders, "table": table, "datasets": parquet, "webdataset": tars,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("reader", WRITERS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_number_is_that_of_the_pictures_or_there_is_none(
    tmp_path_factory: pytest.TempPathFactory, reader: str, seed: int
) -> None:
    root, rng = tmp_path_factory.mktemp("any"), random.Random(seed)
    classes = rng.sample(sorted(COLOURS), rng.randint(2, 6))
    made = pictures(rng, classes)
    called = {split: rng.choice(words) for split, words in SPLITS.items()}
    rng.shuffle(made)
    WRITERS[reader](root / "tree", made, called, rng.sample(classes, len(classes)))
    try:
        dataset, _ = prepare("colours_of_mine", root / "tree", root / "data", reader=reader)
    except UserError:
        assert set(called.values()) & {"trn", "held-out", "mine"}, "names that people use are understood"
        return
    assert measured(dataset) == pytest.approx(truth(made))


@pytest.mark.parametrize("reader", WRITERS)
def test_rows_that_stand_twice_are_a_fault_or_are_said(tmp_path: Path, reader: str) -> None:
    made = pictures(random.Random(0), ["red", "green", "blue"])
    again = next(row for row in made if row[0] == "test")
    WRITERS[reader](tmp_path / "tree", [*made, again], {"train": "train", "test": "test"}, ["red", "green", "blue"])
    dataset, _ = prepare("mine", tmp_path / "tree", tmp_path / "data", reader=reader)
    understood = dataset.card.understood
    assert understood is not None
    (leak,) = [leak for leak in understood.leaks if leak.split == leak.other == "test"]
    assert leak.count == 2 and leak.of == 10


def test_a_path_that_a_table_lists_twice_is_a_fault(tmp_path: Path) -> None:
    made = pictures(random.Random(0), ["red", "green"])
    table(tmp_path / "tree", made, {"train": "train", "test": "test"}, [])
    file = tmp_path / "tree" / "list.csv"
    put(file, file.read_text() + "\n" + file.read_text().splitlines()[-1])
    with pytest.raises(UserError, match=r"twice|2 times"):
        prepare("mine", tmp_path / "tree", tmp_path / "data", reader="table")
