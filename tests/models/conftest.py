"""A tiny CLIP of this session, registered like the packaged miniatures: no test here waits for trained weights."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from gelo.models.backbones import registry as specs
from gelo.models.backbones import zoo
from gelo.models.backbones.registry import Backbone
from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder

SIZE = 32
MERGES = ["#version: test", "t h", "th e</w>", "c a", "ca t</w>", "d o", "do g</w>"]
CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": False,
    "vision_cfg": {"image_size": SIZE, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 514 + len(MERGES) - 1, "width": 32, "heads": 2, "layers": 2},
}


@dataclass(frozen=True)
class Tiny:
    """Where the tiny CLIP lies, and the same model built by open_clip alone."""

    folder: Path
    weights: Path
    model: nn.Module
    tokenizer: Any


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    with gzip.open(folder / "merges.txt.gz", "wb") as stream:
        stream.write("\n".join(MERGES).encode())
    torch.manual_seed(7)
    model = open_clip.model.CLIP(
        CONFIG["embed_dim"], vision_cfg=CONFIG["vision_cfg"], text_cfg=CONFIG["text_cfg"], quick_gelu=False
    ).eval()
    with torch.no_grad():  # a fresh model has zero biases: the tests shall see every tensor at work
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    weights = folder / "tiny.safetensors"
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, weights)
    tokenizer = open_clip.SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=8)
    entry = Backbone(
        name="tiny",
        architecture="tiny",
        scale="miniature",
        transform=Transform(size=SIZE),
        activation="gelu",
        file=weights,
    )
    with pytest.MonkeyPatch.context() as patch:
        files = specs._config_files() | {"tiny": folder / "tiny.json"}
        patch.setattr(specs, "_config_files", lambda: files)
        patch.setitem(specs.BACKBONES, "tiny", entry)
        yield Tiny(folder, weights, model, tokenizer)


@pytest.fixture
def encoder(tiny: Tiny) -> Encoder:
    return zoo.load_backbone("tiny")


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
