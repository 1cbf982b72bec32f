"""Whether weights are those of an architecture, and of which if not: told by shapes and configurations, with no model built.

Decisions: both sides are described in the words of open_clip's configurations, and only what both say is compared. Position embeddings of
another grid are another resolution, which is never adapted unasked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from gelo.models.backbones.wrapped import Shape

Traits = dict[str, Any]
_VIT: Traits = {
    "head_width": 64,
    "mlp_ratio": 4.0,
    "pool_type": "tok",
    "attentional_pool": False,
    "no_ln_pre": False,
    "final_ln_after_pool": False,
}
_TEXT: Traits = {
    "context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0, "pool_type": "argmax",
    "no_causal_mask": False, "proj_bias": False, "embed_cls": False,
}  # fmt: skip
_IDLE = {  # says nothing of what a loaded model computes
    "timm_model_pretrained", "timm_drop", "timm_drop_path", "patch_dropout", "output_tokens", "hf_model_pretrained", "hf_tokenizer_name",
    "tokenizer_kwargs", "tokenizer_mode", "attn_pooler_heads",
}  # fmt: skip
_TIMM = re.compile(r"(?:vit|eva|eva02)_(?:pe_core_)?([a-z0-9]+)_patch(\d+)_\w+")
_TIMM_WIDTHS = {
    "tiny": 192, "small": 384, "base": 768, "large": 1024, "so400m": 1152, "huge": 1280, "giant": 1408, "giantopt": 1536, "gigantic": 1536,
    "enormous": 1792,
}  # fmt: skip
_WORDS = {
    "image_size": "pixels",
    "embed_dim": "features",
    "context_length": "tokens",
    "vocab_size": "vocabulary",
    "patch_size": "patch",
}
PIXELS = "vision_cfg.image_size"


def of_config(config: Mapping[str, Any]) -> Traits:
    """What open_clip's configuration, or a part of one, says of the model."""
    out: Traits = {"embed_dim": config.get("embed_dim"), "quick_gelu": bool(config.get("quick_gelu"))}
    see = dict(config.get("vision_cfg") or {})
    timm = see.get("timm_model_name")
    out["tower"] = "timm" if timm else "ResNet" if isinstance(see.get("layers"), list) else "ViT"
    if timm and (named := _TIMM.fullmatch(timm)):
        see |= {"width": _TIMM_WIDTHS.get(named[1]), "patch_size": int(named[2])}
    if isinstance(see.get("image_size"), int) and see.get("patch_size"):
        see["image_size"] -= see["image_size"] % see["patch_size"]  # a rest at the edge has no patch
    parts: dict[str, Traits] = {"vision_cfg": _VIT | see if out["tower"] == "ViT" else see}
    if text := config.get("text_cfg"):
        parts["text_cfg"] = dict(text) if text.get("hf_model_name") else _TEXT | text
        out["captions"] = bool(config.get("multimodal_cfg"))
    for part, given in parts.items():
        if "mlp_ratio" in given:
            given["mlp"] = int(given["width"] * given.pop("mlp_ratio"))
        if given.pop("embed_cls", False):
            given["context_length"] += 1  # a place for the class token
        out |= {f"{part}.{key}": value for key, value in given.items() if key not in _IDLE}
    return {key: value for key, value in out.items() if value is not None}


