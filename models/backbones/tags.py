"""open_clip's tags of an architecture: what its weights were trained with. Asking open_clip imports torch."""

from __future__ import annotations

from typing import Any

from gelo.models.backbones.transforms import Transform
from gelo.models.faults import Fault, UserError


def transform_of(architecture: str, tag: str, config: dict[str, Any], own: list[str]) -> Transform:
    """The transform that the weights of a tag are for, or of all tags where none is named. own: gelo's names of the same model.

    Raises UserError for an unknown tag, one trained with another activation than the architecture, and where they differ and none is named.
    """
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
