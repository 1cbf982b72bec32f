"""A prepared set through gelo's own path, image by image against open_clip alone on the original files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from gelo.models.backbones.registry import MINI
from gelo.models.backbones.zoo import MERGES, build_model, load_backbone
from gelo.tasks.data.asking import prompts_for
from gelo.tasks.data.embed import EncoderRef, embed, features, needs, text_features
from gelo.tasks.prepare.prepare import prepare
from gelo.tasks.protocols import zeroshot
from tests.tasks.prepare.trees import TREES


@pytest.mark.slow
def test_zero_shot_of_a_prepared_set_is_open_clips_image_by_image(tmp_path: Path) -> None:
    TREES["country211"](tmp_path)
    dataset, _ = prepare("country211", tmp_path, tmp_path / "data", allow_partial=True)
    encoder = load_backbone("mini-s")
    ref = EncoderRef(encoder.vision_fingerprint, "mini-s", None, None)
    embed(needs(ref, dataset, "test", ("image",)), encoder.transform, tmp_path / "cache", "local")
    texts = text_features(encoder, prompts_for(dataset), tmp_path / "cache")
    result, table = zeroshot.score(
        dataset.name, dataset.ids("test"), features(ref, dataset, "test", tmp_path / "cache"), dataset.labels("test"),
        zeroshot.classifier(texts), data="d", vision="v", text="t", scale="full", partial=dataset.card.partial,
    )  # fmt: skip

    model = build_model("mini-s", MINI / "mini-s.json").eval()
    assert isinstance(model, CLIP)
    model.load_state_dict(safetensors.torch.load_file(MINI / "mini-s.safetensors"))
    length = json.loads((MINI / "mini-s.json").read_text())["text_cfg"]["context_length"]
    tokenizer = SimpleTokenizer(bpe_path=str(MINI / MERGES), context_length=length)
    transform = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    templates = ("in", "while visiting", "from my home country of", "from my visit to", "showing the country of")
    starts = ("a photo i took", "a photo i took", "a photo", "a photo", "a photo")
    with torch.inference_mode():
        columns = []
        for name in dataset.card.classes:
            prompts = [f"{start} {middle} {name}." for start, middle in zip(starts, templates, strict=True)]
            mean = torch.nn.functional.normalize(model.encode_text(tokenizer(prompts)), dim=-1).mean(dim=0)
            columns.append(torch.nn.functional.normalize(mean, dim=0))
        weights = torch.stack(columns, dim=1)
        base = tmp_path / "country211"
        for row in table.to_pylist():
            image = transform(Image.open(base / row["id"]))[None]
            logits = 100 * model.encode_image(image, normalize=True) @ weights
            assert int(logits.argmax()) == row["predicted"]
            np.testing.assert_allclose(float(logits.max()), row["logit"], atol=2e-3)
    assert result.partial
    assert len(table) == 6
    assert dataset.card.classes[:2] == ("Andorra", "United Arab Emirates")
