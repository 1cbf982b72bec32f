"""Start-up of the identity-balanced sampler: 206,000 identities, 42 M records, from the shards on disk to the first batch.

Ours is a process of its own that reads the label column of a data set (its shards hold no images; 26 differ, the others are links to them)
and indexes it. Theirs are the lists by label, label -> list of records, that identity samplers for PyTorch build (for one,
KevinMusgrave/pytorch-metric-learning: get_labels_to_indices), on a tenth of the labels, times ten. Both must name the same records.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.line import finish, note
from gelo.models.training.sampling import Batches, by_label
from gelo.tasks.data.card import Card, FileEntry
from gelo.tasks.data.manifest import CARD, CHUNK, SHARD_ROWS, Dataset
from gelo.tasks.data.records import schema_for

BATCH, DISTINCT, SHARE = 512, 26, 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--start", choices=("ours", "theirs"), help="(internal) over --data, printing seconds and MB")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if given.start:
        print(json.dumps((start if given.start == "ours" else start_lists)(given.data)))
        return
    shards, identities, rounds = (26, 20_600, 1) if given.smoke else (5_127, 206_000, 3)
    with tempfile.TemporaryDirectory() as scratch:
        root = data_set(Path(scratch) / "faces", shards, identities)
        ours, theirs = [], []
        for number in range(rounds):
            ours.append(_measure("ours", root))
            theirs.append(_measure("theirs", root))
            note(f"round {number + 1} of {rounds}: {ours[-1]} against {theirs[-1]}")
    detail = {
        "records": int(ours[0]["records"]), "identities": identities, "shards": shards,
        "reading_labels_seconds": [round(row["reading"], 2) for row in ours],
        "index_seconds": [round(row["index"], 2) for row in ours],
        "batch_seconds": round(ours[-1]["batch"], 4), "shuffled_order_seconds": round(ours[-1]["shuffled"], 2),
        "peak_mb": {"ours": round(max(row["peak"] for row in ours)), "their_lists_scaled": round(theirs[-1]["peak"])},
        "theirs": f"lists of a {SHARE}th of the labels, read, times {SHARE}",
    }  # fmt: skip
    took = [[row["reading"] + row["index"] for row in rows] for rows in (ours, theirs)]
    finish("sampler", took[0], took[1], "seconds", "<= 20 s, peak <= 2,000 MB", detail)


def data_set(root: Path, shards: int, identities: int) -> Path:
    """A data set of `shards` full shards without images; every identity in the first `DISTINCT`, in any order."""
    root.mkdir()
    order = np.random.default_rng(0).permutation(identities)
    labels = np.resize(order, (DISTINCT, SHARD_ROWS))
    empty = pa.array([b""] * SHARD_ROWS, pa.binary())
    entries = []
    for number in range(shards):
        path = root / f"train-{number:05d}.parquet"
        if number < DISTINCT:
            ids = [f"{number}/{row}" for row in range(SHARD_ROWS)]
            table = pa.table({"id": ids, "image": empty, "label": labels[number]}, schema=schema_for(()))
            pq.write_table(table, path, compression="none", row_group_size=CHUNK)
        else:
            os.link(root / f"train-{number % DISTINCT:05d}.parquet", path)
        entries.append(FileEntry(file=path.name, bytes=path.stat().st_size, rows=SHARD_ROWS, sha256="0" * 64))
    card = Card(
        name="faces", version="1", scale="miniature", classes=(), splits={"train": tuple(entries)},
        source="benchmarks/sampler.py", licence="Apache-2.0",
    )  # fmt: skip
    (root / CARD).write_text(card.model_dump_json())
    return root


def start(root: Path) -> dict[str, float]:
    """Seconds of each part, and the resident peak (MB) of this process up to the first batches."""
    began = time.perf_counter()
    labels = _labels(root)
    read = time.perf_counter()
    batches = Batches("identity_balanced", labels, 0, BATCH)
    indexed = time.perf_counter()
    drawn = [batches.at(0, step) for step in range(20)]
    batch = (time.perf_counter() - indexed) / len(drawn)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    assert all(set(np.unique(labels[each], return_counts=True)[1]) == {4} for each in drawn)
    before = time.perf_counter()
    Batches("shuffled", labels, 0, BATCH).at(0, 0)
    shuffled = time.perf_counter() - before
    return {
        "reading": read - began, "index": indexed - read, "batch": batch, "peak": peak, "shuffled": shuffled, "records": len(labels),
    }  # fmt: skip


def start_lists(root: Path) -> dict[str, float]:
    """The lists of a tenth of the labels: seconds and added memory (MB) times ten, after reading all. They must be what ours names."""
    began = time.perf_counter()
    labels = _labels(root)
    read = time.perf_counter() - began
    some = labels[: len(labels) // SHARE]
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    lists: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(some.tolist()):
        lists[label].append(number)
    seconds = time.perf_counter() - began
    added = (psutil.Process().memory_info().rss - before) / 1e6
    index, first = by_label(some)
    assert all(index[first[label] : first[label + 1]].tolist() == found for label, found in lists.items())
    assert sum(map(len, lists.values())) == len(index)
    return {"reading": read, "index": seconds * SHARE, "peak": added * SHARE, "records": len(labels)}


def _labels(root: Path) -> np.ndarray:
    return Dataset(root, Card.model_validate_json((root / CARD).read_bytes())).labels("train")


def _measure(how: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sampler", "--start", how, "--data", str(root)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
