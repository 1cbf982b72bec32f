"""The text tower in training: the same adaptation as the vision tower's, its own features, logit scale and fingerprint."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor, nn

from gelo.models.adapt import AdaptationSpec, Bias, Dora, Full, LastBlocks, LayerNorm, Lora, LoraExperts, Pissa, adapt
from gelo.models.adapt.adapted import HIGHEST, Adapted
from gelo.models.adapt.parameters import table
from gelo.models.backbones.geometry import TextGeometry, text_geometry
from gelo.models.backbones.registry import text_layers, text_width
from gelo.models.encoder import Encoder
from gelo.models.faults import Fault, UserError
from gelo.models.fingerprint import tensors_digest
from gelo.models.remedies import FLYP, L2SP, Bench, RemedySpec, Soup, Stack, Wise
from gelo.models.texttower import TextTower, Unasked
from gelo.models.tower import HOW, TEXT
from gelo.models.trained import load_tower
from gelo.models.training.demands import demands
from gelo.models.training.footprint import Plan, kept
from tests.models.conftest import CONFIG, Tiny
from tests.models.test_footprint import saved_by
from tests.models.test_training_loop import losses, same
from tests.models.toy_run import Ended, go, settings

TEXTS = ["the cat", "a dog", "the the dog"]
WAYS: list[AdaptationSpec] = [
    Full(towers="both"), LastBlocks(blocks=1, towers="both"), LayerNorm(towers="both"), Bias(towers="both"),
    Lora(rank=2, targets=("q", "v", "mlp_in"), towers="both"), Dora(rank=2, towers="both"), Pissa(rank=2, towers="both"),
]  # fmt: skip
TWO: list[AdaptationSpec] = [Full(towers="both"), Lora(rank=2, dropout=0.25, towers="both")]


def both(encoder: Encoder, spec: AdaptationSpec, scale: float = 0.0) -> Adapted:
    """Both towers, moved at random by `scale`."""
    adapted = adapt(encoder.visual, spec, 0, encoder.text).eval()
    generator = torch.Generator().manual_seed(1)
    adapted.load({k: v + scale * torch.randn(v.shape, generator=generator) for k, v in adapted.state().items()})
    return adapted


def by_open_clip(encoder: Encoder, tensors: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Text features of a model that open_clip alone builds."""
    model = CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], CONFIG["text_cfg"], quick_gelu=False).eval()
    vision = {f"visual.{name}": tensor for name, tensor in encoder.visual_state().items()}
    model.load_state_dict(vision | tensors)
    with torch.no_grad():
        features: Tensor = model.encode_text(tokens)
    return features


@pytest.mark.parametrize("spec", WAYS, ids=str)
def test_at_the_start_it_is_the_base_and_what_is_kept_is_what_trained(spec: AdaptationSpec, encoder: Encoder) -> None:
    tokens = encoder.tokenizer(TEXTS)
    start = both(encoder, spec)
    np.testing.assert_allclose(start.texts(tokens).detach().numpy(), encoder.encode_texts(TEXTS), atol=1e-5)
    assert start.logit_scale.exp().item() == encoder.logit_scale
    before = tensors_digest(encoder.text.model.state_dict())
    moved = both(encoder, spec, 0.05)
    merged = moved.publish().text
    assert merged is not None and merged.keys() == encoder.text.model.state_dict().keys()
    torch.testing.assert_close(
        by_open_clip(encoder, dict(merged), tokens), moved.texts(tokens).detach(), rtol=1e-4, atol=2e-5
    )
    assert float(merged["logit_scale"]) == moved.logit_scale.item()
    assert (moved.texts(tokens) - start.texts(tokens)).abs().max() > 1e-3
    assert tensors_digest(encoder.text.model.state_dict()) == before, "the base stays as it is"


