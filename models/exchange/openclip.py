"""An encoder as open_clip has them: one safetensors file of both towers, and the configuration that makes a folder a model of its own."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from shutil import copyfile
from typing import Any

import open_clip
from safetensors.torch import save_file
from torch import Tensor

from gelo.models.backbones.registry import config_of, resolve
from gelo.models.backbones.zoo import MERGES
from gelo.models.encoder import Encoder
from gelo.models.exchange.proof import Sample, refuse_other, undrawn
from gelo.models.faults import Fault, UserError

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"  # open_clip: src/open_clip/constants.py
TOLERANCE = 1e-6


def write_openclip(folder: Path, encoder: Encoder, sample: Sample) -> list[str]:
    """The files that were written, for `open_clip.create_model_and_transforms("local-dir:FOLDER")` and for
    `(ARCHITECTURE, pretrained=FILE)`; a miniature's merge list too, as open_clip has none of its vocabulary.

    Raises UserError where open_clip makes other features of them.
    """
    save_file(state_of(encoder), folder / WEIGHTS)
    config = {"model_cfg": model_config(encoder), "preprocess_cfg": _preprocess(encoder)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    _prove(folder, sample)
    backbone = resolve(encoder.name)
    if backbone.scale == "full" or backbone.file is None:
        return [WEIGHTS, CONFIG]
    copyfile(backbone.file.parent / MERGES, folder / MERGES)
    return [WEIGHTS, CONFIG, MERGES]


def state_of(encoder: Encoder) -> dict[str, Tensor]:
    """Both towers under open_clip's names, on the CPU; each tensor with memory of its own."""
    visual = {f"visual.{name}": tensor for name, tensor in encoder.visual.state_dict().items()}
    both = visual | encoder.text.model.state_dict()
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in both.items()}


def model_config(encoder: Encoder) -> dict[str, Any]:
    """open_clip's `model_cfg` of the encoder's architecture, with its own vision tower."""
    return config_of(resolve(encoder.name)) | {"vision_cfg": encoder.config["vision_cfg"]}


def _preprocess(encoder: Encoder) -> dict[str, Any]:
    own = encoder.transform
    return {
        "size": own.size,
        "mean": list(own.mean),
        "std": list(own.std),
        "interpolation": own.interpolation,
        "resize_mode": own.resize,
    }


def _prove(folder: Path, sample: Sample) -> None:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of what a configuration leaves to open_clip
    try:
        with undrawn():
            model = open_clip.create_model(f"local-dir:{folder}").eval()
            images, texts = model.encode_image(sample.pixels), model.encode_text(sample.tokens)
    except (RuntimeError, ValueError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError("export", Fault("open_clip", line[:160], "weights that it loads")) from None
    finally:
        logging.disable(level)
    refuse_other(f"images by open_clip, {WEIGHTS}", sample.images, images.numpy(), TOLERANCE)
    refuse_other(f"texts by open_clip, {WEIGHTS}", sample.texts, texts.numpy(), TOLERANCE)
