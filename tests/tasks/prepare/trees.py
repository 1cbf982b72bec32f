"""Miniature trees in the exact official layouts: folder names, list files, archives as their publishers unpack them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIDE = 16


def picture(path: Path, number: int) -> None:
    """A small image of its own content in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE + 2, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(
        path, {".jpg": "JPEG", ".jpeg": "JPEG", ".JPEG": "JPEG", ".png": "PNG", ".ppm": "PPM"}[path.suffix]
    )


def food101(root: Path) -> None:
    base = root / "food-101"
    names = ("cheesecake", "apple_pie", "cheese_plate")
    (base / "meta").mkdir(parents=True)
    for row, split in enumerate(("train", "test")):
        listed = {name: [f"{name}/{100 * row + 10 * k + n}" for n in range(3 - row)] for k, name in enumerate(names)}
        (base / "meta" / f"{split}.json").write_text(json.dumps(listed))
        for images in listed.values():
            for image in images:
                picture(base / "images" / f"{image}.jpg", int(image.rpartition("/")[2]))


def cifar10(root: Path) -> None:
    base = root / "cifar-10-batches-py"
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for number, file in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        _cifar_batch(base / file, number, 4, 10, b"labels")
    _python_2_pickle(base / "batches.meta", {b"label_names": [n.encode() for n in names], b"num_vis": 3072})


def cifar100(root: Path) -> None:
    base = root / "cifar-100-python"
    names = [f"thing_{n:02d}" for n in range(100)]
    for number, (file, count) in enumerate((("train", 12), ("test", 6))):
        _cifar_batch(base / file, number, count, 100, b"fine_labels")
    _python_2_pickle(
        base / "meta", {b"fine_label_names": [n.encode() for n in names], b"coarse_label_names": [b"stuff"]}
    )


def _cifar_batch(path: Path, seed: int, count: int, classes: int, key: bytes) -> None:
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [int(n) for n in rng.integers(0, classes, count)]
    _python_2_pickle(path, {b"data": data, key: labels, b"filenames": [f"x_{n}.png".encode() for n in range(count)]})