@pytest.mark.parametrize("spec", WAYS, ids=str)
def test_two_steps_move_what_the_table_says_in_both_towers(
    spec: AdaptationSpec, encoder: Encoder, pixels: np.ndarray
) -> None:
    adapted, images = (
        adapt(encoder.visual, spec, 0, encoder.text),
        encoder.transform.normalise(torch.from_numpy(pixels)),
    )
    alone = adapt(encoder.visual, type(spec).model_validate({**spec.model_dump(), "towers": "vision"}), 0)
    trainable = adapted.trainable()
    assert {name for name in trainable if not name.startswith("text.")} == alone.trainable().keys()
    assert {id(p) for p in trainable.values()} == {id(p) for p in adapted.parameters() if p.requires_grad}
    before = adapted.state()
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2)
    for _ in range(2):  # lora_B starts at 0, so lora_A has no gradient in the first
        optimizer.zero_grad()
        texts = adapted.texts(encoder.tokenizer(TEXTS * 2))
        (adapted.logit_scale.exp() * (adapted(images) * texts).sum(1).square()).mean().backward()
        optimizer.step()
    untouched = {"text.token_embedding.weight", "text.positional_embedding"}  # rows of words that no text has
    still = {name for name, tensor in adapted.state().items() if torch.equal(tensor, before[name])}
    assert still <= untouched
    rows = {row.part: row for row in table(adapted)}
    text = sum(row.parameters for part, row in rows.items() if part.startswith(("text", "logit")))
    assert text == sum(p.numel() for name, p in trainable.items() if name.startswith("text."))
    assert rows["logit scale"].parameters == 1
    networks = [p.numel() for p in (*encoder.visual.parameters(), *encoder.text.model.parameters())]
    own = sum(networks) + sum(b.numel() for b in encoder.text.model.buffers())
    adapters = sum(p.numel() for name, p in trainable.items() if "lora_" in name)
    assert sum(row.parameters for row in rows.values()) == own + adapters


@pytest.mark.parametrize("spec", [Full(towers="both"), Lora(rank=2, towers="both"), Bias(towers="both")], ids=str)
def test_the_distance_is_that_of_both_towers(spec: AdaptationSpec, encoder: Encoder) -> None:
    moved = both(encoder, spec, 0.05)
    tower = moved.publish()
    assert tower.text is not None
    pairs = [(tower.weights, encoder.visual_state()), (tower.text, encoder.text_state())]
    explicit = sum(float((now[n].double() - start[n].double()).square().sum()) for now, start in pairs for n in start)
    assert moved.squared_distance().item() == pytest.approx(explicit, rel=1e-3)
    dense = sum(float(delta.detach().double().square().sum()) for delta in moved.deltas().values())
    assert dense == pytest.approx(explicit, rel=1e-3)
    assert "text.logit_scale" in moved.leaves()


def test_the_logit_scale_stays_where_clip_keeps_it(encoder: Encoder) -> None:
    adapted = both(encoder, Lora(rank=2, towers="both"))
    for wild, expected in ((9.0, math.log(100)), (-1.0, 0.0), (3.0, 3.0)):
        adapted.load(adapted.state() | {"text.logit_scale": torch.tensor(wild)})
        adapted.stepped()
        assert adapted.logit_scale.item() == pytest.approx(expected, abs=1e-6)
    assert pytest.approx(4.6052, abs=1e-4) == HIGHEST


