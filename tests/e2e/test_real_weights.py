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
from PIL import Image
from safetensors.torch import load_file, save_file
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


def test_the_features_are_those_of_the_libraries_that_the_files_are_for(downloads: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    texts = ["a photo of a cat", "a dog"]
    ours = load_backbone("ViT-B/16", downloads / "ViT-B-16.pt")
    images, tokens = ours.transform.normalise(torch.from_numpy(pixels)), ours.tokenizer(texts)
    direct = open_clip.load_openai_model(str(downloads / "ViT-B-16.pt"), precision="fp32", device="cpu")
    with torch.no_grad():
        wanted = direct.encode_image(images), direct.encode_text(tokens)
    near = {"atol": 1e-6, "rtol": 1e-6}
    torch.testing.assert_close(torch.from_numpy(ours.encode_images(pixels)), wanted[0], **near)
    torch.testing.assert_close(torch.from_numpy(ours.encode_texts(texts)), wanted[1], **near)
    del direct, ours
    ours = load_backbone("ViT-B/16", downloads / "clip-vit-base-patch16")
    assert len(load_file(downloads / "clip-vit-base-patch16" / "model.safetensors")) == 398
    theirs = CLIPModel.from_pretrained(downloads / "clip-vit-base-patch16")
    with torch.no_grad():
        wanted = theirs.get_image_features(images).pooler_output, theirs.get_text_features(tokens).pooler_output
    close = {"atol": 1e-6 * float(wanted[0].norm()), "rtol": 0.0}  # two orders of summing, in float32
    torch.testing.assert_close(torch.from_numpy(ours.encode_images(pixels)), wanted[0], **close)
    torch.testing.assert_close(torch.from_numpy(ours.encode_texts(texts)), wanted[1], **close)


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
