"""SupCon against its formula, image by image in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gelo.models.adapt import Full, Lora
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Softmax
from gelo.models.remedies import SupCon
from tests.models.one_step import features_of, losses_of, moved, slope, unit
from tests.models.toy_run import IMAGES, go, settings


def by_hand(features: NDArray[np.float64], labels: list[int], temperature: float) -> float:
    """arXiv 2004.11362, equation 2, term by term; an image without another of its class counts 0."""
    f, total = unit(features), 0.0
    for i, label in enumerate(labels):
        positives = [p for p, other in enumerate(labels) if other == label and p != i]
        below = sum(np.exp(f[i] @ f[a] / temperature) for a in range(len(labels)) if a != i)
        for p in positives:
            total -= np.log(np.exp(f[i] @ f[p] / temperature) / below) / len(positives)
    return total / len(labels)


@pytest.mark.parametrize("labels", [[0, 1, 0, 1, 2, 0], [0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 4]], ids=str)
def test_it_is_the_written_formula(labels: list[int], encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    adapted = moved(encoder, Full())
    losses, _ = losses_of(SupCon(strength=0.7, temperature=0.3), encoder, adapted, pixels, labels, Softmax())
    expected = by_hand(features_of(encoder, adapted, pixels), labels, 0.3)
    assert losses["supcon"].item() == pytest.approx(0.7 * expected, rel=1e-4) and expected > 0


def test_a_batch_without_two_of_a_class_has_no_gradient(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    adapted = moved(encoder, Full())
    losses, _ = losses_of(SupCon(), encoder, adapted, pixels, list(range(6)), Softmax())
    assert losses["supcon"].item() == 0
    gradients = torch.autograd.grad(losses["supcon"], list(adapted.trainable().values()), allow_unused=True)
    assert all(not each.any() for each in gradients if each is not None)


def test_the_gradient_is_the_slope(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    assert slope(SupCon(), encoder, Full(), pixels, [0, 1, 0, 1, 1, 0]) < 1e-4


def test_where_no_batch_holds_two_of_a_class_it_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    class OneEach(type(settings())):  # type: ignore[misc]
        per_identity: int = 1

    (alone,) = SupCon().clashes(Softmax(), settings(batch=1))
    assert alone.found == "supcon with batches of 1"
    fields = settings(sampler="identity_balanced").model_dump()
    (single,) = SupCon().clashes(Softmax(), OneEach(**fields))
    assert single.remedy == "per_identity: 4" and not SupCon().clashes(
        Softmax(), OneEach(**fields | {"per_identity": 2})
    )
    (parts,) = SupCon().clashes(Softmax(), settings(accumulate=2))
    assert "supcon, which compares the images of a batch, with accumulate 2" in parts.found
    with pytest.raises(UserError, match="28 images of as many classes; expected two images of a class for supcon"):
        go(encoder, Lora(), tmp_path, SupCon(), head=Softmax(), classes=IMAGES)
