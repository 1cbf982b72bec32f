"""CLIP's configuration between open_clip's form and the `config.json` of Hugging Face transformers, both ways.

Source of the words and of what is left out: huggingface/transformers, models/clip/configuration_clip.py, releases 4 and 5.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gelo.models.faults import Fault, UserError

ACTIVATIONS = ("gelu", "quick_gelu")
# what a configuration leaves out: CLIPVisionConfig's and CLIPTextConfig's own defaults
_VISION = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3,
    "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": 512,
}  # fmt: skip
_TEXT = {
    "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8, "vocab_size": 49408,
    "max_position_embeddings": 77, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
# the part of open_clip's configuration that transformers has a word for; None: any number, else the one value
_SAME: dict[str, dict[str, Any]] = {
    "vision_cfg": {"image_size": None, "layers": None, "width": None, "head_width": None, "patch_size": None, "mlp_ratio": None,
                   "pool_type": "tok", "pos_embed_type": "learnable", "patch_dropout": None},
    "text_cfg": {"context_length": None, "vocab_size": None, "width": None, "heads": None, "layers": None, "mlp_ratio": None,
                 "pool_type": "argmax", "proj_type": "linear"},
}  # fmt: skip


def open_clip_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a `config.json` as open_clip's configuration (embed_dim, quick_gelu, vision_cfg and, of a CLIPModel, text_cfg).

    What it leaves out is what transformers takes. Raises UserError for another model and for what open_clip's CLIP is never built with."""
    kind = config.get("model_type")
    if kind not in ("clip", "clip_vision_model"):
        raise refused(f"model_type {kind!r}")
    whole = kind == "clip"
    nested = {
        part: {**(config.get(part) or {}), **(config.get(f"{part}_dict") or {})}
        for part in ("vision_config", "text_config")
    }
    vision = _VISION | (nested["vision_config"] if whole or nested["vision_config"] else dict(config))
    text = _TEXT | nested["text_config"] if whole else {}
    acts = {part["hidden_act"] for part in (vision, text) if part}
    odd = [f"hidden_act {' and '.join(sorted(acts))}"] if len(acts) > 1 or not acts <= set(ACTIVATIONS) else []
    odd += [
        f"layer_norm_eps {part['layer_norm_eps']}" for part in (vision, text) if part and part["layer_norm_eps"] != 1e-5
    ]
    odd += [f"num_channels {vision['num_channels']}"] if vision["num_channels"] != 3 else []
    if odd:
        raise refused(", ".join(odd))
    out = {
        "embed_dim": config.get("projection_dim", 512) if whole else vision["projection_dim"],
        "quick_gelu": acts == {"quick_gelu"},
        "vision_cfg": {
            "image_size": vision["image_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
            "patch_size": vision["patch_size"],
        },
    }
    if whole:
        out["text_cfg"] = {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        }
    return out


def hugging_face_config(config: Mapping[str, Any], *, vision_alone: bool) -> dict[str, Any]:
    """The `config.json` of a CLIPModel, or of a CLIPVisionModelWithProjection, for open_clip's configuration.

    Raises UserError, naming what it is, for a model that is neither (a timm tower, an attention pool, another text tower)."""
    odd = [f"{key} {value!r}" for key, value in config.items() if key in ("custom_text", "multimodal_cfg") and value]
    for part, allowed in _SAME.items():
        given = {key: value for key, value in config.get(part, {}).items() if value not in (None, False)}
        odd += [
            f"{part}.{key} {v!r}"
            for key, v in given.items()
            if not (isinstance(v, int | float) if allowed.get(key, "") is None else v == allowed.get(key))
        ]
    if odd:
        raise UserError(
            "Hugging Face", Fault("configuration", first(odd), "what transformers' CLIPModel can be built with")
        )
    see, read = config["vision_cfg"], config.get("text_cfg", {})
    both = {
        "hidden_act": "quick_gelu" if config.get("quick_gelu") else "gelu",
        "layer_norm_eps": 1e-5,
        "projection_dim": config["embed_dim"],
    }
    vision = both | {
        "model_type": "clip_vision_model",
        "hidden_size": see["width"],
        "intermediate_size": int(see["width"] * see.get("mlp_ratio", 4.0)),
        "num_hidden_layers": see["layers"],
        "num_attention_heads": see["width"] // see.get("head_width", 64),
        "image_size": see["image_size"],
        "patch_size": see["patch_size"],
    }
    if vision_alone:
        return {"architectures": ["CLIPVisionModelWithProjection"], **vision}
    text = both | {
        "model_type": "clip_text_model",
        "hidden_size": read["width"],
        "intermediate_size": int(read["width"] * read.get("mlp_ratio", 4.0)),
        "num_hidden_layers": read["layers"],
        "num_attention_heads": read["heads"],
        "max_position_embeddings": read["context_length"],
        "vocab_size": read["vocab_size"],
        "bos_token_id": read["vocab_size"] - 2,
        "eos_token_id": read["vocab_size"] - 1,  # where open_clip reads the text's feature: the highest token
    }
    top = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": config["embed_dim"]}
    return top | {"vision_config": vision, "text_config": text}


def refused(found: str) -> UserError:
    """Of what came as Hugging Face's and is no CLIP of theirs."""
    return UserError(
        "weights",
        Fault("Hugging Face", found, "a CLIPModel, CLIPVisionModel or CLIPVisionModelWithProjection of transformers"),
    )


def first(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
