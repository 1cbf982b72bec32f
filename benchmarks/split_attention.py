"""Inference with q, k and v as linear layers of their own against open_clip's packed projection (ViT-B/16 of random weights).

gelo splits attention in training alone, where an adapter aims at one projection: what merges is published under open_clip's own names and
evaluated packed. This says what it would gain or lose by staying split.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics

import torch

from benchmarks.line import finish
from benchmarks.towers import interleaved, tower
from gelo.models.adapt.attention import split_attention


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    packed, side, _ = tower("tiny" if smoke else "ViT-B/16")
    packed.eval()
    split = split_attention(copy.deepcopy(packed)).eval()
    batch, rounds = (4, 1) if smoke else (16, 9)
    pixels = torch.randn(batch, 3, side, side)
    with torch.inference_mode():
        farthest = float((packed(pixels) - split(pixels)).abs().max())
        assert farthest < 1e-4, f"both give the same features, but for rounding: {farthest}"
        seconds, busy = interleaved({"split": lambda: split(pixels), "packed": lambda: packed(pixels)}, rounds)
    pairs = zip(seconds["split"], seconds["packed"], strict=True)
    detail = {
        "seconds": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
        "median_of_ratios": round(statistics.median(one / other for one, other in pairs), 4),
        "ratio_of_cpu_time": round(statistics.median(busy["split"]) / statistics.median(busy["packed"]), 4),
        "farthest_feature": farthest,
        "used_at_inference": False,
        "batch": batch,
        "load": round(os.getloadavg()[0], 1),
    }
    finish(
        "split_attention", seconds["split"], seconds["packed"], "s a pass", "<= 0.95, or not used at inference", detail
    )


if __name__ == "__main__":
    main()
