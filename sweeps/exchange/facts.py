"""All that is known of an exported encoder, as one JSON document: the card is written from it, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gelo.models.backbones.registry import Backbone, resolve
from gelo.models.backbones.transforms import Transform
from gelo.sweeps.exchange.measured import Measured, measured
from gelo.sweeps.exchange.subject import Leaving
from gelo.tasks.training.preprocess import transforms

_TOLD = ("train_seconds", "trainable_parameters", "head_parameters")  # of training.json
_MIT, _APACHE, _NON_COMMERCIAL = "mit", "apache-2.0", "cc-by-nc-sa-4.0"


def facts_of(it: Leaving, written: Mapping[str, Sequence[str]], with_head: bool) -> dict[str, Any]:
    """The content of gelo.json. written: the files by format."""
    trial, training, backbone = it.trial, it.training, resolve(it.base.name)
    shown = _measured(it)
    dataset = it.dataset()
    return {
        "gelo": _version(),
        "label": it.label,
        "backbone": it.base.name,
        "architecture": backbone.architecture,
        "scale": it.base.scale,
        "dim": it.base.dim,
        "context_length": getattr(it.base.tokenizer, "context_length", None),
        "sweep": None if it.sweep is None else it.sweep.name,
        "trial": None if trial is None else trial.document(),
        "trained": {name: training[name] for name in _TOLD if name in training},
        "imported": training.get("imported"),
        "fingerprints": {
            "vision": it.encoder.vision_fingerprint,
            "text": it.encoder.text_fingerprint,
            "base vision": it.base.vision_fingerprint,
            **({"base text": it.base.text_fingerprint} if it.own_text else {}),
            **({"data": training["data"]} if "data" in training else {}),
            **{f"images of {name}": of for name, of in training.get("sources", {}).items()},
        },
        "data": None if dataset is None else {
            "name": dataset.name, "version": dataset.card.version, "licence": dataset.card.licence,
            "source": dataset.card.source, "images": dataset.card.counts().get("train"),
        },
        "transform": it.encoder.transform.canonical() | {"channels": it.encoder.transform.channels},
        "detector_transform": _detector(it),
        "head": None if not with_head or trial is None or trial.head is None else trial.head.model_dump(mode="json"),
        "head_shapes": _shapes(it.head()) if with_head else {},
        "measured": shown.document(),
        "files": {each: list(files) for each, files in written.items()},
        "licence": licence_of(backbone, it),
    }  # fmt: skip


def licence_of(backbone: Backbone, it: Leaving) -> dict[str, str]:
    """id: as hubs name it, "" where it is not known; words: of what."""
    imported = it.training.get("imported")
    if imported is not None:
        words = f"{imported['paper']} ({imported['repository']}) publishes its weights under {imported['licence']}: no commercial use."
        return {"id": _NON_COMMERCIAL, "words": words}
    if backbone.scale == "miniature":
        return {"id": _APACHE, "words": "The base weights are gelo's own miniature, Apache-2.0."}
    if "openai" in backbone.remedy or backbone.name.endswith(":openai"):
        return {"id": _MIT, "words": "The base weights are OpenAI's CLIP, published under the MIT licence."}
    words = f"The base weights are open_clip's {backbone.name}; gelo does not know their licence: see their publisher."
    return {"id": "", "words": words}


def _version() -> str:
    try:
        return version("gelo-sweeps")
    except PackageNotFoundError:
        return "of a checkout"


def _measured(it: Leaving) -> Measured:
    if it.trial is None:
        return Measured(why="it is an untouched backbone, of no sweep")
    return measured(it.trial, it.sweep, it.base, it.weights)


def _detector(it: Leaving) -> dict[str, Any] | None:
    """What the trained head is shown, where that is not the encoder's own transform."""
    kind = it.trial.preprocess if it.trial is not None else "backbone"
    shown: Transform = transforms(kind, it.base.transform).test
    if shown == it.base.transform:
        return None
    return shown.canonical() | {"channels": shown.channels, "antialias": shown.antialias}


def _shapes(head: bytes | None) -> dict[str, list[int]]:
    """By tensor, from the head of a safetensors file."""
    if head is None:
        return {}
    import json

    (length,) = struct.unpack("<Q", head[:8])
    told: dict[str, Any] = json.loads(head[8 : 8 + length])
    return {name: list(tensor["shape"]) for name, tensor in told.items() if name != "__metadata__"}
