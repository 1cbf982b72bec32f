"""preview.html: a few images of each class with label, name and prompt, to be looked at before anything is scored.

Decisions: one file that fetches nothing and runs nothing; images are decoded as the encoder will see them, by the data set's reading rule;
the first images of each class in record order, taken from each split in turn, so that the same set gives the same page and a label that
the splits do not share shows. Of many classes an even choice from first to last: labels that slipped anywhere are seen at the end.
"""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from gelo.models.durable import publish_bytes
from gelo.models.words import counted
from gelo.tasks.data.defined import prompts_asked
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.pixels import UnreadableError, open_image
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.understood import Reading

FILE = "preview.html"
CLASSES, EACH = 60, 4  # classes shown at most, images of each
_SIDE = 128  # pixels of a thumbnail's longer side
_SPLITS = ("test", "train", "val", "dev")  # the order in which splits take turns


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the sheet; source: a data URI, or "" with the reason why there is none."""

    id: str
    split: str
    source: str
    why: str = ""


def write_preview(dataset: Dataset) -> Path:
    """Write the contact sheet into the data set's folder and return its path.

    Raises OSError where the folder cannot be written. An image that cannot be decoded has its place, with the reason.
    """
    prompts = prompts_asked(dataset)
    chosen, total = _chosen(dataset)
    environment = Environment(
        loader=PackageLoader("gelo.tasks.data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("preview.html.j2").render(
        name=dataset.name,
        card=dataset.card,
        counts=dataset.card.counts(),
        total=total,
        each=EACH,
        counted=counted,
        templates=len(prompts.templates) if prompts is not None else 0,
        leaks=list(map(str, dataset.card.understood.leaks if dataset.card.understood is not None else ())),
        classes=[
            {"label": label, "name": _name(dataset, label), "prompt": _prompt(prompts, label), "pictures": pictures}
            for label, pictures in _pictures(dataset, chosen).items()
        ],
    )
    publish_bytes(dataset.root / FILE, page.encode())
    return dataset.root / FILE


def _chosen(dataset: Dataset) -> tuple[dict[int, list[tuple[str, int]]], int]:
    """(split, row) of the images to show by label, and how many labels have images."""
    splits = sorted(dataset.card.splits, key=lambda s: (_SPLITS.index(s) if s in _SPLITS else len(_SPLITS), s))
    labels = {split: dataset.labels(split) for split in splits}
    present = np.unique(np.concatenate([np.unique(each) for each in labels.values()]))
    shown = present[np.linspace(0, len(present) - 1, min(CLASSES, len(present))).round().astype(int)]
    first: dict[int, dict[str, list[int]]] = {label: {} for label in shown.tolist()}
    for split, each in labels.items():
        places = np.flatnonzero(np.isin(each, shown))
        order = places[np.argsort(each[places], kind="stable")]
        for label, rows in zip(shown.tolist(), np.split(order, np.searchsorted(each[order], shown)[1:]), strict=True):
            first[label][split] = rows[:EACH].tolist()
    turns = {
        label: [(split, rows[turn]) for turn in range(EACH) for split, rows in of_split.items() if turn < len(rows)]
        for label, of_split in first.items()
    }
    return {label: places[:EACH] for label, places in turns.items()}, len(present)


def _pictures(dataset: Dataset, chosen: Mapping[int, list[tuple[str, int]]]) -> dict[int, list[Picture]]:
    """The pictures by label; of each split only the row groups that hold one are read."""
    by_split: dict[str, list[int]] = defaultdict(list)
    for places in chosen.values():
        for split, row in places:
            by_split[split].append(row)
    found: dict[tuple[str, int], Picture] = {}
    for split, rows in by_split.items():
        for row, record in zip(rows, dataset.records(split, rows, ("id", "image")), strict=True):
            found[split, row] = _picture(record["id"], split, record["image"], dataset.card.reading)
    return {label: [found[place] for place in places] for label, places in chosen.items()}


def _picture(identity: str, split: str, data: bytes, reading: Reading) -> Picture:
    try:
        image = open_image(data, reading).convert("RGB")
    except UnreadableError as error:
        return Picture(identity, split, "", str(error))
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return Picture(identity, split, f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}")


def _name(dataset: Dataset, label: int) -> str:
    return dataset.card.classes[label] if dataset.card.classes else ""


def _prompt(prompts: Prompts | None, label: int) -> str:
    """As the first template asks for the class."""
    return prompts.templates[0].replace("{}", prompts.classes[label]) if prompts is not None else ""
