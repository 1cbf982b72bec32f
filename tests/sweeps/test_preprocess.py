"""A detector trained behind its paper's transform is tested behind it; everything general is seen as the backbone sees it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from upath import UPath

from gelo.models.adapt import Full
from gelo.models.backbones.zoo import load_backbone
from gelo.models.encoder import Encoder
from gelo.models.heads import Binary
from gelo.sweeps.stages.embed import Subject, embed_jobs, jobs_of, subject_of
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.stages.train import train
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset, read_chunk
from gelo.tasks.data.records import Record
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.protocols.heads import head_scores
from gelo.tasks.training.preprocess import transforms

PAIRS = [("morphs", "morph"), ("morphs", "zero_shot")]


def picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (80, 70, 3), dtype=np.uint8)
    pixels[..., 2 * (number % 2)] //= 4  # the classes differ in colour: the order of the channels matters
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    def records(split: str, count: int) -> list[Record]:
        columns = [{"subject": f"s{n % 5}", "attack": "bona_fide" if n % 2 else "warp"} for n in range(count)]
        first = {"train": 0, "test": 1000}[split]
        return [Record(f"{split}/{n}", picture(first + n), n % 2, columns[n]) for n in range(count)]

    return write_dataset(
        tmp_path_factory.mktemp("data") / "morphs", name="morphs", version="1", scale="miniature", classes=("a morph", "a face"),
        columns=("subject", "attack"), splits={"train": records("train", 36), "test": records("test", 24)}, source="a test",
        licence="Apache-2.0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Encoder:
    torch.set_num_threads(1)
    return load_backbone("mini-s")


def trial(**changes: object) -> Trial:
    settings = {
        "data": "morphs", "epochs": 1, "batch": 12, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip", "preprocess": "morph",
    }  # fmt: skip
    return Trial(
        backbone="mini-s", task="morphs", collection="miniature", adaptation=Full(), head=Binary(),
        training=Training.model_validate(settings | changes),
    )  # fmt: skip


@pytest.fixture(scope="module")
def subject(dataset: Dataset, base: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Trained behind MADation's transform, and scored."""
    place = tmp_path_factory.mktemp("sweep")
    folder = TrialFolder(UPath(place / "trial"))
    assert train(trial(), base, dataset, place / "cache", folder)
    made = subject_of(trial(), folder, base, None)
    jobs = jobs_of([made], {"morphs": dataset}, PAIRS)
    assert {job.suites: job.ref.transform is None for job in jobs} == {
        ("mad_text",): True,
        ("mad",): False,
        ("zero_shot",): True,
    }
    ready, faults = embed_jobs(jobs, {"mini-s": base}, place / "cache", "local")
    assert len(ready) == len(jobs) and all(job in ready for job in jobs)
    assert not faults + score_jobs(jobs, place / "cache", "local")
    return made


def seen(encoder: Encoder, dataset: Dataset, kind: str) -> np.ndarray:
    """Features by Pillow and torch alone: the image as MADation's loader, or CLIP's, hands it on."""
    images = [Image.open(io.BytesIO(data)) for chunk in dataset.chunks("test") for data in read_chunk(chunk)[1]]
    if kind == "morph":
        arrays = [np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))[:, :, ::-1] for image in images]
        pixels = torch.from_numpy(np.stack(arrays).copy()).permute(0, 3, 1, 2).float() / 255
        shown = (pixels - 0.5) / 0.5
    else:
        arrays = [encoder.transform.to_uint8(image) for image in images]
        shown = encoder.transform.normalise(torch.from_numpy(np.stack(arrays)))
    with torch.no_grad():
        return encoder.visual(shown).numpy()


def test_the_detector_sees_what_it_was_trained_on_and_the_rest_what_the_backbone_sees(
    subject: Subject, dataset: Dataset, base: Encoder
) -> None:
    place = Path(str(subject.folder.trained))
    trained = base.with_visual(load_file(place / "encoder.safetensors"))
    head = {name: tensor.numpy() for name, tensor in load_file(place / "head.safetensors").items()}
    expected = head_scores(seen(trained, dataset, "morph"), head["weight"], head["bias"])
    per_image = pq.read_table(str(subject.folder.root / "results" / "mad" / "morphs.parquet"))
    found = per_image.column("score").to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    plain = head_scores(seen(trained, dataset, "backbone"), head["weight"], head["bias"])
    assert np.abs(plain - expected).max() > 1e-3, "the two transforms must differ, or this test shows nothing"
    results = {suite: subject.folder.result(suite, "morphs") for suite in ("mad", "mad_text", "zero_shot")}
    vision = {suite: result.vision for suite, result in results.items() if result is not None}
    assert vision["mad_text"] == vision["zero_shot"] == trained.vision_fingerprint
    shown = transforms("morph", base.transform).test
    assert vision["mad"] == trained.with_transform(shown).vision_fingerprint != trained.vision_fingerprint


def test_nothing_is_left_to_do_and_a_damaged_result_is_made_again(
    subject: Subject, dataset: Dataset, base: Encoder
) -> None:
    assert jobs_of([subject], {"morphs": dataset}, PAIRS) == []
    again = replace(subject, detector=replace(subject.detector, vision="0" * 16))
    assert [job.suites for job in jobs_of([again], {"morphs": dataset}, PAIRS)] == [("mad",)]


def test_keys_of_trials_without_it_are_as_before() -> None:
    assert "preprocess" not in trial(preprocess="backbone").canonical()["training"]
    assert trial(preprocess="backbone").key != trial().key != trial(preprocess="spoof").key


def test_the_papers_transforms(base: Encoder) -> None:
    own = base.transform.model_copy(update={"size": 224})
    assert transforms("backbone", own) == (own, own)
    seen_in_training, shown = transforms("spoof", own)
    assert (seen_in_training.size, shown.size) == (256, 224)
    assert shown.mean == (0.485, 0.456, 0.406) and not shown.antialias and shown.channels == "rgb"
    morph = transforms("morph", own)
    assert morph.train == morph.test
    assert (morph.test.channels, morph.test.mean, morph.test.std) == ("bgr", (0.5,) * 3, (0.5,) * 3)
