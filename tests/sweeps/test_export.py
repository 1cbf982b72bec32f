"""`gelo export`: what open_clip, transformers, peft and onnxruntime load from a fresh folder has the features of the trial."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from upath import UPath

from gelo.api import load
from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, adapt
from gelo.models.backbones.zoo import load_backbone
from gelo.models.durable import DONE, publish_folder
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.heads import Binary, CosFace
from gelo.sweeps.exchange.export import export
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.spec.sweep import parse_spec
from gelo.sweeps.state.folder import SweepFolder, TrialFolder
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.results import Result
from gelo.tasks.training.preprocess import transforms

MINI, LORA = "mini-s", Lora(rank=4, alpha=6.0)
TRAINING = {
    "data": "faces", "epochs": 1, "batch": 32, "lr_backbone": 1e-3, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
    "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip",
}  # fmt: skip


def trained(base: Encoder, place: Path, adaptation: AdaptationSpec, *, detector: str = "") -> Trial:
    """A trial's folder as `train` leaves it, its weights moved at random."""
    training = {**TRAINING, **({"data": "morphs", "preprocess": detector} if detector else {})}
    trial = Trial.model_validate(
        {"backbone": base.name, "task": "morphs" if detector else "faces", "collection": "miniature", "adaptation": adaptation,
         "head": Binary() if detector else CosFace(), "training": training, "seed": 3}
    )  # fmt: skip
    model = adapt(base.visual, adaptation, 0)
    torch.manual_seed(1)
    model.load({name: tensor + 0.03 * torch.randn(tensor.shape) for name, tensor in model.state().items()})
    tower, folder = model.publish(), TrialFolder(UPath(place))
    vision = tower.encoder(base).vision_fingerprint
    head = (
        {"weight": torch.randn(2, base.dim), "bias": torch.randn(2)}
        if detector
        else {"kernel": torch.randn(base.dim, 5)}
    )
    place.mkdir(parents=True, exist_ok=True)
    (place / "trial.json").write_text(json.dumps(trial.document()))
    with publish_folder(folder.trained) as made:
        tower.save(made)
        save_file(head, made / "head.safetensors")
        document = {
            "vision": vision,
            "detector": vision,
            "base": base.vision_fingerprint,
            "data": "0" * 16,
            "train_seconds": 12.0,
        }
        (made / "training.json").write_text(json.dumps(document))
    return trial


def taken(name: str | Path, to: Path, *formats: str, storage: Path | None = None, **more: Any) -> dict[str, Any]:
    return export(str(name), to, formats, None, Settings(storage=str(storage or to.parent)), **more)


def noise(size: int, images: int = 5) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (images, size, size, 3), dtype=np.uint8)


def apart(ours: np.ndarray, theirs: Any) -> float:
    """Largest difference, of the length of the longest feature."""
    return float(np.abs(ours - np.asarray(theirs.detach())).max() / np.linalg.norm(ours, axis=1).max())


@pytest.fixture(scope="module")
def base() -> Encoder:
    return load_backbone(MINI)


