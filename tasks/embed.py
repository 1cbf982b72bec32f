"""Encoders over a stream -> embedding cache: one pass over the pixels for every encoder that needs them.

The cache holds one float32 file (n, d) per encoder (vision fingerprint), data set (fingerprint), split, chunk and view ("image", or
"flip" for the mirrored image of the FR protocols). A chunk's file is published whole, so a killed pass goes on where it stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.durable import fetched, publish_array
from models.faults import UserError
from models.specs import Transform
from tasks.cache import touch
from tasks.manifest import Dataset
from tasks.prompts import Prompts
from tasks.stream import Executor, Work, pipeline, quiet, rows, unpack, works

if TYPE_CHECKING:
    from models.encoder import Encoder

_QUICK = 6_000  # images that one core encodes (mini-s) while a pipeline starts its workers
View = Literal["image", "flip"]


@dataclass(frozen=True, slots=True)
class EncoderRef:
    """Where an encoder's weights lie, so that any worker can load it. `trained` is the folder of a trained trial, or None."""

    vision: str
    backbone: str
    weights: str | None
    trained: str | None

    def load(self, device: str = "cpu") -> Encoder:
        """Raises UserError when the weights on disk are not those of `vision`: a stale cache entry must never be filled."""
        from models.faults import Fault
        from models.zoo import load_backbone

        encoder = load_backbone(self.backbone, Path(self.weights) if self.weights else None, device=device)
        if self.trained is not None:
            from safetensors.torch import load_file
            from upath import UPath

            with fetched(UPath(self.trained)) as folder:
                encoder = encoder.with_visual(load_file(folder / "encoder.safetensors"))
        if encoder.vision_fingerprint != self.vision:
            where = self.trained or self.weights or self.backbone
            raise UserError(
                f"encoder {where}",
                Fault(where, f"fingerprint {encoder.vision_fingerprint}", self.vision, "weights changed"),
            )
        return encoder


@dataclass(frozen=True, slots=True)
class Need:
    """Embeddings wanted: one encoder on one Work in one view."""

    encoder: EncoderRef
    work: Work
    view: View

    def path(self, cache: Path) -> Path:
        return self.work.place(cache / "embeddings" / self.encoder.vision, f"-{self.view}")


def needs(encoder: EncoderRef, dataset: Dataset, split: str, views: Sequence[View]) -> list[Need]:
    """All Needs of one encoder on one split."""
    return [Need(encoder, work, view) for work in works(dataset, split) for view in views]


def embed(
    wanted: Sequence[Need],
    transform: Transform,
    cache: Path,
    executor: Executor,
    *,
    gpus: float = 0,
    tick: Callable[[int], None] = lambda n: None,
) -> int:
    """Fill the cache with what is missing, several encoders a pass; returns how many images were encoded (views counted).

    `tick(images)` after each chunk. All encoders must share `transform`. Raises UserError (unreadable image, changed weights).
    """
    for vision, fingerprint in {(need.encoder.vision, need.work.fingerprint) for need in wanted}:
        touch(cache, "embeddings", vision, fingerprint)
        touch(cache, "decoded", transform.fingerprint, fingerprint)
    missing = [need for need in dict.fromkeys(wanted) if not need.path(cache).exists()]
    if not missing:
        return 0
    threads = None
    if executor == "ray" and not gpus and _quick(missing, transform, cache):
        executor, threads = "local", 1  # as the pipeline's workers: no feature of a sweep depends on where it was made
    by_work: dict[Work, list[Need]] = defaultdict(list)
    for need in missing:
        by_work[need.work].append(need)
    todo = list(by_work)
    encoded = 0
    for index, features in _encoded(todo, by_work, transform, cache, executor, gpus, threads):
        for need, array in zip(by_work[todo[index]], features, strict=True):
            publish_array(need.path(cache), array)
            encoded += len(array)
            tick(len(array))
    return encoded


def _quick(missing: Sequence[Need], transform: Transform, cache: Path) -> bool:
    """Whether one core of this machine is done before a pipeline's workers have started: few images, all decoded, no other machine."""
    import ray

    if sum(need.work.chunk.rows for need in missing) > _QUICK or len(ray.nodes()) > 1:
        return False
    decoded = cache / "decoded" / transform.fingerprint
    return all(work.place(decoded, "").exists() for work in {need.work for need in missing})


def features(encoder: EncoderRef, dataset: Dataset, split: str, cache: Path, view: View = "image") -> np.ndarray:
    """The cached features of one split, float32 (N, d), in record order. Raises FileNotFoundError when a chunk is missing."""
    return np.concatenate([np.load(need.path(cache)) for need in needs(encoder, dataset, split, (view,))])


def text_features(encoder: Encoder, prompts: Prompts, cache: Path) -> list[np.ndarray]:
    """Text features by class, K arrays (T, d), unnormalised; computed once per (text tower, prompts)."""
    path = cache / "text" / encoder.text_fingerprint / f"{prompts.fingerprint}.npy"
    if not path.exists():
        texts = prompts.texts()
        stacked = np.concatenate([encoder.encode_texts(of_class) for of_class in texts])
        publish_array(path, stacked.reshape(len(texts), len(prompts.templates), -1))
    return list(np.load(path))


class _Encode:
    """Holds the encoders of a pass in one worker and turns rows of pixels, whose riders are Needs, into rows of features."""

    def __init__(self, threads: int | None, device: str) -> None:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self._device = device
        self._encoders: dict[EncoderRef, Encoder] = {}

    def features(self, row: dict, wanted: Sequence[Need]) -> list[np.ndarray]:
        """(n, d) for each Need, in order. Raises UserError for unreadable images."""
        if row["faults"]:
            raise UserError(f"data set {wanted[0].work.dataset}", row["faults"])
        out = []
        for need in wanted:
            if need.encoder not in self._encoders:
                self._encoders[need.encoder] = need.encoder.load(self._device)
            out.append(self._encoders[need.encoder].encode_images(row["pixels"], flip=need.view == "flip"))
        return out

    def __call__(self, row: dict) -> dict:
        import pickle

        unpacked = unpack(row)
        try:
            result: tuple = (unpacked["work"], self.features(unpacked, unpacked["rider"]), None)
        except UserError as error:
            result = (unpacked["work"], None, error)
        return {"packed": pickle.dumps(result, protocol=5)}


def _encoded(
    todo: list[Work],
    by_work: dict[Work, list[Need]],
    transform: Transform,
    cache: Path,
    executor: Executor,
    gpus: float,
    threads: int | None,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    if executor == "local":
        import torch

        before = torch.get_num_threads()
        encode = _Encode(threads, "cpu")
        try:
            for row in rows(todo, transform, cache, "local", keep_pixels=True):
                yield row["work"], encode.features(row, by_work[todo[row["work"]]])
        finally:
            torch.set_num_threads(before)
        return
    import ray

    quiet()
    total = ray.cluster_resources()
    pool = max(1, int(total.get("GPU", 0) / gpus if gpus else total.get("CPU", 1)))
    stream = pipeline(todo, [by_work[work] for work in todo], transform, cache, keep_pixels=True).map(
        _Encode,
        fn_constructor_args=(1, "cuda" if gpus else "cpu"),
        num_cpus=0 if gpus else 1,
        num_gpus=gpus or None,
        concurrency=min(pool, len(todo)),
    )
    for row in stream.iter_rows():
        index, arrays, error = unpack(row)
        if error is not None:
            raise error
        yield index, arrays
