"""Shards -> decoded uint8 chunks, by Ray Data or by threads of this process.

Decisions: the unit is a `Work`, one row group of one split. Decoding a Work gives one uint8 array (n, S, S, 3), kept as a file in
the cache, so that no image is decoded twice for one transform; every reader after it (an embedding pass, a training loop) sees the same
bytes. The Ray pipeline and the threads call the same `decode`, one Work a row, so no batch depends on how work was spread. A pipeline's
workers take about 9 s to start on two cores: a pass that this machine ends sooner than that pays never starts one (`flow`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from gelo.models.backbones.transforms import Transform
from gelo.models.durable import publish_array
from gelo.models.faults import Fault, UserError
from gelo.tasks.data.cache import touch, whole
from gelo.tasks.data.manifest import Chunk, Dataset, read_chunk
from gelo.tasks.data.pixels import UnreadableError, decoding, image_fault, open_image
from gelo.tasks.data.understood import Reading

if TYPE_CHECKING:
    import ray.data

Executor = Literal["ray", "local"]
J = TypeVar("J")
R = TypeVar("R")
PATIENCE = 60.0  # seconds of work left below which a pipeline would not win back what its workers take to start
_MOST_THREADS = 16  # beyond, Python's lock is what they wait for
_BLOCK_BYTES = 1 << 20  # small blocks: with Ray's default all rows land in one block and one actor does all the work


@dataclass(frozen=True, slots=True)
class Work:
    """One row group of one data set: what is decoded, embedded and resumed as a unit. The fingerprint covers the reading rule."""

    dataset: str
    fingerprint: str
    chunk: Chunk
    reading: Reading

    def place(self, root: Path, leaf: str) -> Path:
        """Where this Work's file lies below `root`."""
        return root / self.fingerprint / self.chunk.split / f"{self.chunk.index:05d}{leaf}.npy"

    def decoded(self, root: Path) -> bool:
        """Whether its pixels are there, whole; root: of the decoded images of one transform."""
        return whole(self.place(root, ""), self.chunk.rows)


def works(dataset: Dataset, split: str) -> list[Work]:
    """All Works of one split, in record order."""
    return [Work(dataset.name, dataset.fingerprint, chunk, dataset.card.reading) for chunk in dataset.chunks(split)]


def decode(work: Work, transform: Transform, cache: Path) -> np.ndarray:
    """Pixels of one Work, uint8 (n, S, S, 3), from the cache or decoded and then cached.

    Raises UserError that names every unreadable image of the chunk by id: none is dropped.
    """
    root = cache / "decoded" / transform.fingerprint
    path = work.place(root, "")
    if work.decoded(root):
        return np.load(path)
    ids, images = read_chunk(work.chunk)
    pixels = np.empty((len(ids), transform.size, transform.size, 3), np.uint8)
    faults = []
    for row, (identity, data) in enumerate(zip(ids, images, strict=True)):
        try:
            with decoding():
                pixels[row] = transform.to_uint8(open_image(data, work.reading))
        except UnreadableError as error:
            where = f"{work.dataset}/{work.chunk.split} id {identity!r}"
            faults.append(image_fault(where, error, "prepare the data set again"))
    if faults:
        raise UserError(f"data set {work.dataset}", faults)
    publish_array(path, pixels)
    return pixels


def decode_all(
    todo: Sequence[Work], transform: Transform, cache: Path, executor: Executor, tick: Callable[[int], None]
) -> None:
    """Decode what is not in the cache yet. Raises one UserError with the faults of every chunk; what decoded stays cached."""
    for fingerprint in {work.fingerprint for work in todo}:
        touch(cache, "decoded", transform.fingerprint, fingerprint)
    missing = [work for work in todo if not work.decoded(cache / "decoded" / transform.fingerprint)]
    faults: list[Fault] = []
    for row in rows(missing, transform, cache, executor, keep_pixels=False):
        faults.extend(row["faults"])
        tick(missing[row["work"]].chunk.rows)
    if faults:
        names = sorted({work.dataset for work in missing})
        raise UserError(f"data sets {', '.join(names)}" if len(names) > 1 else f"data set {names[0]}", faults)


