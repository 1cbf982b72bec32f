"""The eleven encoders of one WiSE-FT curve over the same images: one pass of gelo against eleven passes of the loop (mini-s)."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch
from safetensors.torch import save_file

from benchmarks.line import finish, note
from benchmarks.streaming import CORES, data_set, fresh, loop, timed
from gelo.models.backbones.zoo import load_backbone
from gelo.tasks.data.embed import EncoderRef, embed, features, needs

POINTS = 11


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds, points = (128, 1, 3) if smoke else (3_000, 3, POINTS)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset, files = data_set(place, count)
        refs = [_point(place, alpha) for alpha in np.linspace(0, 1, points)]
        transform = load_backbone("mini-s").transform
        ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
        caches = fresh(place)
        ours, theirs = [], []
        for number in range(rounds):
            cache = next(caches)
            wanted = [need for ref in refs for need in needs(ref, dataset, "test", ("image",))]
            ours.append(timed(embed, wanted, transform, cache, "ray")[0])
            seconds, found = timed(lambda: [loop(files, ref, CORES, 1) for ref in refs])
            theirs.append(seconds)
            for ref, expected in zip(refs, found, strict=True):
                np.testing.assert_allclose(features(ref, dataset, "test", cache), expected, atol=2e-4)
            note(f"round {number + 1} of {rounds}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s")
        speed = {
            "images": count,
            "encoders": points,
            "speed_up": round(sorted(theirs)[rounds // 2] / sorted(ours)[rounds // 2], 2),
        }
        finish("wise_curve", ours, theirs, "seconds", "ratio <= 0.333 (3 times as fast)", speed)


def _point(place: Path, alpha: float) -> EncoderRef:
    """The backbone moved by alpha along one random direction, saved as a trained trial is."""
    base = load_backbone("mini-s")
    maker = torch.Generator().manual_seed(1)
    state = {
        key: tensor + alpha * 0.02 * torch.randn(tensor.shape, generator=maker)
        if tensor.is_floating_point()
        else tensor
        for key, tensor in base.visual_state().items()
    }
    folder = place / f"alpha-{alpha:.2f}"
    folder.mkdir()
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "encoder.safetensors")
    return EncoderRef(base.with_visual(state).vision_fingerprint, "mini-s", None, str(folder))


if __name__ == "__main__":
    main()
