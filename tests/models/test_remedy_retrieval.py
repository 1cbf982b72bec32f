"""Retrieval against its formula in numpy: neighbours by a full sort, softmax by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gelo.models.adapt import Full, adapt
from gelo.models.encoder import Encoder
from gelo.models.remedies import Bench, Retrieval
from gelo.models.tower import Tower
from tests.models.toy_run import IMAGES, Noise


def tuned(encoder: Encoder) -> Tower:
    adapted = adapt(encoder.visual, Full(), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapted.load({n: t + 0.02 * torch.randn(t.shape, generator=generator) for n, t in adapted.state().items()})
    return adapted.publish()


def made(encoder: Encoder, seed: int = 0, **changes: Any) -> tuple[Encoder, Encoder, Noise]:
    """The tower with its memory, without, and what it remembers."""
    tower, source = tuned(encoder), Noise(1, encoder.transform.size, encoder.dim, 4)
    remedy = Retrieval(reference="noise/train", **changes)
    wrapped = remedy.finish(tower, Bench(encoder, sources={"reference": source}, seed=seed))
    return wrapped.encoder(encoder), tower.encoder(encoder), source


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("values", ["text", "image"])
@pytest.mark.parametrize("k", [1, 3, IMAGES, 1000])
def test_it_is_the_written_formula(values: str, k: int, encoder: Encoder, pixels: np.ndarray) -> None:
    found, plain, source = made(encoder, weight=0.4, temperature=0.2, k=k, values=values)
    features = plain.encode_images(pixels).astype(np.float64)
    keys = unit(plain.encode_images(source.pixels).astype(np.float64))
    known = (
        unit(encoder.encode_images(source.pixels).astype(np.float64))
        if values == "image"
        else source.classifier(encoder).double().numpy().T[source.labels]
    )
    expected = []
    for f in features:
        cosines = keys @ f / np.linalg.norm(f)
        near = np.argsort(-cosines)[:k]
        shares = np.exp(cosines[near] / 0.2)
        expected.append(f + 0.4 * np.linalg.norm(f) * (shares / shares.sum()) @ known[near])
    np.testing.assert_allclose(found.encode_images(pixels), expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.encode_images(pixels, projected=False), plain.encode_images(pixels, projected=False))


def test_no_weight_changes_no_feature(encoder: Encoder, pixels: np.ndarray) -> None:
    found, plain, _ = made(encoder, weight=0.0)
    assert np.array_equal(found.encode_images(pixels), plain.encode_images(pixels))


def test_a_small_memory_is_a_seeded_draw_over_all_of_the_reference(encoder: Encoder) -> None:
    """The first images of a split may all be of one class."""
    remembered = []
    for seed in (0, 0, 1):
        found, plain, source = made(encoder, seed, images=9)
        keys = found.visual.tensors["keys"].numpy()  # type: ignore[union-attr,operator]
        cosines = keys @ unit(plain.encode_images(source.pixels)).T
        assert np.allclose(cosines.max(axis=1), 1, atol=1e-5)
        remembered.append(set(cosines.argmax(axis=1).tolist()))
        assert len(remembered[-1]) == 9
    assert remembered[0] == remembered[1] != remembered[2]
    assert all(rows != set(range(9)) for rows in remembered)


def test_what_recalls_texts_moves_features_towards_the_texts(encoder: Encoder) -> None:
    """Of a remembered image itself the nearest is itself: its feature comes nearer to the text of its class."""
    found, plain, source = made(encoder, weight=0.5, k=1)
    text = source.classifier(encoder).double().numpy().T[source.labels]
    before, after = (
        (unit(each.encode_images(source.pixels).astype(np.float64)) * text).sum(axis=1) for each in (plain, found)
    )
    assert (after > before).all()