def _python_2_pickle(path: Path, content: dict[bytes, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    _Python2(stream, protocol=2).dump(content)
    path.write_bytes(stream.getvalue())


class _Python2(pickle._Pickler):
    """Writes bytes with the opcodes of a Python 2 `str`, as the CIFAR files do."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, value: bytes) -> None:
        short = len(value) < 256
        head = (
            pickle.SHORT_BINSTRING + bytes([len(value)]) if short else pickle.BINSTRING + struct.pack("<i", len(value))
        )
        self.write(head + value)
        self.memoize(value)

    dispatch[bytes] = save_str


def mnist(root: Path) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (stem, count) in enumerate((("train", 9), ("t10k", 5))):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels.tobytes())


def mnist_gzipped(root: Path) -> None:
    mnist(root)
    for path in list((root / "MNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def stl10(root: Path) -> None:
    base = root / "stl10_binary"
    base.mkdir(parents=True)
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (base / "class_names.txt").write_text("\n".join(names) + "\n")
    for seed, (split, count) in enumerate((("train", 5), ("test", 7))):
        rng = np.random.default_rng(seed)
        (base / f"{split}_X.bin").write_bytes(rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes())
        (base / f"{split}_y.bin").write_bytes(rng.integers(1, 11, count, dtype=np.uint8).tobytes())


def sun397(root: Path) -> None:
    base = root / "SUN397"
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/b/ball_pit", "/z/zoo"]
    base.mkdir(parents=True)
    (base / "ClassName.txt").write_text("".join(f"{name}\n" for name in names))
    for partition in (1, 2):
        for seed, stem in enumerate(("Training", "Testing")):
            lines = [f"{name}/sun_{partition}{seed}{n}{k:03d}.jpg" for k, name in enumerate(names) for n in range(2)]
            (base / f"{stem}_{partition:02d}.txt").write_text("\n".join(lines))
            for number, line in enumerate(lines):
                picture(base / line.lstrip("/"), 100 * partition + 10 * seed + number)


def stanford_cars(root: Path) -> None:
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    names = np.array(
        ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo Convertible 2012"], dtype=object
    )
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})
    for seed, (file, folder, count) in enumerate(
        (("devkit/cars_train_annos.mat", "cars_train", 4), ("cars_test_annos_withlabels.mat", "cars_test", 5))
    ):
        fields = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
        rows = np.array([(1, 1 + n % 3, f"{n + 1:05d}.jpg") for n in range(count)], dtype=fields)
        savemat(base / file, {"annotations": rows})
        for n in range(count):
            picture(base / folder / f"{n + 1:05d}.jpg", 10 * seed + n)


def fgvc_aircraft(root: Path) -> None:
    base = root / "fgvc-aircraft-2013b" / "data"
    base.mkdir(parents=True)
    names = ["707-320", "F/A-18", "Cessna 172"]
    (base / "variants.txt").write_text("\n".join(names) + "\n")
    for row, split in enumerate(("train", "val", "test")):
        lines = [f"{row}{n:06d} {names[n % 3]}" for n in range(4)]
        (base / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
        for n, line in enumerate(lines):
            picture(base / "images" / f"{line.split()[0]}.jpg", 10 * row + n)


def dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for partition in (1, 3):
        for row, split in enumerate(("train", "val", "test")):
            lines = [f"{name}/{name}_{partition}{row}{n}.jpg" for name in ("polka-dotted", "banded") for n in range(2)]
            (base / "labels" / f"{split}{partition}.txt").write_text("\n".join(lines) + "\n")
            for n, line in enumerate(lines):
                picture(base / "images" / line, 100 * partition + 10 * row + n)


def flowers102(root: Path) -> None:
    base = root / "flowers-102"
    base.mkdir(parents=True)
    labels = np.array([[1 + n * 7 % 102 for n in range(12)]], np.uint8)
    savemat(base / "imagelabels.mat", {"labels": labels})
    savemat(base / "setid.mat", {"trnid": [[1, 4, 2]], "valid": [[3, 5]], "tstid": [[12, 6, 7, 8, 9, 10, 11]]})
    for n in range(1, 13):
        picture(base / "jpg" / f"image_{n:05d}.jpg", n)


def gtsrb(root: Path) -> None:
    base = root / "gtsrb"
    for label in (0, 2, 14):
        for n in range(2):
            picture(base / "GTSRB" / "Training" / f"{label:05d}" / f"00000_{n:05d}.ppm", 10 * label + n)
        (base / "GTSRB" / "Training" / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("Filename;ClassId\n")
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for n, label in enumerate((14, 0, 2, 2)):
        lines.append(f"{n:05d}.ppm;18;16;1;1;15;14;{label}")
        picture(base / "GTSRB" / "Final_Test" / "Images" / f"{n:05d}.ppm", 500 + n)
    (base / "GT-final_test.csv").write_text("\n".join(lines) + "\n")


def country211(root: Path) -> None:
    codes = ["AD", "AE", "ZW"]
    for row, split in enumerate(("train", "valid", "test")):
        for k, code in enumerate(codes):
            for n in range(2):
                picture(root / "country211" / split / code / f"{row}{k}{n}.jpg", 100 * row + 10 * k + n)


def sst2(root: Path) -> None:
    for row, split in enumerate(("train", "valid", "test")):
        for k, name in enumerate(("negative", "positive")):
            for n in range(2):
                picture(root / "rendered-sst2" / split / name / f"{n}.png", 100 * row + 10 * k + n)


def imagenet_v2(root: Path) -> None:
    for label in (0, 1, 2, 10, 100, 999):
        for n in range(2):
            picture(root / "imagenetv2-matched-frequency-format-val" / str(label) / f"{label:x}{n}.jpeg", label + n)


def imagenet(root: Path) -> None:
    """Folders by synset, as the usual script sorts the validation images."""
    for k, wnid in enumerate(("n01440764", "n01443537", "n15075141")):
        for n in range(2):
            picture(root / "val" / wnid / f"ILSVRC2012_val_{10 * k + n:08d}.JPEG", 10 * k + n)


def imagenet_flat(root: Path) -> None:
    """The archive as it unpacks, beside the development kit."""
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [
        (1, "n02119789", "kit fox", 0),
        (2, "n01440764", "tench", 0),
        (3, "n15075141", "toilet tissue", 0),
        (1001, "n00001740", "entity", 3),
    ]
    savemat(kit / "meta.mat", {"synsets": np.array(rows, dtype=fields)})
    truth = [3, 1, 2, 2]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, truth)) + "\n")
    for n in range(len(truth)):
        picture(root / "ILSVRC2012_img_val" / f"ILSVRC2012_val_{n + 1:08d}.JPEG", n)


TREES: dict[str, Callable[[Path], None]] = {
    tree.__name__: tree
    for tree in (
        food101, cifar10, cifar100, sun397, stanford_cars, fgvc_aircraft, dtd, mnist, flowers102, stl10, gtsrb, country211, sst2,
        imagenet_v2, imagenet,
    )
}  # fmt: skip
