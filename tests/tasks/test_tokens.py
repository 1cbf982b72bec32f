"""Prompts that a tokenizer cuts, and texts that become the same tokens: open_clip's kinds of tokenizers, against their untruncated ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.records import Record
from gelo.tasks.data.tokens import ask, asked, flaw_of
from gelo.tasks.data.write import write_dataset
from gelo.tasks.mini.prompts import PROMPTS
from gelo.tasks.prepare.names import names_of, templates_of

LENGTH = 12
BPE = SimpleTokenizer(context_length=LENGTH)
WORDS = ["cat", "dog", "photo", "of", "a", "the", "red", "blue"]


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of whole words in lower case, saved as a hub has them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="[CLS]", eos_token="[SEP]", **names).save_pretrained(
        folder
    )
    return folder


def one(name: str, template: str = "{}") -> Prompts:
    return Prompts((name, "another thing"), (template,))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, "caterpillar", "1999", "!", "Ünïcode"]), min_size=1, max_size=3 * LENGTH))
def test_a_prompt_is_cut_exactly_when_its_ids_and_two_marks_are_more_than_fit(words: list[str]) -> None:
    text = " ".join(words)
    assert ("cut by the tokenizer" in flaw_of(BPE, one(text))) == (len(BPE.encode(text)) + 2 > LENGTH)


@pytest.mark.parametrize("kind", ["standard", "clips", "stripped", "left"])
def test_tokenizers_of_hugging_face_are_told_by_their_untruncated_ids(hugging_face: Path, kind: str) -> None:
    given: dict[str, Any] = {"clips": {"tokenizer_mode": "clips"}, "stripped": {"strip_sep_token": True}}.get(kind, {})
    tokenizer = HFTokenizer(str(hugging_face), context_length=LENGTH, **given)
    if kind == "left":
        tokenizer.tokenizer.padding_side = "left"
    marks = 3 if kind == "clips" else 2
    for count in range(1, 3 * LENGTH):
        text = " ".join(WORDS[at % len(WORDS)] for at in range(count))
        whole = len(tokenizer.tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"])
        assert ("cut" in flaw_of(tokenizer, one(text))) == (whole + marks > LENGTH), (kind, count)


def test_a_tokenizer_that_drops_words_rather_than_the_end_is_seen() -> None:
    tokenizer = SimpleTokenizer(context_length=LENGTH, reduction_mask="simple")
    assert flaw_of(tokenizer, one("cat " * 5)) == ""
    assert "cut" in flaw_of(tokenizer, one("cat " * 30))


def test_class_and_template_are_named_once_with_a_count() -> None:
    prompts = Prompts(("cat", "very " * 20 + "long", "dog " * 4), ("a {}", "a photo of a good large {} in the wild"))
    said = flaw_of(BPE, prompts)
    assert said.startswith(f"3 of 6 prompts are cut by the tokenizer, which takes {LENGTH} tokens: ")
    assert "'dog dog dog dog ' in 'a photo of a good large {} in the wild'" in said and "'cat'" not in said
    many = flaw_of(BPE, Prompts(tuple(f"{n} " + "word " * 20 for n in range(100)), ("{}",)))
    assert many.startswith("100 of 100 prompts are cut") and "; and 97 more" in many and len(many) < 900


@pytest.mark.parametrize("pair", [("Dog", "dog"), ("a  cat", "a cat"), ("café", "cafe\u0301"), ("R&amp;B", "R&B")])
def test_texts_that_differ_with_equal_tokens_are_named(pair: tuple[str, str]) -> None:
    prompts = Prompts((pair[0], "a third", pair[1]), ("a photo of {}", "{}"))
    ids = [BPE.encode(name) for name in pair]
    assert ids[0] == ids[1], "what this test stands on"
    assert flaw_of(BPE, prompts) == f"2 classes become the same tokens as another: {pair[0]!r} = {pair[1]!r}"


def test_words_that_a_tokenizer_does_not_know_are_the_same_to_it(hugging_face: Path) -> None:
    tokenizer = HFTokenizer(str(hugging_face), context_length=LENGTH)
    said = flaw_of(tokenizer, Prompts(("cat", "axolotl", "ocelot", "dog"), ("a photo of a {}",)))
    assert said == "2 classes become the same tokens as another: 'axolotl' = 'ocelot'"


@pytest.mark.slow
def test_what_gelo_and_the_publishers_ask_is_whole_and_told_apart() -> None:
    """77 tokens for the official lists; ImageNet has two pairs of classes of one name, which is its publisher's matter."""
    clip, mini = SimpleTokenizer(), load_backbone("mini-s").tokenizer
    for name, prompts in PROMPTS.items():
        assert flaw_of(mini, prompts) == "", name
    for name in ("flowers102", "gtsrb", "country211", "mnist"):
        assert flaw_of(clip, Prompts(names_of(name), templates_of(name, names_of(name)))) == "", name
    assert flaw_of(clip, Prompts(names_of("imagenet"), templates_of("imagenet")[:2])) == ""


def dataset(root: Path, name: str, classes: tuple[str, ...]) -> Dataset:
    splits = {"test": [Record(f"r{n}", b"", n) for n in range(len(classes))]}
    return write_dataset(
        root / name,
        name=name,
        version="1",
        scale="full",
        classes=classes,
        splits=splits,
        source="a test",
        licence="none",
    )


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.set_num_threads(1)
    return load_backbone("mini-s")


def test_a_set_is_asked_or_has_a_reason_that_is_found_once(encoder: Encoder, tmp_path: Path, monkeypatch: Any) -> None:
    text, cache = encoder.text_fingerprint, tmp_path / "cache"
    good = dataset(tmp_path, "good", ("red", "blue"))
    ask(encoder, good, cache)
    blocks, reason = asked(text, good, cache)
    assert reason == "" and blocks is not None
    for block, name in zip(blocks, ("red", "blue"), strict=True):
        np.testing.assert_array_equal(block, encoder.encode_texts([f"a photo of a {name}."]))
    for name, classes, said in (
        ("long", ("red", "blue " * 30), "cut by the tokenizer, which takes 24 tokens"),
        ("alike", ("Red", "red"), "the same tokens"),
        ("twice", ("red", "red", "blue"), "several classes have one text: 'red'"),
        ("single", ("red",), "1 class, at least 2 needed"),
        ("none", (), "0 classes, at least 2 needed"),
    ):
        odd = write_dataset(
            tmp_path / name, name=name, version="1", scale="full", classes=classes, source="a test", licence="none",
            splits={"test": [Record("r", b"", 0)]},
        )  # fmt: skip
        ask(encoder, odd, cache)
        blocks, reason = asked(text, odd, cache)
        assert blocks is None and said in reason, name
    monkeypatch.setattr("gelo.tasks.data.tokens.flaw_of", lambda *given: pytest.fail("the tokenizer was asked twice"))
    ask(encoder, good, cache)
