"""IJB-C's 1:1 protocol from features to TAR at five FARs: gelo's against the plain NumPy way of the public scripts.

Seeded features of IJB-C's size: 469,375 images of two views (d = 512), 23,124 templates, 15,658,489 pairs of a gallery's templates with
others, sorted by the first as the official list is. The plain way is that of deepinsight/insightface: recognition/arcface_torch/
eval_ijbc.py in our own words: a loop over templates and media, row products of 100,000 pairs at a time, scikit-learn's ROC, nearest point.
Each run is a process of its own; times are from the arrays in memory to the five TARs, which must be equal. The peak is that of the
whole process, features included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.line import finish, note
from gelo.tasks.metricnames import rate_label
from gelo.tasks.protocols.tally import Context

CONTEXT: Context = {"data": "d", "vision": "v", "text": "t", "scale": "full"}


class Size(NamedTuple):
    """How much of each: genuine and impostor are pairs; the first templates, one for each subject, are the gallery."""

    images: int
    templates: int
    subjects: int
    genuine: int
    impostor: int
    dim: int


IJBC = Size(469_375, 23_124, 3_531, 19_557, 15_638_932, 512)
TINY = Size(2_000, 300, 40, 250, 6_000, 16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FOLDER"), help="(internal) one run, its outcome as JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(one_run(given.measure[0], Path(given.measure[1]))))
        return
    size, rounds = (TINY, 1) if given.smoke else (IJBC, 2)
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": [], "ours_one_thread": []}
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch), size)
        for number in range(rounds):
            for way in ("ours", "plain") if number % 2 == 0 else ("plain", "ours"):
                runs[way].append(_measured(way, scratch))
        runs["ours_one_thread"].append(_measured("ours_one_thread", scratch))
    every = [run["tar"] for found in runs.values() for run in found]
    assert all(tar == every[0] for tar in every), every
    seconds = {way: [run["seconds"] for run in found] for way, found in runs.items()}
    detail = {
        **size._asdict(),
        "tar": every[0],
        "peak_gib": {way: max(run["peak_gib"] for run in found) for way, found in runs.items()},
        "features_gib": round(2 * size.images * size.dim * 4 / 2**30, 2),
        "ours_one_thread_seconds": round(seconds["ours_one_thread"][0], 2),
        "speed_up": round(float(np.median(seconds["plain"]) / np.median(seconds["ours"])), 1),
        "steps_of_the_plain_way_seconds": runs["plain"][0]["steps"],
    }
    finish("templates", seconds["ours"], seconds["plain"], "seconds", "<= 30 s, <= 3 GB, ratio <= 0.2", detail)


def make(folder: Path, size: Size) -> None:
    """Write image.npy, flip.npy (N, d) float32, and members and pairs as Parquet; the pairs are different ones."""
    rng = np.random.default_rng(0)
    subject = np.concatenate([np.arange(size.subjects), rng.integers(0, size.subjects, size.templates - size.subjects)])
    template = np.concatenate(
        [np.arange(size.templates), rng.integers(0, size.templates, size.images - size.templates)]
    )
    centres = rng.standard_normal((size.subjects, size.dim), dtype=np.float32)
    for view in ("image", "flip"):
        features = np.empty((size.images, size.dim), dtype=np.float32)
        for start in range(0, size.images, 1 << 16):
            rows = slice(start, start + (1 << 16))
            noise = rng.standard_normal(features[rows].shape, dtype=np.float32)
            features[rows] = centres[subject[template[rows]]] + 13 * noise
        np.save(folder / f"{view}.npy", features)
    names = pa.array([f"img/{number}.jpg" for number in range(size.images)])
    members = {
        "id": names,
        "template": template + 1,
        "media": rng.integers(0, 5, size.images),
        "detector_score": rng.uniform(0.3, 1, size.images).astype(np.float32).astype(np.float64),
    }
    pq.write_table(pa.table(members).take(pa.array(rng.permutation(size.images))), folder / "members.parquet")
    rest = np.arange(size.subjects, size.templates)
    mated = subject[rest] * size.templates + rest
    others = rng.choice(size.subjects * rest.size, size.impostor + 2 * rest.size, replace=False)
    crossed = others // rest.size * size.templates + rest[others % rest.size]
    crossed = crossed[subject[crossed % size.templates] != crossed // size.templates][: size.impostor]
    pairs = np.sort(np.concatenate([mated[: size.genuine], crossed]))
    one, two = pairs // size.templates, pairs % size.templates
    table = pa.table({"template_1": one + 1, "template_2": two + 1, "same": subject[one] == subject[two]})
    pq.write_table(table, folder / "pairs.parquet")


def one_run(way: str, folder: Path) -> dict[str, Any]:
    """Seconds, peak memory and TARs of one way."""
    image, flip = np.load(folder / "image.npy"), np.load(folder / "flip.npy")
    members, pairs = pq.read_table(folder / "members.parquet"), pq.read_table(folder / "pairs.parquet")
    ids = np.array([f"img/{number}.jpg" for number in range(len(image))], dtype=object)
    steps: dict[str, float] = {}
    for module in ("sklearn.metrics", "sklearn.preprocessing", "threadpoolctl", "gelo.tasks.protocols.templates"):
        import_module(module)  # its time is not the protocol's
    begin = time.perf_counter()
    if way == "plain":
        tar = plain(image, flip, members, pairs, steps)
    else:
        tar = ours(image, flip, ids, members, pairs, 1 if way == "ours_one_thread" else None)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak_gib": round(peak, 2), "tar": tar, "steps": steps}


def ours(
    image: NDArray[np.float32], flip: NDArray[np.float32], ids: NDArray[np.object_], members: pa.Table, pairs: pa.Table,
    threads: int | None,
) -> dict[str, float]:  # fmt: skip
    from threadpoolctl import threadpool_limits

    from gelo.tasks.protocols import templates

    with threadpool_limits(threads):
        result, _ = templates.score("ijbc", image, flip, ids, members, pairs, **CONTEXT)
    return {name.rsplit("_", 1)[1]: value for name, value in result.values.items()}


def plain(
    image: NDArray[np.float32], flip: NDArray[np.float32], members: pa.Table, pairs: pa.Table, steps: dict[str, float]
) -> dict[str, float]:
    """As the script: features in the order of the members' lines (its own assumption), float32 until the templates."""
    from sklearn.metrics import roc_curve
    from sklearn.preprocessing import normalize

    from gelo.tasks.protocols.templates import RATES

    begin = time.perf_counter()
    row = {name: number for number, name in enumerate(f"img/{n}.jpg" for n in range(len(image)))}
    order = [row[name] for name in members["id"].to_pylist()]
    template, media = members["template"].to_numpy(), members["media"].to_numpy()
    weighted = (image + flip)[order] * members["detector_score"].to_numpy().astype(np.float32)[:, None]
    names = np.unique(template)
    pooled = np.zeros((names.size, image.shape[1]))
    for place, name in enumerate(names):
        (mine,) = np.where(template == name)
        own, of_media = weighted[mine], media[mine]
        pooled[place] = np.sum([own[of_media == one].mean(axis=0) for one in np.unique(of_media)], axis=0)
    pooled = normalize(pooled)
    steps["pool"] = round(time.perf_counter() - begin, 2)
    place_of = np.zeros(names.max() + 1, dtype=int)
    place_of[names] = np.arange(names.size)
    one, two, same = (pairs[column].to_numpy() for column in ("template_1", "template_2", "same"))
    scores = np.zeros(one.size)
    for start in range(0, one.size, 100_000):
        rows = slice(start, start + 100_000)
        scores[rows] = np.sum(pooled[place_of[one[rows]]] * pooled[place_of[two[rows]]], axis=-1)
    steps["compare"] = round(time.perf_counter() - begin - steps["pool"], 2)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    fpr, tpr = fpr[::-1], tpr[::-1]  # so that the first minimum is the one with the largest TPR
    resolved = [rate for rate in RATES if rate * np.sum(~same) >= 1]
    tar = {rate_label(rate): float(tpr[np.argmin(np.abs(fpr - rate))]) for rate in resolved}
    steps["roc"] = round(time.perf_counter() - begin - steps["pool"] - steps["compare"], 2)
    return tar


def _measured(way: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.templates", "--measure", way, folder]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    run = json.loads(output.strip().splitlines()[-1])
    note(f"{way}: {run['seconds']:.1f} s, peak {run['peak_gib']} GiB")
    return run


if __name__ == "__main__":
    main()
