"""How large an architecture is, from its configuration alone: what memory, arithmetic and time are predicted from. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gelo.models.backbones.registry import BACKBONES, config_path, own_text


@dataclass(frozen=True, slots=True)
class Geometry:
    """A vision transformer of open_clip. side, patch: pixels. dim: of the features. quick: QuickGELU, which keeps a sigmoid more than GELU.
    text: parameters of the text tower, which a training holds and does not use."""

    layers: int
    width: int
    heads: int
    hidden: int
    patch: int
    side: int
    dim: int
    quick: bool
    text: int

    @property
    def tokens(self) -> int:
        """Of an image, the class token among them."""
        return (self.side // self.patch) ** 2 + 1

    @property
    def block(self) -> int:
        """Parameters of one transformer block: two norms, four projections, two layers of the MLP."""
        w, h = self.width, self.hidden
        return 4 * w + 4 * (w * w + w) + 2 * w * h + h + w

    @property
    def vision(self) -> int:
        """Parameters of the vision tower."""
        w = self.width
        around = 3 * self.patch**2 * w + w + self.tokens * w + 4 * w + w * self.dim
        return around + self.layers * self.block

    def forward(self) -> float:
        """Floating-point operations of one image (multiplication and addition: two): linear layers, attention, patches, projection."""
        w, n = self.width, self.tokens
        block = 2 * n * w * (4 * w + 2 * self.hidden) + 4 * n * n * w
        return self.layers * block + 2 * (n - 1) * 3 * self.patch**2 * w + 2 * w * self.dim


@dataclass(frozen=True, slots=True)
class TextGeometry(Geometry):
    """The text transformer of open_clip's CLIP: a sequence of `context` tokens goes through blocks as an image's do. side, patch: 0. text:
    its parameters, the logit scale among them."""

    context: int = 0

    @property
    def tokens(self) -> int:
        """Of a text, filling included."""
        return self.context

    @property
    def vision(self) -> int:
        """Its parameters but for the logit scale: what trains where everything does."""
        return self.text - 1


def text_geometry(name: str) -> TextGeometry | None:
    """Of a backbone's text tower; None where it is not open_clip's own, or not known."""
    config = _configuration(name)
    text = config.get("text_cfg", {})
    if not own_text(config) or not (count := _text(text, config["embed_dim"])):
        return None
    width = text["width"]
    return TextGeometry(
        layers=text["layers"], width=width, heads=text.get("heads", 8), hidden=4 * width, patch=0, side=0, dim=config["embed_dim"],
        quick=bool(config.get("quick_gelu")), text=count, context=text["context_length"],
    )  # fmt: skip


def _configuration(name: str) -> Mapping[str, Any]:
    """{} where none is known."""
    architecture = BACKBONES[name].architecture if name in BACKBONES else name.partition(":")[0]
    path = config_path(architecture)
    found: Mapping[str, Any] = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    return found


def geometry(name: str) -> Geometry | None:
    """Of a backbone's vision tower; None where it is no plain vision transformer of open_clip, or not known."""
    config = _configuration(name)
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    layers, side, patch = vision.get("layers"), vision.get("image_size", 224), vision.get("patch_size", 16)
    whole = all(isinstance(each, int) for each in (layers, side, patch))
    if (
        not whole
        or not {"width", "patch_size"} <= vision.keys()
        or "timm_model_name" in vision
        or "multimodal_cfg" in config
    ):
        return None
    width = vision["width"]
    return Geometry(
        layers=layers, width=width, heads=width // vision.get("head_width", 64), hidden=int(width * vision.get("mlp_ratio", 4.0)),
        patch=patch, side=side, dim=config["embed_dim"], quick=bool(config.get("quick_gelu")), text=_text(text, config["embed_dim"]),
    )  # fmt: skip


def _text(config: Mapping[str, Any], dim: int) -> int:
    """Parameters of open_clip's own text transformer and the scale; 0 for one of another library, which is not known here."""
    if not {"width", "layers", "context_length", "vocab_size"} <= config.keys() or "hf_model_name" in config:
        return 0
    w = config["width"]
    block = 4 * w + 4 * (w * w + w) + 8 * w * w + 5 * w
    return config["vocab_size"] * w + config["context_length"] * w + config["layers"] * block + 2 * w + w * dim + 1
