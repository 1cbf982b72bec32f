"""Images a second that training gets: JPEGs of 112 pixels to augmented float batches of 224, into a step that does nothing.

ours: the stream of a training run, from its pack. theirs: a bare loop over the same images in memory, as one would write it without gelo:
as many threads, each image decoded, resized, augmented and made float by Pillow, torchvision and torch, the next batches ahead. Both have
`--threads` threads (by default one a core), make the same draws and end on the same batches, which is asserted. Rounds alternate. The
headline is `flip`; the details have `rand_augment` too, and what the host does where a device does the rest (decoding to uint8).
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as ops

from benchmarks.line import finish, note
from gelo.models.backbones.transforms import Transform
from gelo.models.training.sampling import Batches
from gelo.models.training.stream import AHEAD, Stream, ahead, fed
from gelo.models.training.world import World
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.training.augment import rand_augment
from gelo.tasks.training.base import Augment
from gelo.tasks.training.source import SplitSource

SEED, STORED = 0, 112
SHOWN = Transform(size=224)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    images, batch, steps, rounds = (200, 32, 3, 1) if given.smoke else (2_048, 128, 8, 5)
    torch.set_num_threads(1)  # as many threads as were asked for, each of which does all of an image
    kinds: tuple[Augment, ...] = ("flip", "rand_augment")
    ways = [f"{side} {kind}" for kind in kinds for side in ("ours", "theirs")] + ["host alone"]
    rates: dict[str, list[float]] = {way: [] for way in ways}
    busy: dict[str, list[float]] = {way: [] for way in ways}  # ms of the processors an image
    with tempfile.TemporaryDirectory() as scratch:
        dataset, encoded = faces(Path(scratch), images)
        streams = {kind: stream_of(dataset, Path(scratch), kind, batch) for kind in kinds}
        for kind, own in streams.items():
            for step, (parts, bare) in enumerate(
                zip(fed(own, {}, World(), 1, 0, 2, given.threads), loop(own, encoded, kind, 0, 2, 2), strict=True)
            ):
                assert torch.equal(parts[0].pixels, bare), f"{kind}: batch {step} differs"
        made: dict[str, Callable[[int, int], Iterator[object]]] = {}
        for kind, own in streams.items():
            made[f"ours {kind}"] = partial(fed, own, {}, World(), 1, workers=given.threads)
            made[f"theirs {kind}"] = partial(loop, own, encoded, kind, threads=given.threads)
        made["host alone"] = partial(hosted, streams["flip"], given.threads)
        for number in range(rounds):
            for way in ways if number % 2 == 0 else ways[::-1]:
                many = 4 * steps if way == "host alone" else steps
                seconds, cpu = timed(made[way](number * steps, number * steps + many + 1), many)
                rates[way].append(many * batch / seconds)
                busy[way].append(1000 * cpu / (many * batch))
            note(f"round {number + 1} of {rounds}: " + ", ".join(f"{way} {rates[way][-1]:,.0f}" for way in ways))
    middle = {way: statistics.median(values) for way, values in rates.items()}
    detail = {
        "threads": given.threads, "batch": batch, "images": images, "same_batches": True,
        "images_per_second": {way: round(value) for way, value in middle.items()},
        "ratio": {kind: round(middle[f"ours {kind}"] / middle[f"theirs {kind}"], 3) for kind in kinds},
        "cpu_ms_an_image": {way: round(statistics.median(values), 3) for way, values in busy.items()},
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    finish("feed", rates["ours flip"], rates["theirs flip"], "images a second (flip)", "ratio >= 0.9", detail)


def faces(root: Path, images: int) -> tuple[Dataset, list[bytes]]:
    """A data set of smooth JPEGs of 112 pixels, quality 90, and their bytes."""
    rng, encoded = np.random.default_rng(0), []
    for _ in range(images):
        coarse = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((STORED, STORED), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        encoded.append(stream.getvalue())
    records = (Record(str(number), image, number % 10) for number, image in enumerate(encoded))
    dataset = write_dataset(
        root / "faces", name="faces", version="1", scale="miniature", classes=(), splits={"train": records},
        source="a benchmark", licence="Apache-2.0",
    )  # fmt: skip
    return dataset, encoded


def stream_of(dataset: Dataset, cache: Path, kind: Augment, batch: int) -> Stream:
    """As a training run on a large set makes it."""
    own = SplitSource(dataset, "train", SHOWN, cache, SHOWN.size, kind)
    own._kept = None  # as of a set of millions: no image is kept
    return Stream(own, Batches("shuffled", own.labels, SEED, batch), SEED, SHOWN, augmented=True)


def hosted(own: Stream, threads: int, start: int, stop: int) -> Iterator[object]:
    """What the host does where a GPU resizes and augments: uint8 batches of 112 pixels."""
    cpu = torch.device("cpu")

    def begin(step: int, rows: np.ndarray) -> object:
        draws = np.random.default_rng([SEED, *divmod(step, own.order.steps)])
        return own.source.deferred(rows, draws, slice(0, len(rows)), cpu)  # type: ignore[attr-defined]

    return ahead(own.rows, begin, start, stop, threads)


def loop(
    own: Stream, encoded: list[bytes], kind: Augment, start: int, stop: int, threads: int
) -> Iterator[torch.Tensor]:
    """The bare loop: images one by one in a pool of threads, batches stacked, `AHEAD` of them under way."""
    mean, std = torch.tensor(SHOWN.mean).view(3, 1, 1), torch.tensor(SHOWN.std).view(3, 1, 1)

    def one(row: int, changes: list[Callable[[Image.Image], Image.Image]], mirrored: bool) -> torch.Tensor:
        image = Image.open(io.BytesIO(encoded[row])).convert("RGB")
        image = image.resize((SHOWN.size, SHOWN.size), Image.Resampling.BICUBIC)
        for change in changes:
            image = change(image)
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return ops.pil_to_tensor(image).to(torch.float32).div_(255).sub_(mean).div_(std)

    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[list] = deque()
        for step in range(start, stop + AHEAD):
            if step < stop:
                rows = own.rows(step).tolist()
                rng = np.random.default_rng([SEED, *divmod(step, own.order.steps)])
                changes = [rand_augment(SHOWN.size, rng) if kind == "rand_augment" else [] for _ in rows]
                mirrored = rng.random(len(rows)) < 0.5
                under_way.append([pool.submit(one, *each) for each in zip(rows, changes, mirrored, strict=True)])
            if step >= start + AHEAD - 1 and under_way:
                yield torch.stack([future.result() for future in under_way.popleft()])


def timed(batches: Iterator[object], steps: int) -> tuple[float, float]:
    """Seconds by the clock and of the processors, from the first batch to the last."""
    next(batches)
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    return time.perf_counter() - started, time.process_time() - busy


if __name__ == "__main__":
    main()