def of_shapes(shapes: Mapping[str, Shape]) -> Traits:
    """What tensors under open_clip's names say of their model; {} where they are of none."""
    out: Traits = {}
    if (patch := shapes.get("visual.conv1.weight")) and len(patch) == 4 and "visual.ln_post.weight" in shapes:
        positions = shapes.get("visual.positional_embedding", Shape((0, 0)))
        out |= {"tower": "ViT", "vision_cfg.width": patch[0], "vision_cfg.patch_size": patch[-1]}
        out |= {
            "vision_cfg.layers": _layers(shapes, "visual.transformer.resblocks"),
            PIXELS: patch[-1] * isqrt(max(positions[0] - 1, 0)),
        }
        out["vision_cfg.attentional_pool"] = any(name.startswith("visual.attn_pool.") for name in shapes)
        out["embed_dim"] = shapes["visual.proj"][-1] if "visual.proj" in shapes else None
        out["vision_cfg.mlp"] = _rows(shapes, "visual.transformer.resblocks.0.mlp.c_fc.weight")
    elif "visual.layer1.0.conv1.weight" in shapes:
        out |= {"tower": "ResNet", "vision_cfg.width": shapes["visual.layer1.0.conv1.weight"][0]}
        positions = shapes.get("visual.attnpool.positional_embedding", Shape((0, 0)))
        out |= {
            "vision_cfg.layers": [_layers(shapes, f"visual.layer{n}") for n in (1, 2, 3, 4)],
            PIXELS: 32 * isqrt(max(positions[0] - 1, 0)),
        }
    elif any(name.startswith("visual.trunk.") for name in shapes):
        out["tower"] = "timm"
        patch, positions = (
            shapes.get("visual.trunk.patch_embed.proj.weight"),
            shapes.get("visual.trunk.pos_embed", Shape()),
        )
        if patch and len(patch) == 4 and len(positions) == 3:
            out |= {
                "vision_cfg.width": patch[0],
                "vision_cfg.patch_size": patch[-1],
                PIXELS: patch[-1] * isqrt(positions[1]),
            }
    text = "text." if "text.token_embedding.weight" in shapes else ""
    words, places = shapes.get(f"{text}token_embedding.weight"), shapes.get(f"{text}positional_embedding")
    if words and places and len(words) == len(places) == 2:
        out |= {"text_cfg.vocab_size": words[0], "text_cfg.width": words[1], "text_cfg.context_length": places[0]}
        out["text_cfg.layers"] = _layers(shapes, f"{text}transformer.resblocks")
        out["text_cfg.mlp"] = _rows(shapes, f"{text}transformer.resblocks.0.mlp.c_fc.weight")
        out["captions"] = any(name.startswith("text_decoder.") for name in shapes)
    return {key: value for key, value in out.items() if value is not None}


def unlike(found: Traits, wanted: Traits) -> list[str]:
    """The traits that differ, of those that both have."""
    return [key for key in found if key in wanted and found[key] != wanted[key]]


def fitting(found: Traits, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The architectures that weights of these traits fill: those that share the most traits, the width among them, and differ in none."""
    shared: dict[str, int] = {}
    for name, config in configs.items():
        wanted = of_config(config)
        if not unlike(found, wanted) and "vision_cfg.width" in found.keys() & wanted.keys():
            shared[name] = len(found.keys() & wanted.keys())
    return sorted(
        (name for name, count in shared.items() if count == max(shared.values())), key=lambda name: (len(name), name)
    )


def told(traits: Traits, keys: list[str]) -> str:
    """In words: `width 1024, patch 14, text width 768`."""
    said = []
    for key in keys:
        part, _, name = key.rpartition(".")
        if key == "quick_gelu":
            said.append("QuickGELU" if traits[key] else "plain GELU")
        elif isinstance(traits[key], bool):
            said.append(f"{'' if traits[key] else 'no '}{name.replace('_', ' ')}")
        else:
            said.append(
                f"{'text ' if part == 'text_cfg' else ''}{_WORDS.get(name, name.replace('_', ' '))} {traits[key]}"
            )
    return ", ".join(said)


def _layers(shapes: Mapping[str, Shape], stem: str) -> int:
    """How many numbers follow the stem."""
    return len({name[len(stem) + 1 :].partition(".")[0] for name in shapes if name.startswith(f"{stem}.")})


def _rows(shapes: Mapping[str, Shape], name: str) -> int | None:
    return shapes[name][0] if name in shapes else None
