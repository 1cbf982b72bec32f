"""A trial whose text tower trained is asked, scored, merged, exported and told of with that tower, never with the base's."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from upath import UPath

from gelo.api import load
from gelo.models.adapt import Full, Lora
from gelo.models.backbones.registry import resolve
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary
from gelo.models.remedies import FLYP, Remedy, Stack, Wise
from gelo.sweeps.exchange.export import export
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.stages.embed import Subject, embed_jobs, jobs_of, subject_of
from gelo.sweeps.stages.finish import finish
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.state.preflight import preflight
from gelo.tasks.data.asking import named_prompts
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.mini.prompts import PROMPTS
from tests.sweeps.test_preprocess import picture

PAIRS = [("morphs", "morph"), ("morphs", "zero_shot")]


def write(folder: Path, name: str, classes: tuple[str, ...]) -> Dataset:
    def records(split: str, count: int, first: int) -> list[Record]:
        columns = [{"subject": f"s{n % 5}", "attack": "bona_fide" if n % 2 else "warp"} for n in range(count)]
        return [Record(f"{split}/{n}", picture(first + n), n % 2, columns[n]) for n in range(count)]

    return write_dataset(
        folder / name, name=name, version="1", scale="miniature", classes=classes, columns=("subject", "attack"),
        splits={"train": records("train", 36, 0), "test": records("test", 24, 1000)}, source="a test", licence="Apache-2.0",
    )  # fmt: skip


def trial(remedy: Remedy, adaptation: Any = None) -> Trial:
    settings = {
        "data": "morphs", "epochs": 1, "batch": 12, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip", "preprocess": "morph",
    }  # fmt: skip
    return Trial(
        backbone="mini-s", task="morphs", collection="miniature", adaptation=adaptation or Full(towers="both"), head=Binary(),
        remedy=remedy, training=Training.model_validate(settings),
    )  # fmt: skip


HALF = Stack(remedies=(FLYP(), Wise(alpha=0.5)))


@dataclass(frozen=True)
class World:
    base: Encoder
    dataset: Dataset
    root: Path

    def folder(self, of: Trial) -> TrialFolder:
        return TrialFolder(UPath(self.root / "trials" / of.key))

    def scored(self, of: Trial) -> Subject:
        made = subject_of(of, self.folder(of), self.base, None)
        jobs = jobs_of([made], {"morphs": self.dataset}, PAIRS)
        ready, faults = embed_jobs(jobs, {"mini-s": self.base}, self.root / "cache", "local")
        assert len(ready) == len(jobs) and not faults + score_jobs(jobs, self.root / "cache", "local")
        return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A trial with FLYP on both towers, and the same with half of it given back."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("world")
    made = World(load_backbone("mini-s"), write(root / "data", "morphs", ("a morph", "a face")), root)
    of = trial(FLYP())
    folder = made.folder(of)
    folder.root.mkdir(parents=True)
    assert train(of, made.base, made.dataset, root / "cache", folder)
    finish(trial(HALF), made.base, made.folder)
    for each in (of, trial(HALF)):
        (made.folder(each).root / "trial.json").write_text(json.dumps(each.document()))
    return made


def bona_fide(images: Encoder, texts: Encoder, scale: float) -> np.ndarray:
    """softmax(scale * cosines)[genuine] of the test images and the mean prompts of both classes, written out."""
    shown = [images.transform.to_uint8(Image.open(io.BytesIO(picture(1000 + n)))) for n in range(24)]
    features = images.encode_images(np.stack(shown)).astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    columns = []
    for of_class in PROMPTS["morphs"].texts():
        block = texts.encode_texts(of_class).astype(np.float64)
        mean = (block / np.linalg.norm(block, axis=1, keepdims=True)).mean(0)
        columns.append(mean / np.linalg.norm(mean))
    chances: np.ndarray = 1 / (1 + np.exp(-scale * (features @ (columns[1] - columns[0]))))
    return chances


def test_results_are_of_its_own_texts_and_its_own_logit_scale(world: World) -> None:
    subject, trained = world.scored(trial(FLYP())), load(Path(str(world.folder(trial(FLYP())).root)))
    assert subject.text == trained.text_fingerprint != world.base.text_fingerprint
    assert subject.logit_scale == trained.logit_scale != world.base.logit_scale
    results = [subject.folder.result(suite, "morphs") for suite in ("mad", "mad_text", "zero_shot")]
    assert {result.text for result in results if result is not None} == {subject.text}
    found = (
        pq.read_table(str(subject.folder.root / "results" / "mad_text" / "morphs.parquet")).column("score").to_numpy()
    )
    np.testing.assert_allclose(found, bona_fide(trained, trained, trained.logit_scale), atol=1e-6)
    for texts, scale in ((world.base, trained.logit_scale), (trained, world.base.logit_scale)):
        assert np.abs(found - bona_fide(trained, texts, scale)).max() > 1e-5, (
            "with the base's it would be another number"
        )


def test_what_is_of_another_text_tower_is_scored_again(world: World) -> None:
    subject = world.scored(trial(FLYP()))
    assert jobs_of([subject], {"morphs": world.dataset}, PAIRS) == []
    other = replace(subject, text=world.base.text_fingerprint)
    assert {job.protocol for job in jobs_of([other], {"morphs": world.dataset}, PAIRS)} == {"morph", "zero_shot"}
    with pytest.raises(UserError, match="weights changed"):
        replace(subject.ref, text="0" * 16).load()


def test_half_of_both_towers_is_given_back(world: World) -> None:
    one, half = (world.folder(trial(remedy)) for remedy in (FLYP(), HALF))
    for group, start in (("text", world.base.text_state()), ("encoder", world.base.visual_state())):
        end, now = (load_file(Path(str(folder.trained)) / f"{group}.safetensors") for folder in (one, half))
        for name, tensor in now.items():
            torch.testing.assert_close(tensor, (start[name] + end[name]) / 2, rtol=1e-5, atol=1e-6)
    subject = world.scored(trial(HALF))
    assert subject.text == half.training()["text"] != one.training()["text"]
    assert one.training()["base text"] == world.base.text_fingerprint


def test_from_another_text_tower_nothing_goes_on(world: World, tmp_path: Path) -> None:
    of = trial(FLYP())
    moved = world.base.with_text({n: t + 0.01 for n, t in world.base.text_state().items()})
    stops = iter([True])
    folder = TrialFolder(UPath(tmp_path / "a"))
    assert not train(
        of, world.base, world.dataset, world.root / "cache", folder, should_stop=lambda: next(stops, False)
    )
    with pytest.raises(UserError, match=rf"base text: made from {world.base.text_fingerprint}"):
        train(of, moved, world.dataset, world.root / "cache", folder)
    with pytest.raises(UserError, match="base text"):
        finish(trial(HALF), moved, world.folder)


def test_with_the_vision_tower_alone_texts_stay_the_bases(world: World, tmp_path: Path) -> None:
    of, folder = trial(FLYP(), Lora(rank=2)), TrialFolder(UPath(tmp_path))
    assert train(of, world.base, world.dataset, world.root / "cache", folder)
    assert not {"text", "logit_scale"} & folder.training().keys()
    assert folder.training()["base text"] == world.base.text_fingerprint, "its loss depends on it"
    assert not (Path(str(folder.trained)) / "text.safetensors").exists()
    assert subject_of(of, folder, world.base, None).text == world.base.text_fingerprint


def test_it_is_exported_with_its_own_texts(world: World, tmp_path: Path) -> None:
    from transformers import CLIPModel

    place, texts = Path(str(world.folder(trial(FLYP())).root)), ["a red circle", "a photo of a face"]
    ours = load(place)
    facts = export(str(place), tmp_path / "out", (), None, Settings(storage=str(tmp_path)))
    tokens, features = ours.tokenizer(texts), ours.encode_texts(texts)
    assert np.abs(features - world.base.encode_texts(texts)).max() > 1e-3
    clip = open_clip.create_model(f"local-dir:{tmp_path / 'out'}").eval()
    theirs = CLIPModel.from_pretrained(tmp_path / "out" / "huggingface").eval()
    with torch.inference_mode():
        np.testing.assert_allclose(clip.encode_text(tokens).numpy(), features, atol=1e-5)
        np.testing.assert_allclose(theirs.get_text_features(tokens).pooler_output.numpy(), features, atol=1e-5)
    assert clip.logit_scale.exp().item() == theirs.logit_scale.exp().item() == pytest.approx(ours.logit_scale)
    assert facts["fingerprints"]["text"] == ours.text_fingerprint
    assert facts["fingerprints"]["base text"] == world.base.text_fingerprint
    page = (tmp_path / "out" / "README.md").read_text()
    assert "its image and text towers fine-tuned" in page and "untouched, so" not in page


def test_no_adapter_holds_a_text_tower(world: World, tmp_path: Path) -> None:
    of, folder = trial(FLYP(), Lora(rank=2, towers="both")), TrialFolder(UPath(tmp_path / "trial"))
    assert train(of, world.base, world.dataset, world.root / "cache", folder)
    (tmp_path / "trial" / "trial.json").write_text(json.dumps(of.document()))
    settings = Settings(storage=str(tmp_path))
    with pytest.raises(UserError, match=r"--format peft: a text tower and a logit scale of its own"):
        export(str(tmp_path / "trial"), tmp_path / "peft", ("peft",), None, settings)
    assert set(export(str(tmp_path / "trial"), tmp_path / "out", (), None, settings)["files"]) == {
        "open_clip",
        "huggingface",
    }


def faults(adaptation: Any, remedy: Any = "none", backbone: str = "mini-s") -> list[str]:
    tasks = {"faces": {"adaptation": adaptation, "remedy": remedy}}
    try:
        parse_spec({"name": "mine", "backbones": [backbone], "tasks": tasks}, "mine.yaml")
    except UserError as error:
        return [str(fault) for fault in error.faults]
    return []


BOTH = {"towers": "both"}


def test_a_text_tower_that_nothing_trains_is_refused_before_anything_starts() -> None:
    for remedy in ("none", "distill", {"wise": {}}):
        first = faults({"full": BOTH}, remedy)[0]
        assert "nothing would train the text tower" in first and "flyp" in first and "add one" in first
    assert faults({"full": BOTH}, "flyp") == faults({"lora": BOTH}, [["flyp", "distill", {"wise": {}}]]) == []
    (fault,) = faults({"full": BOTH}, [["flyp", "retrieval"]])
    assert "retrieval, which changes the vision tower alone, with full of both towers" in fault
    assert faults("full", "flyp") == []


def test_what_has_no_text_tower_to_train_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for kind in ("dora", "pissa", "layernorm", "bias", "last_blocks"):
        assert faults({kind: BOTH}, "flyp") == []
    for kind in ("lora_experts", "lp_ft", "linear", "none"):
        (fault,) = faults({kind: BOTH}, "flyp")
        assert f"key 'towers' of {kind}, which adapts the vision tower alone; expected one of full" in fault
    (fault,) = faults({"full": BOTH}, "flyp", "ViT-B-16-SigLIP")
    assert "both, where no text tower of open_clip's own CLIP is" in fault
    (fault,) = faults({"last_blocks": {"blocks": 3, **BOTH}}, "flyp")
    assert "text tower.blocks: 3 blocks; expected 1 to 2" in fault
    state = load_file(str(resolve("mini-s").weights_path()))
    save_file({n: t for n, t in state.items() if n.startswith("visual.")}, tmp_path / "eye.safetensors")
    for adaptation, told in (({"full": BOTH}, "full of both towers"), ("full", "flyp")):
        tasks = {"faces": {"adaptation": adaptation, "remedy": "flyp"}}
        raw = {"name": "mine", "backbones": ["mini-s"], "weights": {"mini-s": str(tmp_path / "eye.safetensors")}}
        found = preflight(parse_spec({**raw, "tasks": tasks}, "mine.yaml"), Settings(storage=str(tmp_path)))
        assert f"backbones.mini-s: a vision tower alone, with {told}; expected weights of both towers" in map(
            str, found
        )


@pytest.mark.parametrize(
    ("name", "classes", "named"),
    [
        ("morphs", ("a morph", "a face"), True), ("mine", ("tabby cat", "dog"), True), ("people", ("p000", "p001"), False),
        ("numbers", ("0", "1"), False), ("mids", ("m.0a4", "m.02x"), False), ("nobody", (), False),
    ],
)  # fmt: skip
def test_identities_have_no_names(name: str, classes: tuple[str, ...], named: bool, tmp_path: Path) -> None:
    assert (named_prompts(write(tmp_path, name, classes)) is not None) is named