def rows(
    todo: Sequence[Work], transform: Transform, cache: Path, executor: Executor, *, keep_pixels: bool
) -> Iterator[dict]:
    """One dict a Work: `work` (its index in `todo`), `pixels` (uint8, or None), `faults` (list of Fault)."""
    indices = range(len(todo))

    def run(index: int) -> dict:
        return {"work": index, **decode_row(todo[index], transform, cache, keep_pixels)}

    def piped(left: Sequence[int]) -> Iterator[dict]:
        chosen = [(index, todo[index], None) for index in left]
        for row in pipeline(chosen, transform, cache, keep_pixels=keep_pixels).iter_rows():
            yield unpack(row)

    yield from flow(indices, run, piped, executor)


def flow(
    jobs: Sequence[J], run: Callable[[J], R], piped: Callable[[Sequence[J]], Iterator[R]], executor: Executor
) -> Iterator[R]:
    """The result of every job: `run` in threads of this process, or `piped`, a Ray Data pipeline, where that ends sooner.

    local: threads. ray: the pipeline at once where the cluster has other machines; on one machine the first jobs are run here and timed,
    and the pipeline takes over what would need more than `PATIENCE` seconds.
    """
    if executor == "local" or not jobs:
        yield from spread(jobs, run, min(os.cpu_count() or 1, _MOST_THREADS))
        return
    import ray

    if not alone():
        yield from piped(jobs)
        return
    cpus = min(max(1, int(ray.cluster_resources().get("CPU", 1))), os.cpu_count() or 1, _MOST_THREADS)
    tried = 2 * cpus
    started = time.perf_counter()
    yield from spread(jobs[:tried], run, cpus)
    left = jobs[tried:]
    if (time.perf_counter() - started) * len(left) / tried <= PATIENCE:
        yield from spread(left, run, cpus)
    else:
        yield from piped(left)


def alone() -> bool:
    """Whether the cluster is this machine only."""
    import ray

    return len(ray.nodes()) == 1


def spread(jobs: Sequence[J], run: Callable[[J], R], workers: int) -> Iterator[R]:
    """`run` of each job, in their order, by threads of this process; at most 2 x workers ahead: they bound the memory."""
    ahead: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                ahead.append(pool.submit(run, job))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def pipeline(
    todo: Sequence[tuple[int, Work, object]], transform: Transform, cache: Path, *, keep_pixels: bool
) -> ray.data.Dataset:
    """The Ray Data pipeline over (index, Work, rider): each row is the dict of `rows` pickled, with its rider: what a later stage must
    know of it.

    Pickled, since pixels are ragged and faults are no table. Tasks ask for no CPU and are bounded in number instead: a pool of encoding
    actors may hold every CPU (DESIGN: hangs).
    """
    import pickle

    import ray
    import ray.data

    quiet()

    def load(row: dict) -> dict:
        index, work, rider = pickle.loads(row["packed"])
        return {
            "packed": pickle.dumps(
                {"work": index, "rider": rider, **decode_row(work, transform, cache, keep_pixels)}, protocol=5
            )
        }

    items = [{"packed": pickle.dumps(each)} for each in todo]
    width = max(1, int(ray.cluster_resources().get("CPU", 1)))
    return ray.data.from_items(items, override_num_blocks=len(items)).map(load, num_cpus=0, concurrency=width)


def unpack(row: dict) -> dict:
    """Inverse of the packing in `pipeline`. Its bytes come from our own tasks, never from a file."""
    import pickle

    return pickle.loads(row["packed"])


def quiet() -> None:
    """Settings of every Ray Data pass: small blocks, order kept irrelevant, no progress bars of its own."""
    import logging

    import ray.data

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = _BLOCK_BYTES
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)


def decode_row(work: Work, transform: Transform, cache: Path, keep_pixels: bool) -> dict:
    """`pixels` (None unless kept) and `faults` of one Work."""
    try:
        pixels = decode(work, transform, cache)
    except UserError as error:
        return {"pixels": None, "faults": list(error.faults)}
    return {"pixels": pixels if keep_pixels else None, "faults": []}
