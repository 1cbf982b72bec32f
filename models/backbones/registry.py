"""Backbones by name: architecture, transform, activation and where the weights lie. Imports no torch: `gelo --help`
stays quick.

Decisions: weights and transform are one record, because the same weights under another transform are another encoder.
The activation is stated here and proved by `models.backbones.zoo`, because open_clip loads OpenAI's weights under plain GELU
without a word.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from gelo.models.backbones.tags import transform_of
from gelo.models.backbones.transforms import Transform
from gelo.models.faults import Fault, UserError

MINI = Path(__file__).parents[1] / "mini"
WEIGHTS_FOLDER = "GELO_WEIGHTS"  # environment variable: where a user keeps weight files


_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Backbone(BaseModel):
    """One encoder that a sweep can name.

    architecture: open_clip's model name, or a configuration packaged in models/mini. activation: what every MLP must be
    built with. file: packaged weights; None means the user's own file.
    """

    model_config = _FROZEN

    name: str
    architecture: str
    scale: Literal["miniature", "full"]
    transform: Transform
    activation: Literal["gelu", "quick_gelu"]
    file: Path | None = None
    remedy: str = ""  # where its weights can be had
    resized: bool = False  # position embeddings of another grid are brought to that of `transform.size`

    def weights_path(self, weights: Path | None = None) -> Path:
        """What to read: the file or folder given, else the packaged one, else what there is of <name>.safetensors, <name>.pt and the
        folder <name> in $GELO_WEIGHTS; "/", ":" and "@" of the name become "-", "@SIZE" of a resized one is left out."""
        if weights is not None:
            return weights
        if self.file is not None:
            return self.file
        name = self.name.rpartition("@")[0] if self.resized else self.name
        stem = Path(os.environ.get(WEIGHTS_FOLDER) or "weights") / re.sub("[/:@]", "-", name)
        places = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".safetensors", ".pt", "")]
        return next((place for place in places if place.exists()), places[0])


def _openai(name: str, hub: str, size: int = 224) -> Backbone:
    stem = name.replace("/", "-").replace("@", "-")
    return Backbone(
        name=name,
        architecture=f"{stem.removesuffix('px')}-quickgelu",
        scale="full",
        transform=Transform(size=size),
        activation="quick_gelu",
        remedy=f"it is open_clip_model.safetensors of huggingface.co/timm/{hub}, or OpenAI's {stem}.pt",
    )


def _mini(name: str) -> Backbone:
    return Backbone(
        name=name,
        architecture=name,
        scale="miniature",
        transform=Transform(size=64),
        activation="gelu",
        file=MINI / f"{name}.safetensors",
        remedy="packaged with gelo: install it again",
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _mini("mini-s"),
        _mini("mini-l"),
        _mini("mini-s-people"),
        _mini("mini-l-people"),
        _openai("ViT-B/32", "vit_base_patch32_clip_224.openai"),
        _openai("ViT-B/16", "vit_base_patch16_clip_224.openai"),
        _openai("ViT-L/14", "vit_large_patch14_clip_224.openai"),
        _openai("ViT-L/14@336px", "vit_large_patch14_clip_336.openai", 336),
    )
}


def resolve(name: str, weights: Path | None = None) -> Backbone:
    """The backbone of this name; open_clip's `architecture` or `architecture:tag` too, the tag saying which transform
    holds. `name@SIZE` is the same at another input size, with its position embeddings resized.

    Raises UserError for an unknown name or tag, where the tags of an architecture differ in transform and none is
    named, and for a size that the architecture does not take.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    fault = name_fault(name)
    if fault is not None:
        raise UserError("backbone", fault)
    plain, size = _sized(name)
    if size is not None:
        return _resized(resolve(plain, weights), size)
    architecture, _, tag = name.partition(":")
    config = _config(architecture)
    own = [each for each in BACKBONES if re.sub("[/@]", "-", each) == architecture]
    return Backbone(
        name=name,
        architecture=architecture,
        scale="full",
        transform=transform_of(architecture, tag, config, own),
        activation="quick_gelu" if config.get("quick_gelu") else "gelu",
        remedy=f"the safetensors file of open_clip's {name}" if tag else "",
    )


def vision_layers(name: str) -> int | None:
    """How many transformer blocks the vision tower has, from its configuration; None where it has none that LoRA could
    name."""
    return _of_blocks(name, "layers")


