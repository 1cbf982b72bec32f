"""Encoders over a stream -> embedding cache: one pass over the pixels for every encoder that needs them.

The cache holds one float32 file (n, d) per encoder (vision fingerprint), data set (fingerprint), split, chunk and view ("image",
"flip" for the mirrored one of the FR protocols, "attacked" with what against). A chunk's file is published whole, so a killed pass goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from gelo.models.backbones.transforms import Transform
from gelo.models.durable import fetched, publish_array
from gelo.models.faults import Fault, UserError
from gelo.tasks.data.attacked import Aim, Attacked, Banks, attacked_in
from gelo.tasks.data.cache import touch, whole
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.stream import Executor, Work, decode_row, flow, pipeline, quiet, unpack, works
from gelo.tasks.protocols.base import View

if TYPE_CHECKING:
    from gelo.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class EncoderRef:
    """Where an encoder's weights lie, so that any worker can load it. `trained` is the folder of a trained trial, or None.

    transform: another than the backbone's own. vision: the fingerprint with it. text: that of a text tower of its own; "" where it is the
    backbone's.
    """

    vision: str
    backbone: str
    weights: str | None
    trained: str | None
    transform: Transform | None = None
    text: str = ""

    def load(self, device: str = "cpu") -> Encoder:
        """Raises UserError when the weights on disk are not those of `vision` and `text`: a stale cache entry must never be filled."""
        from gelo.models.backbones.zoo import load_backbone
        from gelo.models.trained import load_tower

        encoder = load_backbone(self.backbone, Path(self.weights) if self.weights else None, device=device)
        if self.trained is not None:
            from upath import UPath

            with fetched(UPath(self.trained)) as folder:
                encoder = load_tower(folder).encoder(encoder)
        if self.transform is not None:
            encoder = encoder.with_transform(self.transform)
        where = self.trained or self.weights or self.backbone
        for found, wanted in (
            (encoder.vision_fingerprint, self.vision),
            *([(encoder.text_fingerprint, self.text)] if self.text else []),
        ):
            if found != wanted:
                raise UserError(f"encoder {where}", Fault(where, f"fingerprint {found}", wanted, "weights changed"))
        return encoder


@dataclass(frozen=True, slots=True)
class Need:
    """Embeddings wanted: one encoder on one Work in one view; attacked: of the view of that name, which images and against what."""

    encoder: EncoderRef
    work: Work
    view: View
    attacked: Attacked | None = None

    @property
    def rows(self) -> int:
        """How many images it is of."""
        return self.work.chunk.rows if self.attacked is None else len(self.attacked.rows)

    def path(self, cache: Path) -> Path:
        leaf = self.view if self.attacked is None else f"{self.view}-{self.attacked.fingerprint}"
        return self.work.place(cache / "embeddings" / self.encoder.vision, f"-{leaf}")

    def cached(self, cache: Path) -> bool:
        """Whether its features are there, whole."""
        return whole(self.path(cache), self.rows)


def needs(
    encoder: EncoderRef, dataset: Dataset, split: str, views: Sequence[View], aim: Aim | None = None
) -> list[Need]:
    """All Needs of one encoder on one split; of the view `attacked` those against `aim`, in the chunks that it chooses images of."""
    found = works(dataset, split)
    wanted = [Need(encoder, work, view) for work in found for view in views if view != "attacked"]
    if "attacked" in views and aim is not None:
        of = {work.chunk: work for work in found}
        wanted += [Need(encoder, of[chunk], "attacked", each) for chunk, each in attacked_in(aim, list(of))]
    return wanted


def embed(
    wanted: Sequence[Need],
    transform: Transform,
    cache: Path,
    executor: Executor,
    *,
    gpus: float = 0,
    tick: Callable[[int], None] = lambda n: None,
    banks: Banks | None = None,
) -> int:
    """Fill the cache with what is missing, several encoders a pass; returns how many images were encoded (views counted).

    `tick(images)` after each chunk. All encoders must share `transform`. banks: the texts of each aim of an attack; what has none, as its
    texts cannot be asked, is left out. Raises UserError (unreadable image, changed weights).
    """
    for vision, fingerprint in {(need.encoder.vision, need.work.fingerprint) for need in wanted}:
        touch(cache, "embeddings", vision, fingerprint)
        touch(cache, "decoded", transform.fingerprint, fingerprint)
    banks = banks or {}
    asked = [need for need in dict.fromkeys(wanted) if need.attacked is None or need.attacked.aim in banks]
    missing = [need for need in asked if not need.cached(cache)]
    if not missing:
        return 0
    by_work: dict[Work, list[Need]] = defaultdict(list)
    for need in missing:
        by_work[need.work].append(need)
    todo = list(by_work)
    encoded = 0
    for index, features in _encoded(todo, by_work, transform, cache, executor, gpus, banks):
        for need, array in zip(by_work[todo[index]], features, strict=True):
            publish_array(need.path(cache), array)
            encoded += len(array)
            tick(len(array))
    return encoded


def features(
    encoder: EncoderRef, dataset: Dataset, split: str, cache: Path, view: View = "image", aim: Aim | None = None
) -> np.ndarray:
    """Those of a split, cached, float32 (N, d), in record order; attacked: of what `aim` chooses. FileNotFoundError for a missing one."""
    return np.concatenate([np.load(need.path(cache)) for need in needs(encoder, dataset, split, (view,), aim)])


def text_features(encoder: Encoder, prompts: Prompts, cache: Path) -> list[np.ndarray]:
    """Text features by class, K arrays (T, d), unnormalised; computed once per (text tower, prompts)."""
    path = texts_path(encoder.text_fingerprint, prompts, cache)
    if not whole(path, len(prompts.classes)):
        texts = prompts.texts()
        stacked = np.concatenate([encoder.encode_texts(of_class) for of_class in texts])
        publish_array(path, stacked.reshape(len(texts), len(prompts.templates), -1))
    return list(np.load(path))


def texts_path(text: str, prompts: Prompts, cache: Path) -> Path:
    """Where the text features of a tower (by its fingerprint) lie."""
    return cache / "text" / text / f"{prompts.fingerprint}.npy"


class _Encode:
    """Holds the encoders of a pass in one process and turns rows of pixels, whose riders are Needs, into rows of features.

    One thread a forward pass, in the pipeline's workers and in the threads of this process alike: no feature depends on where it was made.
    """

    def __init__(self, device: str, banks: Banks) -> None:
        import torch

        torch.set_num_threads(1)
        self._device, self._banks = device, banks
        self._encoders: dict[EncoderRef, Encoder] = {}
        self._loading = Lock()

    def features(self, row: dict, wanted: Sequence[Need]) -> list[np.ndarray]:
        """(n, d) for each Need, in order. Raises UserError for unreadable images."""
        if row["faults"]:
            raise UserError(f"data set {wanted[0].work.dataset}", row["faults"])
        return [self._of(need, row["pixels"]) for need in wanted]

    def _of(self, need: Need, pixels: np.ndarray) -> np.ndarray:
        encoder, attacked = self._encoder(need.encoder), need.attacked
        if attacked is not None:
            return attacked.features(encoder, need.work.chunk, pixels, self._banks[attacked.aim])
        return encoder.encode_images(pixels, flip=need.view == "flip", projected=need.view != "trunk")

    def _encoder(self, ref: EncoderRef) -> Encoder:
        with self._loading:
            if ref not in self._encoders:
                self._encoders[ref] = ref.load(self._device)
            return self._encoders[ref]

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
    banks: Banks,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """(index of a Work, its features by Need) for every Work, in any order."""
    import torch

    device = "cuda" if gpus else "cpu"

    def piped(left: Sequence[int]) -> Iterator[tuple[int, list[np.ndarray]]]:
        import ray

        quiet()
        pool = max(1, int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1) / (gpus or 1)))
        riders = [(index, todo[index], by_work[todo[index]]) for index in left]
        stream = pipeline(riders, transform, cache, keep_pixels=True).map(
            _Encode,
            fn_constructor_args=(device, banks),
            num_cpus=0 if gpus else 1,
            num_gpus=gpus or None,
            concurrency=min(pool, len(left)),
        )
        for row in stream.iter_rows():
            index, arrays, error = unpack(row)
            if error is not None:
                raise error
            yield index, arrays

    if executor == "ray" and gpus:
        yield from piped(range(len(todo)))
        return
    before, encode = torch.get_num_threads(), _Encode(device, banks)

    def run(index: int) -> tuple[int, list[np.ndarray]]:
        return index, encode.features(decode_row(todo[index], transform, cache, keep_pixels=True), by_work[todo[index]])

    try:
        yield from flow(range(len(todo)), run, piped, executor)
    finally:
        torch.set_num_threads(before)
