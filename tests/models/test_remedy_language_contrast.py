"""Language contrast against its formula, pair by pair in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from gelo.models.adapt import Full
from gelo.models.encoder import Encoder
from gelo.models.heads import Softmax
from gelo.models.remedies import LanguageContrast
from tests.models.one_step import features_of, losses_of, moved, slope, unit
from tests.models.toy_run import settings

LABELS = [0, 1, 0, 2, 1, 0]


def test_it_is_the_written_formula(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    prompts = ("the dog", "cat cat", "do")
    adapted = moved(encoder, Full())
    remedy = LanguageContrast(strength=0.7, nuisance=0.3, prompts=prompts)
    losses, _ = losses_of(remedy, encoder, adapted, pixels, LABELS, Softmax())
    f, texts = unit(features_of(encoder, adapted, pixels)), unit(encoder.encode_texts(prompts).astype(np.float64))
    contrast = 0.0
    for i, label in enumerate(LABELS):
        same = sum(f[i] @ f[j] for j, other in enumerate(LABELS) if other == label)
        different = sum(f[i] @ f[j] for j, other in enumerate(LABELS) if other != label)
        contrast += (different - same) / len(LABELS)
    beside = np.mean([[abs(image @ text) for text in texts] for image in f])
    assert losses["language_contrast"].item() == pytest.approx(0.7 * contrast / len(LABELS) + 0.3 * beside, rel=1e-4)
    assert beside > 1e-3


def test_the_gradient_is_the_slope(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    assert slope(LanguageContrast(), encoder, Full(), pixels, [0, 1, 0, 1, 1, 0]) < 1e-4


def test_what_cannot_be_is_refused() -> None:
    for wrong in ((), ("a blurry photo.", "a blurry photo."), ("a blurry photo.", " ")):
        with pytest.raises(ValidationError):
            LanguageContrast(prompts=wrong)
    (parts,) = LanguageContrast().clashes(Softmax(), settings(accumulate=2))
    assert "language_contrast, which compares the images of a batch" in parts.found
