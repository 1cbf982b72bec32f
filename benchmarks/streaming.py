"""What the stream benchmarks share: JPEGs of a photograph's size, encoders with weights on disk, and the loop to beat."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from gelo.models.backbones.zoo import load_backbone
from gelo.tasks.data import stream
from gelo.tasks.data.embed import EncoderRef
from gelo.tasks.data.manifest import Dataset as Shards
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset

SIZE = (500, 375)
BATCH = 128
CORES = 2
P = ParamSpec("P")
R = TypeVar("R")


def jpeg(number: int) -> bytes:
    """A picture with a photograph's share of fine detail, 500 x 375."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    fine = np.asarray(coarse, np.int16) + rng.integers(-12, 13, (SIZE[1], SIZE[0], 3), dtype=np.int16)
    stream = io.BytesIO()
    Image.fromarray(fine.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def data_set(root: Path, count: int, *, loose: bool = True) -> tuple[Shards, list[Path]]:
    """The same images as a data set and, unless not wanted, as files."""
    pool = [
        jpeg(number) for number in range(min(count, 500))
    ]  # bytes repeat, work does not: nothing looks at what it decodes
    files = [root / "files" / f"{number:05d}.jpg" for number in range(count)]
    files[0].parent.mkdir(parents=True)
    for number, path in enumerate(files if loose else []):
        path.write_bytes(pool[number % len(pool)])
    records = (Record(f"{number:05d}", pool[number % len(pool)], number % 10) for number in range(count))
    shards = write_dataset(
        root / "jpegs", name="jpegs", version="1", scale="full", classes=tuple("0123456789"), splits={"test": records}, source="noise",
        licence="Apache-2.0",
    )  # fmt: skip
    return shards, files


def encoder(name: str, folder: Path, seed: int = 0) -> EncoderRef:
    """An encoder of random weights, saved to a file as a user's would be; mini-s where that is asked for."""
    path: Path | None = None
    if not name.startswith("mini"):
        torch.manual_seed(seed)
        path = folder / f"{name}-{seed}.safetensors"
        model = open_clip.create_model(name, pretrained=None)
        save_file({key: value.clone() for key, value in model.state_dict().items()}, path)
    return EncoderRef(load_backbone(name, path).vision_fingerprint, name, str(path) if path else None, None)


class Files(Dataset[torch.Tensor]):
    """JPEG files through open_clip's own transform."""

    def __init__(self, files: list[Path], size: int) -> None:
        self.files = files
        self.transform = image_transform_v2(PreprocessCfg(size=size), is_train=False)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            return self.transform(image)


@torch.inference_mode()
def loop(files: list[Path], ref: EncoderRef, workers: int, threads: int) -> np.ndarray:
    """The plain DataLoader loop: `workers` processes decode, this one encodes with `threads`; features (N, d)."""
    torch.set_num_threads(threads)
    loaded = ref.load()
    visual = loaded.visual
    loader = DataLoader(Files(files, loaded.transform.size), BATCH, num_workers=workers, prefetch_factor=4)
    return np.concatenate([visual(batch).float().numpy() for batch in loader])


@contextmanager
def piped() -> Iterator[None]:
    """Ray Data's pipeline from the fifth chunk on, however short the pass: what a longer one, or a cluster, would use."""
    before, stream.PATIENCE = stream.PATIENCE, 0.0
    try:
        yield
    finally:
        stream.PATIENCE = before


def timed(work: Callable[P, R], *args: P.args, **options: P.kwargs) -> tuple[float, R]:
    """(seconds, what `work` returned)."""
    started = time.perf_counter()
    result = work(*args, **options)
    return time.perf_counter() - started, result


def fresh(folder: Path) -> Iterator[Path]:
    """Caches that nobody has used."""
    number = 0
    while True:
        number += 1
        yield folder / f"cache-{number}"
