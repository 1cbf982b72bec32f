"""docs/real-weights.md, command by command, on files of the official layouts with random weights: ViT-B/16 in full size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

from gelo.models.backbones.huggingface import from_open_clip
from gelo.models.backbones.zoo import load_backbone
from tests.models.layouts import openai_archive, random_clip

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]

PAGE = Path(__file__).parents[2] / "docs" / "real-weights.md"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenAI's archive, and the same weights (before they are halved) as Hugging Face's folder."""
    folder = tmp_path_factory.mktemp("downloads")
    config = open_clip.get_model_config("ViT-B-16-quickgelu")
    model = random_clip(config)
    state, described = from_open_clip(model.state_dict(), config)
    theirs = folder / "clip-vit-base-patch16"
    theirs.mkdir()
    save_file(state, theirs / "model.safetensors", metadata={"format": "pt"})
    (theirs / "config.json").write_text(json.dumps(described))
    openai_archive(model, folder / "ViT-B-16.pt")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(3):
            picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / "photos" / name / f"{number}.png")
    return folder


def near(ours: NDArray[np.float32], theirs: Tensor) -> None:
    """Unit features to 1e-6."""
    torch.testing.assert_close(F.normalize(torch.from_numpy(ours)), F.normalize(theirs), atol=1e-6, rtol=0.0)


def test_the_features_are_those_of_the_libraries_that_the_files_are_for(downloads: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    texts = ["a photo of a cat", "a dog"]
    ours = load_backbone("ViT-B/16", downloads / "ViT-B-16.pt")
    images, tokens = ours.transform.normalise(torch.from_numpy(pixels)), ours.tokenizer(texts)
    direct = open_clip.load_openai_model(str(downloads / "ViT-B-16.pt"), precision="fp32", device="cpu").requires_grad_(
        False
    )
    state = {f"visual.{name}": tensor for name, tensor in ours.visual_state().items()} | ours.text.model.state_dict()
    theirs = direct.state_dict()
    assert len(state) == 302 and all(torch.equal(state[name], theirs[name]) for name in state)
    near(ours.encode_images(pixels), direct.encode_image(images))
    near(ours.encode_texts(texts), direct.encode_text(tokens))
    del direct, theirs, state
    ours = load_backbone("ViT-B/16", downloads / "clip-vit-base-patch16")
    other = CLIPModel.from_pretrained(downloads / "clip-vit-base-patch16").requires_grad_(False)
    near(ours.encode_images(pixels), other.get_image_features(images).pooler_output)
    near(ours.encode_texts(texts), other.get_text_features(tokens).pooler_output)


@pytest.mark.long  # every change: the features, above
def test_the_commands_of_the_page_end_in_a_table(downloads: Path, tmp_path: Path) -> None:
    commands, spec = re.findall(r"(?:^    .+\n)+", PAGE.read_text(), flags=re.MULTILINE)
    (tmp_path / "real.yaml").write_text(spec)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    said = []
    for line in commands.split("\n"):
        if line.strip():
            done = subprocess.run(
                ["bash", "-c", line.strip().replace("~/downloads", str(downloads))],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == (2 if "doctor" in line else 0), (line, done.stdout + done.stderr)
            said.append(done.stdout + done.stderr)
    *_, doctor, archive, folder = said
    assert len(said) == 6 and "food101" in doctor
    for told in (doctor, archive):
        assert "NOTE weights/ViT-B-16.pt: SHA-256" in told and "5806e77c" in told and "1 fault" in doctor
    for told in (archive, folder):
        assert re.search(r"zero_shot/mine/top1 +│ +\d+\.\d\d", told), told
    assert "NOTE" not in folder
