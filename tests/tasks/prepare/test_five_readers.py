"""200 images in six layouts, by every reader of a user's own sets: the same labels, features and metrics, and those of open_clip, Pillow
and scikit-learn alone."""

from __future__ import annotations

import io
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

import gelo.models
from gelo.models.faults import UserError
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.stages.single import evaluate_one
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.manifest import open_dataset, read_chunk
from gelo.tasks.prepare.prepare import prepare
from tests.tasks.prepare.hub_trees import parquet, rows, save_dict
from tests.tasks.prepare.plain import COLOURS
from tests.tasks.prepare.same_pictures import put, write_tar

pytestmark = pytest.mark.slow

CLASSES = ("black", "blue", "green", "red", "yellow")
Picture = tuple[str, str, int, bytes]  # split, class, number, PNG

QUIET = Display(Console(file=io.StringIO()))


def pictures() -> list[Picture]:
    """25 of each class to train on and 15 to test, a fifth of them of another colour; in the order in which folders sort."""
    rng, made = np.random.default_rng(0), []
    for split, count in (("test", 15), ("train", 25)):
        for name in CLASSES:
            for number in range(count):
                seen = CLASSES[rng.integers(5)] if number % 5 == 0 else name
                noise = rng.integers(-60, 61, (40, 52, 3))
                stream = io.BytesIO()
                Image.fromarray(np.clip(np.array(COLOURS[seen]) + noise, 0, 255).astype(np.uint8)).save(stream, "PNG")
                made.append((split, name, number, stream.getvalue()))
    return made


MADE = pictures()


def of(split: str) -> list[Picture]:
    return [picture for picture in MADE if picture[0] == split]


def folders(root: Path) -> None:
    for split, name, number, data in MADE:
        put(root / split / name / f"{number:02d}.png", data)


def csv(root: Path) -> None:
    lines = ["path,label,split"]
    for split, name, number, data in MADE:
        put(root / "images" / f"{split}-{name}-{number:02d}.png", data)
        lines.append(f"images/{split}-{name}-{number:02d}.png,{name},{split}")
    put(root / "labels.csv", "\n".join(lines))


def imagefolder(root: Path) -> None:
    """As huggingface/datasets takes it: metadata.jsonl beside the images of each split."""
    for split in ("test", "train"):
        lines = []
        for _, name, number, data in of(split):
            put(root / split / f"{name}-{number:02d}.png", data)
            lines.append(json.dumps({"file_name": f"{name}-{number:02d}.png", "label": name}))
        put(root / split / "metadata.jsonl", "\n".join(lines))


def hub(root: Path) -> None:
    for split in ("test", "train"):
        parquet(
            root / "data" / f"{split}-00000-of-00001.parquet",
            rows([(data, name) for _, name, _, data in of(split)], CLASSES),
        )


def saved(root: Path) -> None:
    save_dict(
        root, {split: rows([(data, name) for _, name, _, data in of(split)], CLASSES) for split in ("test", "train")}
    )


def tars(root: Path) -> None:
    for split in ("test", "train"):
        members = [
            (f"{name}-{number:02d}{end}", content)
            for _, name, number, data in of(split)
            for end, content in ((".png", data), (".cls", b"%d" % CLASSES.index(name)))
        ]
        write_tar(root / split / "0.tar", members)
    put(root / "classnames.txt", "\n".join(CLASSES))


LAYOUTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "folder": ("folder", folders), "csv": ("table", csv), "imagefolder": ("table", imagefolder), "hub": ("datasets", hub),
    "saved": ("datasets", saved), "tars": ("webdataset", tars),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("five")
    for name, (reader, write) in LAYOUTS.items():
        write(place / name)
        prepare(f"by_{name}", place / name, place / "data", reader=reader)
    return place


@pytest.fixture(scope="module")
def values(place: Path) -> dict[str, dict[str, float]]:
    """`suite/leaf` -> value, by layout."""
    settings = Settings(storage=str(place / "out"), data=str(place / "data"), cache=str(place / "cache"))
    names = tuple(f"by_{name}" for name in LAYOUTS)
    results, _, faults = evaluate_one(
        "mini-s", ("zero_shot", "probe", "knn"), None, None, settings, Display(Console(file=io.StringIO())), names
    )
    assert not faults
    found: dict[str, dict[str, float]] = {name: {} for name in LAYOUTS}
    for result in results:
        mine = {metric.replace(f"/{result.dataset}/", "/"): value for metric, value in result.values.items()}
        found[result.dataset.removeprefix("by_")] |= mine
    return found


