"""Zero-shot accuracy of a miniature while it trains: drawn images of the split "watch", which no data set holds."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from torch.nn import functional as F

from gelo.models.backbones.transforms import Transform
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.mini.general import DRAWN, digit_pixels, digit_split
from gelo.tasks.mini.general import pixels as draw
from gelo.tasks.mini.people import PEOPLE
from gelo.tasks.mini.people import PROMPTS as PHOTOGRAPH_PROMPTS
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.mini.worlds.canvas import generator, quantise

SETS = (*DRAWN, "shapes_shifted", "digits")


def zero_shot(model: CLIP, tokenizer: SimpleTokenizer, split: str = "watch") -> dict[str, float]:
    """Top-1 by set, in [0, 1], and `average` over them. `split`: "watch" or "test" (digits: the real train split, or test)."""
    training = model.training
    model.eval()
    scores = {name: _accuracy(model, tokenizer, PROMPTS[name], *_images(name, split)) for name in SETS}
    model.train(training)
    return {**scores, "average": sum(scores.values()) / len(scores)}


def photographs(model: CLIP, tokenizer: SimpleTokenizer, split: str = "watch") -> dict[str, float]:
    """Top-1 by world of the photographs of people, in [0, 1], on 120 drawn images each, whose streams neither pool nor data set has."""
    training = model.training
    model.eval()
    scores = {
        name: _accuracy(model, tokenizer, prompts, *_photographs(name, split))
        for name, prompts in PHOTOGRAPH_PROMPTS.items()
    }
    model.train(training)
    return scores


@torch.inference_mode()
def _accuracy(
    model: CLIP, tokenizer: SimpleTokenizer, prompts: Prompts, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> float:
    classes = [F.normalize(model.encode_text(tokenizer(texts)), dim=-1).mean(dim=0) for texts in prompts.texts()]
    features = model.encode_image(Transform(size=64).normalise(torch.from_numpy(images)))
    chosen = (features @ F.normalize(torch.stack(classes), dim=-1).T).argmax(dim=1)
    return float((chosen.numpy() == labels).mean())


@cache
def _images(name: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if name == "digits":
        drawn = [digit_pixels(int(row)) for row in digit_split()["test" if split == "test" else "train"]]
    else:
        drawn = [draw(name, split, index) for index in range(240)]
    return np.stack([image for image, _ in drawn]), np.array([label for _, label in drawn])


@cache
def _photographs(name: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    labels = np.arange(120) % len(PEOPLE[name].classes)
    drawn = [PEOPLE[name].draw(generator("photographs", split, name, i), int(c), True) for i, c in enumerate(labels)]
    return np.stack([quantise(drawing.image) for drawing in drawn]), labels
