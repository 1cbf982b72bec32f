"""A trial whose looks say how far its tower went, against the same trial with looks that do not: the same bits, the time beside."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from upath import UPath

from benchmarks.curve import WAYS, trial_of
from benchmarks.line import finish, note
from benchmarks.train_bits import noise
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.training.world import World
from gelo.sweeps.stages.train import train
from gelo.sweeps.stages.watch import Eye, eye_of
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.catalogue import datasets_for, locate
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.training import looking
from gelo.tasks.training.drifting import Taken
from gelo.tasks.training.shown import features


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rounds, base = 1 if asked.smoke else asked.rounds, load_backbone("mini-s")
    sets = [entry.name for entry in datasets_for("miniature", "zero_shot")][: 2 if asked.smoke else None]
    seconds: dict[str, dict[str, list[float]]] = {way: {"ours": [], "theirs": []} for way in WAYS}
    cpu: dict[str, dict[str, list[float]]] = {way: {"ours": [], "theirs": []} for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        find = partial(locate, data=place / "data", build=True)
        for name in (*sets, "faces_val"):
            find(name)
        own = noise(place, 64) if asked.smoke else find("faces")

        def opened(name: str) -> Dataset:
            return own if name == "faces" else find(name)

        for number in range(0 if asked.smoke else -1, rounds):
            for way, adaptation in WAYS.items():
                trial, ends = trial_of("faces", adaptation, asked.smoke), {}
                for side in sorted(("ours", "theirs"), reverse=number % 2 == 1):
                    folder = TrialFolder(UPath(place / f"{way} {number} {side}"))
                    look = partial(eye_of, trial, base, sets, opened, place / "cache")
                    started, worked = time.perf_counter(), time.process_time()
                    if side == "ours":
                        train(trial, base, own, place / "cache", folder, look=look)
                    else:
                        with without():
                            train(trial, base, own, place / "cache", folder, look=partial(unmoved, look))
                    if number >= 0:
                        seconds[way][side].append(time.perf_counter() - started)
                        cpu[way][side].append(time.process_time() - worked)
                    ends[side] = [
                        (folder.trained / name).read_bytes() for name in ("encoder.safetensors", "curve.json")
                    ]
                assert ends["ours"] == ends["theirs"], f"{way}: measuring changed a bit"
                told = " / ".join(f"{values[-1]:.2f}" for values in seconds[way].values() if values)
                note(f"round {number + 1}, {way}: {told} s, the same bits")
    ratios = ratios_of(seconds)
    worse = max(ratios, key=lambda way: ratios[way])
    detail = {
        "ratio": ratios,
        "ratio_of_cpu_seconds": ratios_of(cpu),
        "same_bits": True,
        "load": round(os.getloadavg()[0], 1),
    }
    finish("drift", seconds[worse]["ours"], seconds[worse]["theirs"], f"s a trial ({worse})", "<= 1.01", detail)


def ratios_of(sides: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    """Medians, ours over theirs, by way."""
    return {way: round(statistics.median(of["ours"]) / statistics.median(of["theirs"]), 4) for way, of in sides.items()}


class Still:
    """In the place of what measures: nothing."""

    def look(self, tower: object, found: object) -> dict[str, float]:
        return {}

    def kept(self, tower: object) -> dict[str, Any]:
        return {}


def unmoved(look: Any, over: int, world: World) -> Eye:
    """A trial's watch without all that says how far it went."""
    eye: Eye = look(over, world)
    assert eye.looking is not None
    eye.looking.drifting = Still()  # type: ignore[assignment]
    return replace(eye, watch=replace(eye.watch, loss=None))


@contextmanager
def without() -> Iterator[None]:
    """Looks that keep no token."""

    def alone(encoder: Encoder, pixels: NDArray[np.uint8]) -> Taken:
        return Taken(features(encoder, pixels))

    own, looking.taken = looking.taken, alone
    try:
        yield
    finally:
        looking.taken = own


if __name__ == "__main__":
    main()