def vision_width(name: str) -> int | None:
    """How wide the vision tower's transformer blocks are, from its configuration; None where it has none."""
    return _of_blocks(name, "width") if vision_layers(name) is not None else None


def text_layers(name: str) -> int | None:
    """How many transformer blocks the text tower has, from the configuration; None where it is not that of open_clip's own CLIP, whose
    parts lie beside the vision tower's."""
    return _of_blocks(name, "layers", "text_cfg") if own_text(_config(_architecture(name))) else None


def text_width(name: str) -> int | None:
    """How wide the text tower's transformer blocks are, where it has `text_layers`."""
    return _of_blocks(name, "width", "text_cfg") if text_layers(name) is not None else None


def own_text(config: Mapping[str, Any]) -> bool:
    """Whether an architecture's text tower is that of open_clip's own CLIP: no other library's, no captioner's, not one held apart."""
    text = config.get("text_cfg", {})
    apart = config.get("custom_text") or "multimodal_cfg" in config or "init_logit_bias" in config
    return bool(text) and not apart and not text.get("hf_model_name")


def _of_blocks(name: str, field: str, tower: str = "vision_cfg") -> int | None:
    value = _config(_architecture(name)).get(tower, {}).get(field)
    return value if isinstance(value, int) else None


def _architecture(name: str) -> str:
    plain, _ = _sized(name)
    return BACKBONES[plain].architecture if plain in BACKBONES else plain.partition(":")[0]


def config_of(backbone: Backbone) -> dict[str, Any]:
    """open_clip's configuration of a backbone, at its own input size."""
    config = _config(backbone.architecture)
    if backbone.resized:
        config["vision_cfg"]["image_size"] = backbone.transform.size
    return config


def configurations() -> dict[str, dict[str, Any]]:
    """Every architecture's configuration by name."""
    return {name: _config(name) for name in _config_files()}


def config_path(architecture: str) -> Path | None:
    """The JSON that describes an architecture: packaged here or in open_clip; None for an unknown one."""
    return _config_files().get(architecture)


@cache
def _config_files() -> dict[str, Path]:
    # found without importing open_clip, which would import torch
    found = importlib.util.find_spec("open_clip")
    folders = [Path(place) / "model_configs" for place in (found.submodule_search_locations or [])] if found else []
    theirs = {path.stem: path for folder in folders for path in folder.glob("*.json")}
    ours = {b.architecture: MINI / f"{b.architecture}.json" for b in BACKBONES.values() if b.scale == "miniature"}
    return theirs | ours


def _config(architecture: str) -> dict[str, Any]:
    path = config_path(architecture)
    config: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    return config


def name_fault(name: str, where: str = "backbone") -> Fault | None:
    """Of a name that no backbone has; None where one does, its tag aside."""
    plain, _ = _sized(name)
    if plain in BACKBONES or plain.partition(":")[0] in _config_files():
        return None
    near = difflib.get_close_matches(plain, [*BACKBONES, *_config_files()], n=1, cutoff=0.6)
    expected = f"one of {', '.join(sorted(BACKBONES))}, or an open_clip architecture"
    return Fault(where, f"unknown backbone {name!r}", expected, f"nearest: {near[0]}" if near else "")


def _sized(name: str) -> tuple[str, int | None]:
    """A name without `@SIZE`, and the size that it asks for."""
    plain, at, size = name.rpartition("@")
    asks = at and name not in BACKBONES and size.isascii() and size.isdigit()
    return (plain, int(size)) if asks else (name, None)


def _resized(backbone: Backbone, size: int) -> Backbone:
    see = _config(backbone.architecture)["vision_cfg"]
    patch, asked = see.get("patch_size"), f"{backbone.name}@{size}"
    if not isinstance(see.get("layers"), int) or not patch:
        expected = "the input size that its weights were trained with: its position embeddings cannot be resized"
        raise UserError(
            "backbone", Fault(asked, f"a size for {backbone.architecture}", expected, f"name {backbone.name}")
        )
    if size < patch or size % patch:
        near = max(1, round(size / patch)) * patch
        fault = Fault(
            asked, f"{size} pixels", f"a multiple of {patch}, the side of a patch", f"nearest: {backbone.name}@{near}"
        )
        raise UserError("backbone", fault)
    transform = backbone.transform.model_copy(update={"size": size})
    return backbone.model_copy(update={"name": asked, "transform": transform, "resized": True})
