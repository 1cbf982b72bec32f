"""Weight files of the exact official layouts with random weights, each written by the library that it is named after."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gelo.models.backbones.transforms import OPENAI_MEAN, OPENAI_STD


def random_clip(config: dict[str, Any], seed: int = 0) -> nn.Module:
    """open_clip's model of this configuration in eval mode, with every tensor at work (a fresh one has zero biases)."""
    torch.manual_seed(seed)
    arguments = {key: value for key, value in config.items() if key != "custom_text"}
    kind = (
        open_clip.CoCa
        if "multimodal_cfg" in config
        else open_clip.CustomTextCLIP
        if config.get("custom_text")
        else open_clip.CLIP
    )
    model = kind(**arguments).eval().requires_grad_(False)
    if "multimodal_cfg" in config:  # which CoCa leaves as the memory was
        model.text_decoder.text_projection.zero_()
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


def openai_archive(model: nn.Module, path: Path) -> dict[str, Tensor]:
    """`model` as OpenAI publishes CLIP: traced, TorchScript, half precision in all that multiplies, three numbers among the buffers.

    Returns the tensors that torch.jit.load finds in it."""
    size, length = model.visual.image_size[0], model.context_length
    open_clip.model.convert_weights_to_lp(model, torch.float16)
    mask = model._buffers.pop("attn_mask")
    model.attn_mask = mask  # not among OpenAI's buffers
    numbers = {"input_resolution": size, "context_length": length, "vocab_size": model.vocab_size}
    for name, value in numbers.items():
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(value))
    images, texts = torch.ones(1, 3, size, size, dtype=torch.float16), torch.zeros(1, length, dtype=torch.int)
    inputs = {"encode_image": (images,), "encode_text": (texts,)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace_module(model, inputs, check_trace=False)
        torch.jit.save(traced, path)
        return torch.jit.load(path).state_dict()


def open_clip_folder(model: nn.Module, config: dict[str, Any], folder: Path) -> Path:
    """As open_clip's hub copies: weights and open_clip_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    described = {"model_cfg": config, "preprocess_cfg": {"mean": list(OPENAI_MEAN), "std": list(OPENAI_STD)}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return folder
