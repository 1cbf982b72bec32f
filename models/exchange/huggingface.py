"""An encoder as Hugging Face transformers have CLIP: a folder for `CLIPModel.from_pretrained`, with the configuration of its image
processor."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from gelo.models.backbones.huggingface import from_open_clip
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.exchange.openclip import model_config, state_of
from gelo.models.exchange.proof import Sample, refuse_other, undrawn

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
TOLERANCE = 1e-6  # of the longest feature: the same sums, in another order
_RESAMPLE = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers
HUB = {  # the same base weights where transformers find them by name
    "ViT-B/16": "openai/clip-vit-base-patch16", "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-L/14": "openai/clip-vit-large-patch14", "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
}  # fmt: skip


def write_huggingface(folder: Path, encoder: Encoder, sample: Sample) -> list[str]:
    """The three files. Raises UserError for a model that is no CLIPModel, and where transformers make other features of them."""
    tensors, config = from_open_clip(state_of(encoder), model_config(encoder))
    config_file, weights, processor = (folder / name for name in FILES)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights, metadata={"format": "pt"})
    config_file.write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n")
    processor.write_text(json.dumps(processor_config(encoder.transform), indent=2) + "\n")
    from transformers import CLIPModel

    with quiet(), undrawn():
        model = CLIPModel.from_pretrained(str(folder)).eval()
        images = model.get_image_features(pixel_values=sample.pixels)
        texts = model.get_text_features(input_ids=sample.tokens)
    refuse_other("images by transformers", sample.images, features_of(images).numpy(), TOLERANCE)
    refuse_other("texts by transformers", sample.texts, features_of(texts).numpy(), TOLERANCE)
    return list(FILES)


def features_of(output: Any) -> Any:
    """transformers 5 give an output with the features in it, 4 the features."""
    return getattr(output, "pooler_output", output)


def processor_config(transform: Transform) -> dict[str, Any]:
    """`preprocessor_config.json` of CLIPImageProcessor."""
    side = {"height": transform.size, "width": transform.size}
    shortest = transform.resize == "shortest"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": transform.size} if shortest else side,
        "resample": _RESAMPLE[transform.interpolation],
        "do_center_crop": shortest,
        "crop_size": side,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(transform.mean),
        "image_std": list(transform.std),
    }


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without their bars and remarks, which go to the terminal of whoever called."""
    from transformers.utils import logging as theirs

    bars, level = theirs.is_progress_bar_enabled(), logging.root.manager.disable
    theirs.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if bars:
            theirs.enable_progress_bar()