@pytest.mark.parametrize("spec", TWO, ids=str)
def test_from_disk_it_is_the_same_encoder_with_a_text_tower_of_its_own(
    spec: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    tower = both(encoder, spec, 0.05).publish()
    tower.save(tmp_path)
    assert (tmp_path / "text.safetensors").is_file() and json.loads((tmp_path / HOW).read_text())["text"] == TEXT
    one, two = tower.encoder(encoder), load_tower(tmp_path).encoder(encoder)
    assert one.text_fingerprint == two.text_fingerprint != encoder.text_fingerprint
    assert one.vision_fingerprint == two.vision_fingerprint == encoder.with_visual(tower.weights).vision_fingerprint
    assert one.logit_scale == two.logit_scale != encoder.logit_scale
    expected = by_open_clip(encoder, dict(tower.text or {}), encoder.tokenizer(TEXTS))
    np.testing.assert_allclose(two.encode_texts(TEXTS), expected.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="do not fit the text tower"):
        encoder.with_text({"logit_scale": torch.tensor(1.0)})


def test_merges_treat_both_towers_alike(encoder: Encoder) -> None:
    one, two = (both(encoder, Full(towers="both"), scale).publish() for scale in (0.05, 0.02))
    bench = Bench(encoder, parents={"seed 0": one, "seed 1": two})
    mixed, half = Soup(seeds=(0, 1)).finish(one, bench), Wise(alpha=0.25).finish(one, bench)
    for now, a, b, start in (
        (mixed.weights, one.weights, two.weights, None),
        (mixed.text, one.text, two.text, None),
        (half.weights, one.weights, None, encoder.visual_state()),
        (half.text, one.text, None, encoder.text_state()),
    ):
        assert now is not None and a is not None
        for name, tensor in now.items():
            other = (a[name] + b[name]) / 2 if b is not None else 0.25 * a[name] + 0.75 * (start or {})[name]
            torch.testing.assert_close(tensor, other, rtol=1e-5, atol=1e-6)
    back = Wise(alpha=0.0).finish(one, bench).encoder(encoder)
    assert (back.vision_fingerprint, back.text_fingerprint) == (encoder.vision_fingerprint, encoder.text_fingerprint)
    with pytest.raises(ValueError, match="exchanged together"):
        one.with_weights(two.weights)


def test_what_has_no_text_tower_of_open_clips_is_refused(encoder: Encoder) -> None:
    silent = TextTower(torch.nn.Identity(), Unasked(Fault("a", "a vision tower alone", "both")), {})
    for text in (None, silent, TextTower(torch.nn.Identity(), encoder.tokenizer, {})):
        with pytest.raises(UserError, match=r"towers: .*expected a CLIP with both towers; towers: vision"):
            adapt(encoder.visual, Full(towers="both"), 0, text)
    deep = LastBlocks(blocks=3, towers="both")
    with pytest.raises(UserError, match=r"text tower.blocks: 3 blocks; expected 1 to 2"):
        adapt(encoder.visual, deep, 0, encoder.text)
    plain = adapt(encoder.visual, Full(), 0, encoder.text)
    assert plain.text is None and plain.publish().text is None
    with pytest.raises(TypeError, match="does not train"):
        plain.texts(encoder.tokenizer(TEXTS))
    assert "towers" not in LoraExperts.model_fields and not LoraExperts().both
    names = ("ViT-B/16", "ViT-L/14", "ViT-B-16-SigLIP", "coca_ViT-B-32", "roberta-ViT-B-32", "RN50")
    assert [text_layers(name) for name in names] == [12, 12, None, None, None, 12]
    assert text_width("ViT-L/14") == 768


def test_keys_of_before_there_was_such_a_field_stay() -> None:
    for spec in WAYS:
        assert "towers" not in type(spec)().canonical() and spec.canonical()["towers"] == "both"


def trained(encoder: Encoder, spec: AdaptationSpec, place: Path, remedy: RemedySpec | None, **more: object) -> Ended:
    return go(encoder, spec, place, remedy, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", TWO, ids=str)
def test_left_in_the_middle_both_towers_end_on_the_same_bits(
    spec: AdaptationSpec, encoder: Encoder, tmp_path: Path
) -> None:
    remedy = Stack(remedies=(FLYP(task_weight=0.5), L2SP(strength=0.1)))
    whole = trained(encoder, spec, tmp_path / "whole", remedy)
    for call in (1, 2):
        assert not trained(encoder, spec, tmp_path / "left", remedy, stop_after=2).finished
        torch.manual_seed(call)
    ended = trained(encoder, spec, tmp_path / "left", remedy)
    assert ended.finished and same(whole, ended) and losses(whole) == losses(ended)
    assert any(name.startswith("text.") for name in whole.tensors())


@pytest.mark.parametrize("spec", TWO, ids=str)
def test_neutral_with_both_towers_changes_no_bit(spec: AdaptationSpec, encoder: Encoder, tmp_path: Path) -> None:
    """Not of the vision tower without a text tower beside it, and not of the text tower, which stays the base's."""
    alone = type(spec).model_validate({**spec.model_dump(), "towers": "vision"})
    plain, with_it = (
        trained(encoder, alone, tmp_path / "a", None),
        trained(encoder, spec, tmp_path / "b", FLYP(weight=0)),
    )
    assert all(torch.equal(tensor, with_it.tensors()[name]) for name, tensor in plain.tensors().items())
    tower = with_it.model.publish()
    for name, tensor in encoder.text_state().items():
        assert tower.text is not None and torch.equal(tensor, tower.text[name])


def test_bf16_is_for_the_forward_pass_of_both_towers(encoder: Encoder, tmp_path: Path) -> None:
    full, half = (
        trained(encoder, Full(towers="both"), tmp_path / each, FLYP(), precision=each) for each in ("fp32", "bf16")
    )
    assert not same(full, half) and all(tensor.dtype == torch.float32 for tensor in half.tensors().values())
    for one, other in zip(losses(full), losses(half), strict=True):
        assert other["loss_flyp"] == pytest.approx(one["loss_flyp"], rel=0.05)


def test_recomputing_changes_no_number(encoder: Encoder, tmp_path: Path) -> None:
    one, two = (
        trained(encoder, Full(towers="both"), tmp_path / str(again), FLYP(), checkpointing=again)
        for again in (False, True)
    )
    for name, tensor in one.tensors().items():
        torch.testing.assert_close(two.tensors()[name], tensor, rtol=1e-4, atol=1e-6)


def test_what_a_text_tower_keeps_and_trains_is_predicted(tiny: Tiny) -> None:
    sizes = {"layers": 3, "width": 128, "heads": 2}
    text = {"context_length": 16, "vocab_size": 514, **sizes}
    made = open_clip.model.CLIP(64, vision_cfg=CONFIG["vision_cfg"], text_cfg=text, quick_gelu=True)
    made.visual = torch.nn.Identity()  # type: ignore[assignment]
    count = sum(p.numel() for p in made.parameters())
    size = TextGeometry(hidden=512, patch=0, side=0, dim=64, quick=True, text=count, context=16, **sizes)
    for spec in (
        Full(towers="both"),
        Lora(rank=4, towers="both"),
        LayerNorm(towers="both"),
        Bias(towers="both"),
        LastBlocks(),
    ):
        network = spec.apply(made, 0).network.train()
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        assert demands(spec, size).trained == trained - (1 if isinstance(spec, Full) else 0)
        if isinstance(spec, Full | Lora):
            four, two = (_saved(network, texts) for texts in (4, 2))
            measured = (four - two) / 2
            assert kept(size, demands(spec, size), settings(), "cpu") == pytest.approx(measured, rel=0.1)


def _saved(network: nn.Module, texts: int) -> int:
    tokens = torch.ones(texts, 16, dtype=torch.int64)
    return saved_by(network, lambda: network.encode_text(tokens), nullcontext())  # type: ignore[operator]


def test_both_towers_take_more_memory_by_what_the_text_tower_has() -> None:
    from gelo.models.backbones.geometry import geometry

    size, text = geometry("ViT-B/16"), text_geometry("ViT-B/16")
    assert size is not None and text is not None and text.text == size.text == 63_428_097
    alone = Plan(size, Full(), settings(batch=64), 2, where="cuda")
    beside = Plan(size, Full(towers="both"), settings(batch=64), 2, where="cuda", text=text)
    assert beside.trained == size.vision + size.text and beside.texts == 16
    more = sum(beside.footprint().parts.values()) - sum(alone.footprint().parts.values())
    kept_for_texts = 16 * kept(text, demands(Full(), text), settings(), "cuda")
    assert more == pytest.approx(16 * size.text + kept_for_texts), "weights, gradients and two moments, in four bytes"
    assert Plan(size, Lora(rank=8, towers="both"), settings(), 2, text=text).trained == 8 * 2 * 2 * (768 + 512) * 12 + 1
    assert beside.operations() > alone.operations()
