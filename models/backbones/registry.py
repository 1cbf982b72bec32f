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
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.weights import weights_fault
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    pass

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

    def weights_path(self, weights: Path | None = None) -> Path:
        """The file to read: the one given, else the packaged one, else $GELO_WEIGHTS/<name, "/" and ":" as
        "-">.safetensors."""
        if weights is not None:
            return weights
        if self.file is not None:
            return self.file
        stem = self.name.replace("/", "-").replace(":", "-")
        return Path(os.environ.get(WEIGHTS_FOLDER) or "weights") / f"{stem}.safetensors"


def _openai(name: str, hub: str) -> Backbone:
    return Backbone(
        name=name,
        architecture=f"{name.replace('/', '-')}-quickgelu",
        scale="full",
        transform=Transform(size=224),
        activation="quick_gelu",
        remedy=f"it is open_clip_model.safetensors of huggingface.co/timm/{hub}",
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
        _openai("ViT-B/16", "vit_base_patch16_clip_224.openai"),
        _openai("ViT-L/14", "vit_large_patch14_clip_224.openai"),
    )
}


def resolve(name: str, weights: Path | None = None) -> Backbone:
    """The backbone of this name; open_clip's `architecture` or `architecture:tag` too, the tag saying which transform
    holds.

    Raises UserError for an unknown name or tag, and where the tags of an architecture differ in transform and none is
    named.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    fault = _unknown_name(name)
    if fault is not None:
        raise UserError("backbone", fault)
    architecture, _, tag = name.partition(":")
    config = _config(architecture)
    return Backbone(
        name=name,
        architecture=architecture,
        scale="full",
        transform=_transform_of(architecture, tag, config),
        activation="quick_gelu" if config.get("quick_gelu") else "gelu",
        remedy=f"the safetensors file of open_clip's {name}" if tag else "",
    )


def faults_for(name: str, weights: Path | None = None, where: str = "backbone") -> list[Fault]:
    """What stands in the way of loading this backbone, without building a model; [] when nothing does."""
    fault = None if name in BACKBONES else _unknown_name(name, where)
    if fault is not None:
        return [fault]
    try:
        backbone = resolve(name, weights)
    except UserError as error:
        return list(error.faults)
    fault = weights_fault(backbone.weights_path(weights), backbone.name, backbone.remedy)
    return [] if fault is None else [fault]


def vision_layers(name: str) -> int | None:
    """How many transformer blocks the vision tower has, from its configuration; None where it has none that LoRA could
    name."""
    return _of_blocks(name, "layers")


def vision_width(name: str) -> int | None:
    """How wide the vision tower's transformer blocks are, from its configuration; None where it has none."""
    return _of_blocks(name, "width") if vision_layers(name) is not None else None


def _of_blocks(name: str, field: str) -> int | None:
    architecture = BACKBONES[name].architecture if name in BACKBONES else name.partition(":")[0]
    value = _config(architecture).get("vision_cfg", {}).get(field)
    return value if isinstance(value, int) else None


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


def _unknown_name(name: str, where: str = "backbone") -> Fault | None:
    architecture = name.partition(":")[0]
    if architecture in _config_files():
        return None
    near = difflib.get_close_matches(name, [*BACKBONES, *_config_files()], n=1, cutoff=0.6)
    expected = f"one of {', '.join(sorted(BACKBONES))}, or an open_clip architecture"
    return Fault(where, f"unknown backbone {name!r}", expected, f"nearest: {near[0]}" if near else "")


def _transform_of(architecture: str, tag: str, config: dict[str, Any]) -> Transform:
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    name = f"{architecture}:{tag}"
    tags: list[str] = list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        known = f"one of {', '.join(tags) or '(none known)'}"
        raise UserError("backbone", Fault(name, f"unknown open_clip tag {tag!r}", known))
    size = config.get("vision_cfg", {}).get("image_size", 224)
    if not isinstance(size, int):
        raise UserError("backbone", Fault(architecture, f"input of {size} pixels", "a square input"))
    activations = {bool(get_pretrained_cfg(architecture, each).get("quick_gelu")) for each in tags}
    if not tag and len(activations) > 1:  # the same file under either is another encoder, without a word
        own = [each for each in BACKBONES if each.replace("/", "-") == architecture]
        mixed = "of its open_clip tags some were trained with GELU, some with QuickGELU"
        remedy = f"name {architecture}:TAG{f', or {own[0]} for the weights of OpenAI' if own else ''}"
        raise UserError("backbone", Fault(architecture, mixed, f"one of {', '.join(tags)}", remedy))
    found: dict[str, Transform] = {}
    for each in [tag] if tag else tags:
        entry = get_pretrained_cfg(architecture, each)
        if tag and bool(entry.get("quick_gelu")) != bool(config.get("quick_gelu")):
            with_it = architecture.removesuffix("-quickgelu") + ("-quickgelu" if entry.get("quick_gelu") else "")
            fault = Fault(
                name,
                f"{tag} was trained with another GELU",
                "the activation that it was trained with",
                f"{with_it}:{tag}",
            )
            raise UserError("backbone", fault)
        found[each] = Transform(
            size=size,
            interpolation=entry["interpolation"],
            resize=entry["resize_mode"],
            mean=tuple(entry["mean"]),
            std=tuple(entry["std"]),
        )
    distinct = set(found.values()) or {Transform(size=size)}
    if len(distinct) > 1:
        fault = Fault(
            architecture,
            "its open_clip tags differ in transform",
            f"one of {', '.join(tags)}",
            f"name {architecture}:TAG",
        )
        raise UserError("backbone", fault)
    return distinct.pop()
