"""Values as MLflow takes them: data sets as inputs, texts, batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Scalar = str | int | float | bool


class Input(NamedTuple):
    """A data set that a run read: its fingerprint, what for, where it lies, and its images by split."""

    name: str
    digest: str
    context: str
    place: str
    images: Mapping[str, int]


class Model(NamedTuple):
    """What a trial has trained: where its weights lie, its card (Markdown), and the metrics of its run that are its headline."""

    place: str
    card: str
    metrics: tuple[str, ...] = ()


def input_of(of: Input) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, profile = json.dumps({"uri": of.place}), json.dumps({"images": dict(of.images)})
    dataset = Dataset(of.name, of.digest, "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", of.context)])


def text_of(value: Scalar) -> str:
    """A param as text: booleans as in YAML, floats so that they read back to the same number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def quotable(value: str) -> str:
    if "'" in value:
        raise ValueError(f"{value!r}: a quote cannot stand in a tag that a run is found by")
    return value


def batches(rows: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