def features_of(place: Path, name: str, split: str) -> NDArray[np.float32]:
    """As they lie in the cache, in the order of the records."""
    fingerprint = open_dataset(place / "data" / f"by_{name}").fingerprint
    (folder,) = (place / "cache" / "embeddings").glob(f"*/{fingerprint}/{split}")
    return np.concatenate([np.load(path) for path in sorted(folder.glob("*-image.npy"))])


@pytest.mark.parametrize("name", LAYOUTS)
def test_labels_and_pixels_are_those_that_were_written(place: Path, name: str) -> None:
    dataset = open_dataset(place / "data" / f"by_{name}")
    assert dataset.card.classes == CLASSES
    assert dataset.card.counts() == {"test": 75, "train": 125}
    for split in ("test", "train"):
        images = [data for chunk in dataset.chunks(split) for data in read_chunk(chunk)[1]]
        assert images == [data for _, _, _, data in of(split)]
        assert dataset.labels(split).tolist() == [CLASSES.index(label) for _, label, _, _ in of(split)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_features_and_metrics_are_the_same_to_the_bit(
    place: Path, values: dict[str, dict[str, float]], name: str
) -> None:
    assert values[name] == values["folder"] and {"zero_shot/top1", "probe/top1", "knn/top1"} <= values[name].keys()
    for split in ("test", "train"):
        np.testing.assert_array_equal(features_of(place, name, split), features_of(place, "folder", split))


def test_they_are_those_of_open_clip_and_pillow_alone(place: Path, values: dict[str, dict[str, float]]) -> None:
    mini = Path(gelo.models.__file__).parent / "mini"
    config = json.loads((mini / "mini-s.json").read_text())
    open_clip.add_model_config(mini / "mini-s.json")
    model = open_clip.create_model("mini-s", pretrained=None).eval()
    model.load_state_dict(load_file(mini / "mini-s.safetensors"))
    tokens = SimpleTokenizer(bpe_path=str(mini / "merges.txt.gz"), context_length=config["text_cfg"]["context_length"])
    side, mean, std = config["vision_cfg"]["image_size"], open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    transform = open_clip.image_transform(side, is_train=False, mean=mean, std=std)
    with torch.no_grad():
        shown = torch.stack([transform(Image.open(io.BytesIO(data))) for _, _, _, data in of("test")])
        features = model.encode_image(shown, normalize=True).numpy()
        text = model.encode_text(tokens([f"a photo of a {name}." for name in CLASSES]), normalize=True).numpy()
    labels = np.array([CLASSES.index(name) for _, name, _, _ in of("test")])
    assert values["folder"]["zero_shot/top1"] == pytest.approx(np.mean(np.argmax(features @ text.T, axis=1) == labels))
    ours = features_of(place, "folder", "test")
    np.testing.assert_allclose(ours / np.linalg.norm(ours, axis=1, keepdims=True), features, atol=1e-5)
    assert 0.3 < values["folder"]["zero_shot/top1"] < 1, "a number that wrong labels would change"


DAMAGED = {
    "nothing": b"", "zeros": bytes(500), "a page": b"<!DOCTYPE html><title>404</title>", "cut PNG": MADE[0][3][:90],
    "DDS": b"DDS " + struct.pack("<7I", 124, 0x1007, 8, 8, 0, 0, 0) + bytes(44) + struct.pack("<I", 32) + bytes(48),
    "TIFF": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 256, 99, 7, 1 << 31),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_damaged_image_is_named_and_costs_only_itself(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 27: whatever a decoder raises, by whichever reader."""
    reader, write = LAYOUTS[name]
    few = [picture for picture in MADE if picture[2] < 3]
    for n, (kind, data) in enumerate(DAMAGED.items()):
        made = [(s, c, k, data if (s, c, k) == ("test", "red", 1) else whole) for s, c, k, whole in few]
        monkeypatch.setattr(sys.modules[__name__], "MADE", made)
        write(tmp_path / f"{n}")
        with pytest.raises(UserError) as refused:
            prepare("mine", tmp_path / f"{n}", tmp_path / "data", reader=reader)
        said = str(refused.value)
        assert "red/01.png" in said or "red-01" in said or "row 10" in said, f"{kind}: {said}"
        partial, _ = prepare(f"m{n}", tmp_path / f"{n}", tmp_path / "data", reader=reader, allow_partial=True)
        assert partial.card.partial and partial.card.understood is not None
        assert [(left.count, left.reason) for left in partial.card.understood.left_out] == [(1, "cannot be decoded")]
        assert (len(partial.labels("test")), len(partial.labels("train"))) == (14, 15), kind
