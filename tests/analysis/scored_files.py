"""Results with what was scored beside them: what a metric is made of is known image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gelo.tasks.results import Result

CONTEXT: dict[str, Any] = {"data": "d1", "vision": "v", "text": "t", "scale": "miniature"}


def answers(accuracy: float, images: int = 200, first: int = 0) -> npt.NDArray[np.uint8]:
    """(images,) 1 for the first share of them, counted from `first` on: of two accuracies the right ones of the lower are among those of
    the higher, unless they begin elsewhere."""
    right = np.zeros(images, np.uint8)
    right[(first + np.arange(round(accuracy * images))) % images] = 1
    return right


def write_top1(
    folder: Path, dataset: str, right: Sequence[int] | npt.NDArray[Any], suite: str = "zero_shot", **more: Any
) -> None:
    """A result of `suite` and its table. more: fields of the result; ids: of the images."""
    told = np.asarray(right)
    ids = more.pop("ids", [f"{dataset}/{place:04}" for place in range(len(told))])
    name = f"{suite}/{dataset}/top1"
    fields = {"protocol": suite, "protocol_version": 1, "counts": {"images": len(told)}, **CONTEXT} | more
    result = Result(suite=suite, dataset=dataset, values={name: float(told.mean())}, **fields)
    table = pa.table({"id": ids, "label": np.zeros(len(told), np.int64), "predicted": 1 - told.astype(np.int64)})
    write_scored(folder, result, table)


def write_pairs(folder: Path, right: npt.NDArray[Any], dataset: str = "pairs", folds: int = 10, **more: Any) -> None:
    """Verification of pairs, every second one genuine; the folds alternate."""
    count = len(right)
    same, fold = np.arange(count) % 2 == 0, np.arange(count) // 2 % folds
    value = float(np.mean([right[fold == place].mean() for place in range(folds)]))
    fields = {"protocol": "fr", "protocol_version": 1, "counts": {"genuine": count}, **CONTEXT} | more
    notes = {"interval_unit": "pair"}
    result = Result(suite="fr", dataset=dataset, values={f"fr/{dataset}/accuracy": value}, notes=notes, **fields)
    names = {"id_1": [f"a{place:04}" for place in range(count)], "id_2": [f"b{place:04}" for place in range(count)]}
    accepted = np.where(right.astype(bool), same, ~same)
    write_scored(
        folder, result, pa.table({**names, "same": same, "fold": fold, "score": right * 1.0, "accepted": accepted})
    )


def write_scored(folder: Path, result: Result, table: pa.Table) -> None:
    """As a sweep keeps them."""
    place = folder / "results" / result.suite
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{result.dataset}.json").write_text(result.model_dump_json())
    pq.write_table(table, place / f"{result.dataset}.parquet")
