from __future__ import annotations

import copy
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from gelo.models.backbones.transforms import Transform
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.texttower import TextTower

from .conftest import CONFIG, SIZE, Tiny

Pixels = NDArray[np.uint8]


def _rebuild(encoder: Encoder, **changes: Any) -> Encoder:
    given: dict[str, Any] = {
        "visual": encoder.visual, "text": encoder.text, "transform": encoder.transform, "name": encoder.name,
        "dim": encoder.dim, "scale": encoder.scale, "config": encoder.config,
    }  # fmt: skip
    return Encoder(**(given | changes))


def test_features_equal_open_clips_from_image_file_to_vector(encoder: Encoder, tiny: Tiny) -> None:
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in ((50, 41), (32, 32), (90, 33))
    ]
    theirs = open_clip.image_transform(SIZE, is_train=False)
    with torch.no_grad():
        expected = tiny.model.encode_image(torch.stack([theirs(image) for image in images])).numpy()
    ours = encoder.encode_images(np.stack([encoder.transform.to_uint8(image) for image in images]))
    assert ours.dtype == np.float32 and ours.shape == (3, encoder.dim)
    np.testing.assert_array_equal(ours, expected)


def test_features_before_the_projection_are_open_clips_and_lead_to_those_after_it(
    encoder: Encoder, tiny: Tiny, pixels: Pixels
) -> None:
    visual = copy.deepcopy(tiny.model.visual)
    visual.proj = None  # open_clip then returns what the projection would be given
    with torch.no_grad():
        expected = visual(encoder.transform.normalise(torch.from_numpy(pixels))).numpy()
    found = encoder.encode_images(pixels, projected=False)
    assert found.shape == (len(pixels), CONFIG["vision_cfg"]["width"])
    np.testing.assert_array_equal(found, expected)
    projection = tiny.model.visual.proj.detach().numpy()
    np.testing.assert_allclose(found @ projection, encoder.encode_images(pixels), atol=1e-5)
    with pytest.raises(UserError, match="ends in a projection"):
        _rebuild(encoder, visual=visual).encode_images(pixels, projected=False)


def test_text_features_and_zero_shot_logits_equal_open_clips(encoder: Encoder, tiny: Tiny, pixels: Pixels) -> None:
    texts = ["the cat", "a dog of the cat", "x", "the cat the dog the cat the dog the cat"]
    with torch.no_grad():
        expected = tiny.model.encode_text(tiny.tokenizer(texts))
        images = encoder.transform.normalise(torch.from_numpy(pixels))
        logits, _ = tiny.model.get_logits(images, tiny.tokenizer(texts))
    np.testing.assert_array_equal(encoder.encode_texts(texts), expected.numpy())
    features = encoder.encode_images(pixels)
    words = encoder.encode_texts(texts)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.logit_scale * features @ words.T, logits.numpy(), atol=1e-4)


def test_calls_do_not_depend_on_what_came_before(encoder: Encoder, pixels: Pixels) -> None:
    first = encoder.encode_images(pixels)
    encoder.encode_images(pixels[:2], flip=True)
    torch.rand(5)
    np.testing.assert_array_equal(encoder.encode_images(pixels), first)
    assert not encoder.visual.training and all(not p.requires_grad for p in encoder.visual.parameters())


def test_flip_mirrors_the_pixels(encoder: Encoder, pixels: Pixels) -> None:
    mirrored = np.stack([np.fliplr(image) for image in pixels])
    np.testing.assert_array_equal(encoder.encode_images(pixels, flip=True), encoder.encode_images(mirrored))


def test_read_only_and_empty_batches(encoder: Encoder, pixels: Pixels) -> None:
    frozen = pixels.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(encoder.encode_images(frozen), encoder.encode_images(pixels))
    assert encoder.encode_images(pixels[:0]).shape == (0, encoder.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.dim)


def test_wrong_pixels_are_refused(encoder: Encoder, pixels: Pixels) -> None:
    for wrong in (pixels.astype(np.float32), pixels[0], pixels[:, :16], pixels.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match="uint8"):
            encoder.encode_images(wrong)


