"""What stands beside weights about the images that they were trained on, in the words of `Transform`: another mean is another encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gelo.models.backbones.containers import OPEN_CLIP_CONFIG
from gelo.models.backbones.transforms import Transform

HF_PREPROCESSOR = "preprocessor_config.json"
_FIELDS = ("mean", "std", "interpolation", "resize")
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, as transformers writes them


def unlike_transform(folder: Path, hugging_face: bool, transform: Transform) -> list[tuple[str, str, str]]:
    """(field, what stands there, what `transform` has) of each field that differs; sizes are the architecture's matter."""
    path = folder / (HF_PREPROCESSOR if hugging_face else OPEN_CLIP_CONFIG)
    try:
        content = json.loads(path.read_bytes())
        told = _hugging_face(content) if hugging_face else _open_clip(content.get("preprocess_cfg") or {})
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # nothing stands there, or nothing that is known
    own = transform.model_dump()
    return [
        (name, _said(told[name]), _said(own[name]))
        for name in _FIELDS
        if told.get(name) is not None and not _same(told[name], own[name])
    ]


def _open_clip(given: dict[str, Any]) -> dict[str, Any]:
    known = {"interpolation": ("bicubic", "bilinear"), "resize_mode": ("shortest", "squash")}
    out = {name: tuple(given[name]) for name in ("mean", "std") if name in given}
    return out | {
        name.removesuffix("_mode"): given[name] for name, values in known.items() if given.get(name) in values
    }


def _hugging_face(given: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {name: tuple(given[f"image_{name}"]) for name in ("mean", "std") if f"image_{name}" in given}
    return out | {"interpolation": _RESAMPLE.get(given.get("resample", 0))}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(abs(a - b) < 1e-4 for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _said(value: Any) -> str:
    return "(" + ", ".join(f"{each:g}" for each in value) + ")" if isinstance(value, tuple) else str(value)
