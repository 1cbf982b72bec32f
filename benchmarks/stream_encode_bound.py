"""Images a second where the encoder is the slow part (ViT-S/32, 2 cores): one pass of a sweep against a plain DataLoader loop.

Both decode from JPEG, with no cache to start from. Ray runs already, as it does in a sweep; the pass is short enough for threads of the
sweep's process, and `by_ray_data` is the pipeline all the same. The loop's best of three splits of the two cores is taken.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import ray

from benchmarks.line import finish, note
from benchmarks.streaming import CORES, data_set, encoder, fresh, loop, piped, timed
from gelo.models.backbones.registry import resolve
from gelo.tasks.data.embed import embed, features, needs

SPLITS = ((1, 2), (2, 2), (2, 1))  # loader workers, encoding threads


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--encoder", default="ViT-S-32")
    given = parser.parse_args()
    count, rounds = (256, 1) if given.smoke else (3_000, 3)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset, files = data_set(place, count)
        ref = encoder("mini-s" if given.smoke else given.encoder, place)
        transform = resolve(ref.backbone, Path(ref.weights) if ref.weights else None).transform
        ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
        caches = fresh(place)
        few = files[: max(128, count // 8)]
        best = min(SPLITS, key=lambda split: timed(loop, few, ref, *split)[0])
        note(f"the loop's best: {best[0]} workers, {best[1]} threads")
        ours, theirs = [], []
        for number in range(rounds):
            cache = next(caches)
            ours.append(count / timed(embed, needs(ref, dataset, "test", ("image",)), transform, cache, "ray")[0])
            seconds, found = timed(loop, files, ref, *best)
            theirs.append(count / seconds)
            np.testing.assert_allclose(features(ref, dataset, "test", cache), found, atol=2e-4)
            note(f"round {number + 1} of {rounds}: {ours[-1]:.0f} against {theirs[-1]:.0f} images/s")
        with piped():
            wanted = needs(ref, dataset, "test", ("image",))
            by_ray_data = count / timed(embed, wanted, transform, next(caches), "ray")[0]
        how = {"workers": best[0], "threads": best[1]}
        detail = {"images": count, "encoder": ref.backbone, "loop": how, "by_ray_data": round(by_ray_data, 1)}
        finish("stream_encode_bound", ours, theirs, "images/s", ">= 0.95", detail)


if __name__ == "__main__":
    main()