def test_vision_fingerprint_covers_all_that_changes_a_feature(encoder: Encoder) -> None:
    base = encoder.vision_fingerprint
    assert len(base) == 16 and _rebuild(encoder).vision_fingerprint == base
    seen = {base}
    for name, tensor in encoder.visual.state_dict().items():
        visual = copy.deepcopy(encoder.visual)
        with torch.no_grad():
            visual.state_dict()[name].view(-1)[0] = float(tensor.view(-1)[0]) + 1e-6
        assert not torch.equal(visual.state_dict()[name], tensor)
        seen.add(_rebuild(encoder, visual=visual).vision_fingerprint)
    assert len(seen) == 1 + len(encoder.visual.state_dict())
    fields = (
        {"size": 33},
        {"interpolation": "bilinear"},
        {"resize": "squash"},
        {"mean": (0, 0, 0)},
        {"std": (1, 1, 1)},
    )
    for change in fields:
        seen.add(_rebuild(encoder, transform=Transform(**({"size": SIZE} | change))).vision_fingerprint)
    seen.add(_rebuild(encoder, config=dict(encoder.config) | {"quick_gelu": True}).vision_fingerprint)
    half = _rebuild(encoder)
    half.precision = "fp16"  # type: ignore[assignment]
    seen.add(half.vision_fingerprint)
    seen.add(_rebuild(encoder, visual=copy.deepcopy(encoder.visual).double()).vision_fingerprint)
    assert len(seen) == 1 + len(encoder.visual.state_dict()) + len(fields) + 3


def test_text_fingerprint_covers_tensors_architecture_and_tokenizer(encoder: Encoder, tiny: Tiny) -> None:
    tower = encoder.text
    model = copy.deepcopy(tower.model)
    with torch.no_grad():
        model.logit_scale.add_(0.01)  # type: ignore[operator]
    shorter = open_clip.SimpleTokenizer(bpe_path=str(tiny.folder / "merges.txt.gz"), context_length=7)
    other = open_clip.SimpleTokenizer(context_length=8)
    towers = [
        tower,
        TextTower(model, tower.tokenizer, tower.config),
        TextTower(tower.model, shorter, tower.config),
        TextTower(tower.model, other, tower.config),
        TextTower(tower.model, tower.tokenizer, dict(tower.config) | {"quick_gelu": True}),
    ]
    assert len({_rebuild(encoder, text=each).text_fingerprint for each in towers}) == len(towers)
    assert len(encoder.text_fingerprint) == 16 and encoder.text_fingerprint != encoder.vision_fingerprint


def test_with_visual_shares_the_text_tower_and_leaves_the_base(encoder: Encoder, pixels: Pixels) -> None:
    before, features = encoder.visual_state(), encoder.encode_images(pixels)
    changed = {name: tensor + 0.01 for name, tensor in before.items()}
    other = encoder.with_visual(changed)
    assert other.text is encoder.text and other.text_fingerprint == encoder.text_fingerprint
    assert other.vision_fingerprint != encoder.vision_fingerprint
    assert all(torch.equal(tensor, changed[name]) for name, tensor in other.visual_state().items())
    np.testing.assert_array_equal(encoder.encode_images(pixels), features)
    assert encoder.with_visual(before).vision_fingerprint == encoder.vision_fingerprint
    before["proj"].zero_()  # a copy: the encoder must not feel it
    np.testing.assert_array_equal(encoder.encode_images(pixels), features)


def test_with_visual_is_strict(encoder: Encoder) -> None:
    state = encoder.visual_state()
    for wrong in (
        {k: v for k, v in state.items() if k != "proj"},
        state | {"extra": torch.zeros(1)},
        state | {"proj": state["proj"][:, :4]},
    ):
        with pytest.raises(ValueError, match=r"proj|extra"):
            encoder.with_visual(wrong)
    assert CONFIG["embed_dim"] == encoder.dim
