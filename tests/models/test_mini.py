"""The packaged miniatures: real zero-shot models by open_clip's own forward, small enough to ship, described by their card."""

from __future__ import annotations

import json
import re
from functools import cache

import numpy as np
import pytest
import safetensors.torch
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F

from gelo.models.backbones.registry import MINI
from gelo.models.backbones.transforms import Transform
from gelo.models.backbones.zoo import MERGES, build_model, load_backbone
from gelo.tasks.mini.card import CONTINUED
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.watch import SETS, zero_shot

pytestmark = pytest.mark.slow

NAMES = ("mini-s", "mini-l")


@cache
def figures(name: str) -> dict[str, float]:
    """Zero-shot top-1 by set on the test split, through open_clip's model alone."""
    model = build_model(name, MINI / f"{name}.json").eval()
    model.load_state_dict(safetensors.torch.load_file(MINI / f"{name}.safetensors"))
    assert isinstance(model, CLIP)
    length = json.loads((MINI / f"{name}.json").read_text())["text_cfg"]["context_length"]
    return zero_shot(model, SimpleTokenizer(bpe_path=str(MINI / MERGES), context_length=length), "test")


@pytest.mark.parametrize("name", [*NAMES, *CONTINUED])
def test_a_miniature_is_a_real_zero_shot_model(name: str) -> None:
    scores = figures(name)
    assert scores["average"] >= 0.6
    for dataset in SETS:
        assert scores[dataset] >= 2 / len(PROMPTS[dataset].classes), dataset


def test_the_larger_one_is_better_on_average() -> None:
    assert figures("mini-l")["average"] > figures("mini-s")["average"]


@pytest.mark.parametrize("name", NAMES)
def test_real_digits_beyond_the_split_that_gelo_reports_are_read_as_well(name: str) -> None:
    """Handwriting was never trained on: all 1,797 of scikit-learn's images, resized here by another way than the data set's."""
    data = load_digits()
    scaled = [Image.fromarray(np.round(image * 255 / 16).astype(np.uint8)) for image in data.images]
    grey = np.stack([np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS)) for image in scaled])
    encoder = load_backbone(name)
    pixels = np.repeat(grey[..., None], 3, axis=3)
    features = np.concatenate([encoder.encode_images(pixels[at : at + 256]) for at in range(0, len(pixels), 256)])
    with torch.inference_mode():
        prompts = [torch.from_numpy(encoder.encode_texts(texts)) for texts in PROMPTS["digits"].texts()]
    classes = torch.stack([F.normalize(block, dim=-1).mean(dim=0) for block in prompts])
    chosen = (torch.from_numpy(features) @ F.normalize(classes, dim=-1).T).argmax(dim=1).numpy()
    assert (chosen == data.target).mean() >= 0.4, "chance is 0.1"


def test_the_weights_are_small_and_the_card_tells_their_figures() -> None:
    assert sum((MINI / f"{name}.safetensors").stat().st_size for name in NAMES) <= 10_000_000
    card = (MINI / "CARD.md").read_text()
    told = {row[0]: row[1:] for row in re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|", card, re.MULTILINE)}
    assert set(told) == {*SETS, "average"}
    for place, name in enumerate(NAMES):
        for dataset, value in figures(name).items():
            assert float(told[dataset][place]) == pytest.approx(100 * value, abs=0.5), (name, dataset)


@pytest.mark.parametrize("name", CONTINUED)
def test_the_card_of_one_that_trained_on_tells_its_figures(name: str) -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|", (MINI / f"{name}.md").read_text(), re.MULTILINE)
    told = {dataset: (float(before), float(after)) for dataset, before, after in rows}
    for dataset, value in figures(name).items():
        assert told[dataset][0] == pytest.approx(100 * figures(CONTINUED[name])[dataset], abs=0.5), dataset
        assert told[dataset][1] == pytest.approx(100 * value, abs=0.5), dataset


def test_transform_of_the_miniatures_is_one() -> None:
    """They share a pass over the pixels only where they share a transform."""
    assert {load_backbone(name).transform for name in (*NAMES, *CONTINUED)} == {Transform(size=64)}
