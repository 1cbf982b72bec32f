"""The share of its time that a step of 60 ms waits for its images, while one core feeds it.

JPEGs of 112 pixels, batches of 128: 2,133 images a second at most. The step is a sleep: it stands for a GPU, which computes while the CPU
is free, and which resizes and augments (with a GPU at hand it does that here, too). ours: the stream of a training run with one thread that
decodes, several batches ahead. The details have the same batches made in the loop, when the step asks for them. The headline is the share
of the time that is waited; the ratio is to the whole of it. The process may use one core alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.feed import SEED, faces, stream_of
from benchmarks.line import finish, note
from gelo.models.training.stream import Stream, ahead
from gelo.tasks.training.base import Augment

STEP = 0.06


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    images, batch, steps, rounds = (300, 32, 4, 1) if smoke else (2_048, 128, 30, 5)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kinds: tuple[Augment, ...] = ("flip", "rand_augment")
    shares: dict[str, list[float]] = {f"{way} {kind}": [] for kind in kinds for way in ("ahead", "in the loop")}
    busy: dict[str, list[float]] = {way: [] for way in shares}
    with tempfile.TemporaryDirectory() as scratch:
        dataset, _ = faces(Path(scratch), images)
        streams = {kind: stream_of(dataset, Path(scratch), kind, batch) for kind in kinds}
        for own in streams.values():
            pair = zip(fed(own, device, 0, 2), in_the_loop(own, device, 0, 2), strict=True)
            assert all(torch.equal(*map(finished, each)) for each in pair), "the same batches"
        for number in range(rounds):
            for kind, own in streams.items():
                for way, make in (("ahead", fed), ("in the loop", in_the_loop)):
                    before = time.process_time()
                    shares[f"{way} {kind}"].append(
                        waiting(make(own, device, number * steps, (number + 1) * steps + 1), device)
                    )
                    busy[f"{way} {kind}"].append(1000 * (time.process_time() - before) / (steps + 1))
            note(
                f"round {number + 1} of {rounds}: " + ", ".join(f"{way} {each[-1]:.3f}" for way, each in shares.items())
            )
    detail = {
        "batch": batch, "step_seconds": STEP, "device": device.type, "same_batches": True,
        "share_waiting": {way: round(statistics.median(each), 4) for way, each in shares.items()},
        "rounds": {way: [round(value, 4) for value in each] for way, each in shares.items()},
        "cpu_ms_a_batch": {way: round(statistics.median(each), 1) for way, each in busy.items()},
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    ours = shares["ahead flip"]
    finish("feed_wait", ours, [1.0] * len(ours), "share of the time waiting (flip)", "ratio <= 0.05", detail)


def begun(own: Stream, device: torch.device, step: int, rows: np.ndarray) -> Callable[[], torch.Tensor]:
    """The host's part of a batch, as where a GPU does the rest."""
    draws = np.random.default_rng([SEED, *divmod(step, own.order.steps)])
    made: Callable[[], torch.Tensor] = own.source.deferred(rows, draws, slice(0, len(rows)), device)  # type: ignore[attr-defined]
    return made


def fed(own: Stream, device: torch.device, start: int, stop: int) -> Iterator[Callable[[], torch.Tensor]]:
    """Ahead, by one thread."""
    return ahead(own.rows, lambda step, rows: begun(own, device, step, rows), start, stop, 1)


def in_the_loop(own: Stream, device: torch.device, start: int, stop: int) -> Iterator[Callable[[], torch.Tensor]]:
    """When it is asked for."""
    return (begun(own, device, step, own.rows(step)) for step in range(start, stop))


def finished(made: Callable[[], torch.Tensor]) -> torch.Tensor:
    return made()


def waiting(batches: Iterator[Callable[[], torch.Tensor]], device: torch.device) -> float:
    """Share of the time from the first batch to the end in which the loop waits for the next one."""
    next(batches)
    started, waited = time.perf_counter(), 0.0
    while True:
        asked = time.perf_counter()
        made = next(batches, None)
        if made is None:
            return waited / (asked - started)
        waited += time.perf_counter() - asked
        if device.type == "cuda":
            made()
        time.sleep(STEP)


if __name__ == "__main__":
    main()