@pytest.fixture(scope="module")
def left(base: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders `lora` and `lora-out`, exported once."""
    place = tmp_path_factory.mktemp("left")
    trained(base, place / "lora", LORA)
    taken(place / "lora", place / "lora-out")
    return place


def test_open_clip_loads_the_same_features(left: Path, base: Encoder) -> None:
    """By folder, and by architecture and file; image and text; behind the same transform."""
    ours, texts = load(left / "lora"), ["a red circle", "a photo of a face"]
    images = noise(64)
    pixels, tokens = ours.transform.normalise(torch.from_numpy(images)), ours.tokenizer(texts)
    whole, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{left / 'lora-out'}")
    named, _, _ = open_clip.create_model_and_transforms(
        MINI, pretrained=str(left / "lora-out" / "open_clip_model.safetensors")
    )
    for model in (whole.eval(), named.eval()):
        assert apart(ours.encode_images(images), model.encode_image(pixels)) <= 1e-6
        assert apart(ours.encode_texts(texts), model.encode_text(tokens)) <= 1e-6
    assert apart(base.encode_images(images), torch.from_numpy(ours.encode_images(images))) > 1e-2, "the trial moved"
    picture = Image.fromarray(noise(90)[0][:70])
    assert torch.equal(
        preprocess(picture)[None], ours.transform.normalise(torch.from_numpy(ours.transform.to_uint8(picture)[None]))
    )


def test_transformers_loads_the_same_features(left: Path) -> None:
    from transformers import AutoImageProcessor, CLIPModel

    ours, images, texts = load(left / "lora"), noise(64), ["a red circle", "a photo of a face"]
    model = CLIPModel.from_pretrained(left / "lora-out" / "huggingface").eval()
    with torch.inference_mode():
        pixels = ours.transform.normalise(torch.from_numpy(images))
        assert apart(ours.encode_images(images), model.get_image_features(pixels).pooler_output) <= 1e-6
        assert apart(ours.encode_texts(texts), model.get_text_features(ours.tokenizer(texts)).pooler_output) <= 1e-6
    processor = AutoImageProcessor.from_pretrained(left / "lora-out" / "huggingface", backend="pil")
    picture = Image.fromarray(noise(90)[0][:70])
    shown = ours.transform.normalise(torch.from_numpy(ours.transform.to_uint8(picture)[None]))
    torch.testing.assert_close(processor(picture, return_tensors="pt")["pixel_values"], shown, rtol=0, atol=1e-6)


def test_peft_puts_the_adapter_on_the_base(left: Path, base: Encoder, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel
    from transformers import CLIPModel

    taken(MINI, tmp_path / "base", "huggingface")
    clip = CLIPModel.from_pretrained(tmp_path / "base" / "huggingface")
    model, images = PeftModel.from_pretrained(clip, left / "lora-out" / "peft").eval(), noise(64)
    ours = load(left / "lora").encode_images(images)
    pixels = base.transform.normalise(torch.from_numpy(images))
    with torch.inference_mode():
        assert apart(ours, model.base_model.model.get_image_features(pixels).pooler_output) <= 1e-5
        merged = model.merge_and_unload()
        assert apart(ours, merged.get_image_features(pixels).pooler_output) <= 1e-5
    said = LoraConfig.from_pretrained(left / "lora-out" / "peft")
    assert (said.r, said.lora_alpha, said.use_rslora) == (LORA.rank, LORA.alpha, True)
    tensors = load_file(left / "lora-out" / "peft" / "adapter_model.safetensors")
    layers = 5 * 2  # blocks, q and v
    assert sum(tensor.numel() for tensor in tensors.values()) == layers * 2 * LORA.rank * 160


def test_what_is_no_adapter_is_not_made_one(left: Path, base: Encoder, tmp_path: Path) -> None:
    trained(base, tmp_path / "full", Full())
    assert set(taken(tmp_path / "full", tmp_path / "out")["files"]) == {"open_clip", "huggingface"}
    with pytest.raises(UserError, match=r"--format peft: adapted by full; expected a trial adapted by lora"):
        taken(tmp_path / "full", tmp_path / "other", "peft")
    assert not (tmp_path / "other").exists()


def test_a_tower_that_does_not_merge_is_refused_but_for_onnx(base: Encoder, tmp_path: Path) -> None:
    trained(base, tmp_path / "experts", LoraExperts(rank=2))
    with pytest.raises(UserError) as refused:
        taken(tmp_path / "experts", tmp_path / "out")
    assert [fault.where for fault in refused.value.faults] == ["--format open_clip", "--format huggingface"]
    assert "lora_experts around it, which does not merge" in str(refused.value) and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_onnxruntime_has_the_same_features(base: Encoder, tmp_path: Path) -> None:
    """Of a tower that nothing else can load, in one batch and in another, and by the lines of its card."""
    trained(base, tmp_path / "experts", LoraExperts(rank=2))
    assert taken(tmp_path / "experts", tmp_path / "out", "onnx")["files"] == {"onnx": ["vision.onnx"]}
    session = onnxruntime.InferenceSession(tmp_path / "out" / "vision.onnx")
    ours = load(tmp_path / "experts")
    for count in (1, 5, 7):
        images = noise(64, count)
        pixels = ours.transform.normalise(torch.from_numpy(images)).numpy()
        (features,) = session.run(["features"], {"pixels": pixels})
        assert apart(ours.encode_images(images), torch.from_numpy(features)) <= 1e-4
    (told,) = said_by(lines(tmp_path / "out" / "README.md"), tmp_path / "out").values()
    photo = ours.transform.to_uint8(Image.open(tmp_path / "out" / "photo.jpg"))
    assert apart(ours.encode_images(photo[None]), torch.tensor(told)) <= 1e-4


def test_a_missing_package_of_onnx_is_one_line(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gelo.models.exchange import vision_onnx

    monkeypatch.setattr(vision_onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"no onnx, onnxruntime, onnxscript here; .*pip install 'gelo-sweeps\[onnx\]'"):
        taken(left / "lora", tmp_path / "out", onnx=True)


def test_nothing_is_written_over_and_nothing_half_made(left: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").touch()
    (tmp_path / "file").touch()
    for to, said in (
        ("mine", "a folder with files in it"),
        ("file", "something that is no folder"),
        ("file/in", "is a file"),
    ):
        with pytest.raises(UserError, match=said):
            taken(left / "lora", tmp_path / to)
    with pytest.raises(UserError, match="an address; expected a folder of this machine"):
        export(str(left / "lora"), Path("s3://bucket/x"), (), None, Settings())
    with pytest.raises(UserError, match=r"unknown format 'onx'.*nearest: onnx"):
        taken(left / "lora", tmp_path / "new", "onx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "mine"]
    (tmp_path / "empty").mkdir()
    taken(left / "lora", tmp_path / "empty", "open_clip")
    assert (tmp_path / "empty" / DONE).exists() and (
        tmp_path / "empty" / "open_clip_model.safetensors"
    ).stat().st_mode & 0o044


def test_features_that_differ_are_never_kept(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is one: of other weights it fails, and leaves nothing."""
    from gelo.models.exchange import openclip

    def other(encoder: Encoder) -> dict[str, torch.Tensor]:
        return {n: t + (1e-3 if n == "visual.ln_post.bias" else 0) for n, t in honest(encoder).items()}

    honest = openclip.state_of
    monkeypatch.setattr(openclip, "state_of", other)
    with pytest.raises(UserError, match=r"images by open_clip.*features that differ by"):
        taken(left / "lora", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def lines(page: Path) -> dict[str, str]:
    """The snippets of a card by title."""
    shown = re.findall(r"^([^\n]+:)\n\n```python\n(.*?)\n```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return dict(shown)


def said_by(snippets: dict[str, str], folder: Path) -> dict[str, Any]:
    """What each makes of `photo.jpg`, one after the other in a Python that does not have gelo."""
    Image.fromarray(noise(90)[0][:70]).resize((210, 180)).save(folder / "photo.jpg", quality=95)
    script = ["import json", "told = {}"]
    for title, code in snippets.items():
        value = "score" if "detector" in title else "np.asarray(image_features).tolist()"
        script += [code, "import numpy as np", f"told[{title!r}] = {value}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join([*script, "print(json.dumps(told))"])],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["morph", "spoof"])
def test_the_cards_own_lines_give_the_features(detector: str, base: Encoder, tmp_path: Path) -> None:
    """Beside what gelo makes of the same photo."""
    trial = trained(base, tmp_path / "trial", LORA, detector=detector)
    every = detector == "morph"  # the other's detector alone: transformers and peft take their time
    taken(tmp_path / "trial", tmp_path / "out", *([] if every else ["open_clip"]))
    if every:
        taken(MINI, tmp_path / "base", "huggingface")
    found = lines(tmp_path / "out" / "README.md")
    assert len(found) == (4 if every else 2)
    told = said_by(found, tmp_path / "out")
    ours, photo = load(tmp_path / "trial"), Image.open(tmp_path / "out" / "photo.jpg")
    features = ours.encode_images(ours.transform.to_uint8(photo)[None])
    score = told.pop("The detector, with open_clip:")
    assert {title: apart(features, torch.tensor(each)) <= 1e-4 for title, each in told.items()} == dict.fromkeys(
        told, True
    )
    other = ours.with_transform(transforms(trial.preprocess, ours.transform).test)
    seen = torch.nn.functional.normalize(torch.from_numpy(other.encode_images(other.transform.to_uint8(photo)[None])))
    head = load_file(tmp_path / "trial" / "trained" / "head.safetensors")
    assert score == pytest.approx(float((seen @ head["weight"].T + head["bias"]).softmax(1)[0, 1]), abs=1e-4)


def test_the_card_tells_what_the_sweep_measured_and_nothing_else(base: Encoder, tmp_path: Path) -> None:
    spec = parse_spec({"name": "mine", "backbones": [MINI], "tasks": {"faces": {"adaptation": {"lora": {"rank": 4}}}},
                       "datasets": ["shapes", "flags"], "evaluate": ["zero_shot", "biometric"]}, "a test")  # fmt: skip
    folder = SweepFolder(UPath(tmp_path), "mine")
    folder.save(spec, {"data": str(tmp_path / "data")}, ["faces", "shapes", "flags"])
    untouched, tuned = spec.trials()
    root = Path(str(folder.trial(tuned).root))
    trained(base, root, tuned.adaptation)  # type: ignore[arg-type]
    (root / "trial.json").write_text(json.dumps(tuned.document()))
    page = card(tuned, tmp_path, "unscored")
    assert "Nothing is told here: nothing was scored yet" in page and "GELO" not in page
    vision = folder.trial(tuned).training()["vision"]
    for trial, of, values in ((untouched, base.vision_fingerprint, (0.9, 0.8, 0.7)), (tuned, vision, (0.8, 0.7, 0.95))):
        saved = [("zero_shot", "shapes", "top1"), ("zero_shot", "flags", "top1"), ("fr", "pairs", "accuracy")]
        for (suite, dataset, leaf), value in zip(saved, values, strict=True):
            put(folder.trial(trial), suite, dataset, leaf, value, of)
    page = card(tuned, tmp_path, "scored")
    assert "| zero_shot/mean_2/top1 | 85.00 | 75.00 | -10.00 | GELO 0.882 |" in page
    assert "| fr/pairs/accuracy | 70.00 | 95.00 | +25.00 | 95 % interval 90.00 to 99.00 |" in page
    assert "**MINIATURE.**" in page and "on **miniature** data" in page
    put(folder.trial(tuned), "zero_shot", "flags", "top1", 0.99, "f" * 16)
    page = card(tuned, tmp_path, "stale")
    assert "its results are of other weights" in page and "GELO" not in page


def card(trial: Trial, storage: Path, to: str) -> str:
    taken(f"mine/{trial.key}", storage / to, "open_clip", storage=storage)
    return (storage / to / "README.md").read_text()


def put(folder: TrialFolder, suite: str, dataset: str, leaf: str, value: float, vision: str) -> None:
    name = f"{suite}/{dataset}/{leaf}"
    intervals = {name: (0.9, 0.99)} if value == 0.95 else {}
    protocol = {"zero_shot": "zero_shot", "fr": "verification"}[suite]
    result = Result(
        suite=suite, dataset=dataset, protocol=protocol, protocol_version=1, scale="miniature", values={name: value},
        intervals=intervals, counts={"images": 100}, vision=vision, notes={"leak": "none found"},
    )  # fmt: skip
    place = Path(str(folder.root)) / "results" / suite
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{dataset}.json").write_text(result.model_dump_json())
