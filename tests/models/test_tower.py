"""What a trial keeps: saved and read back it is the same encoder, plain or with something around it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, adapt
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.remedies import Bench, Retrieval
from gelo.models.tower import HOW, Tower
from gelo.models.trained import load_tower
from tests.models.toy_run import Noise


def moved(encoder: Encoder, spec: AdaptationSpec) -> Tower:
    adapted = adapt(encoder.visual, spec, seed=0)
    torch.manual_seed(1)
    adapted.load({name: tensor + 0.05 * torch.randn(tensor.shape) for name, tensor in adapted.state().items()})
    return adapted.publish()


def remembering(encoder: Encoder, tower: Tower) -> Tower:
    source = Noise(1, encoder.transform.size, encoder.dim)
    return Retrieval(reference="noise/train", images=6).finish(tower, Bench(encoder, sources={"reference": source}))


@pytest.mark.parametrize("spec", [Full(), Lora(), LoraExperts(rank=2)], ids=str)
@pytest.mark.parametrize("wrapped", [False, True], ids=["as trained", "with a memory"])
def test_from_disk_it_is_the_same_encoder(
    spec: AdaptationSpec, wrapped: bool, encoder: Encoder, pixels: np.ndarray, tmp_path: Path
) -> None:
    tower = moved(encoder, spec)
    tower = remembering(encoder, tower) if wrapped else tower
    tower.save(tmp_path)
    one, two = tower.encoder(encoder), load_tower(tmp_path).encoder(encoder)
    assert one.vision_fingerprint == two.vision_fingerprint
    assert np.array_equal(one.encode_images(pixels), two.encode_images(pixels))
    assert (tmp_path / HOW).exists() is not tower.plain
    assert one.text_fingerprint == encoder.text_fingerprint


@pytest.mark.parametrize("spec", [Full(), Lora()], ids=str)
def test_plain_weights_have_the_fingerprint_that_they_always_had(spec: AdaptationSpec, encoder: Encoder) -> None:
    """Caches are keyed by it."""
    tower = moved(encoder, spec)
    assert tower.encoder(encoder).vision_fingerprint == encoder.with_visual(tower.weights).vision_fingerprint


def test_experts_in_training_are_those_that_are_kept(encoder: Encoder, pixels: np.ndarray) -> None:
    adapted = adapt(encoder.visual, LoraExperts(rank=2), 0)
    start = adapted(encoder.transform.normalise(torch.from_numpy(pixels)))
    np.testing.assert_allclose(start.detach().numpy(), encoder.encode_images(pixels), atol=1e-5)  # B is 0
    adapted.load({name: tensor + 0.1 for name, tensor in adapted.state().items()})
    training = adapted(encoder.transform.normalise(torch.from_numpy(pixels))).detach().numpy()
    kept = adapted.publish().encoder(encoder)
    assert np.array_equal(kept.encode_images(pixels), training)
    assert kept.encode_images(pixels, projected=False).shape[1] == encoder.visual.conv1.out_channels  # type: ignore[union-attr]


def test_how_it_is_built_is_part_of_the_fingerprint(encoder: Encoder) -> None:
    """Equal tensors, another temperature: another encoder."""
    tower, source = moved(encoder, Full()), Noise(1, encoder.transform.size, encoder.dim)
    bench = Bench(encoder, sources={"reference": source})
    prints = {
        Retrieval(reference="noise/train", images=6, temperature=t)
        .finish(tower, bench)
        .encoder(encoder)
        .vision_fingerprint
        for t in (0.05, 0.1)
    }
    assert len({*prints, tower.encoder(encoder).vision_fingerprint}) == 3


def test_a_layer_that_is_not_known_here_is_told(encoder: Encoder, tmp_path: Path) -> None:
    remembering(encoder, moved(encoder, Full())).save(tmp_path)
    document = json.loads((tmp_path / HOW).read_text())
    document["build"][0]["spec"]["kind"] = "dream"
    (tmp_path / HOW).write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"tower.json: a tower built by .*dream.*; expected an adaptation or a remedy"):
        load_tower(tmp_path)
