"""`gelo import`: a checkpoint in each paper's layout has the features of the papers' own modules, and what is none of them is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from gelo.api import load
from gelo.models.backbones.zoo import load_backbone
from gelo.models.exchange.checkpoint import read_checkpoint
from gelo.models.faults import UserError
from gelo.models.trained import load_tower
from gelo.sweeps.exchange.imported import Asked, Brought, bring
from tests.models.paper_files import header, image_features, published, save

RANKS = {"froundation": 16, "madation": 2, "foundpad": 8}
MEAN = {
    "froundation": (0.48145466, 0.4578275, 0.40821073),
    "madation": (0.5, 0.5, 0.5),
    "foundpad": (0.485, 0.456, 0.406),
}
STD = {
    "froundation": (0.26862954, 0.26130258, 0.27577711),
    "madation": (0.5, 0.5, 0.5),
    "foundpad": (0.229, 0.224, 0.225),
}


@pytest.fixture(scope="module")
def clip() -> torch.nn.Module:
    """open_clip's own model of the miniature's weights: the base that a paper would start from."""
    encoder = load_backbone("mini-s")
    model = open_clip.create_model("mini-s", pretrained=None)
    state = {f"visual.{name}": tensor for name, tensor in encoder.visual_state().items()}
    model.load_state_dict(state | encoder.text.model.state_dict())
    return model.eval()


@pytest.fixture
def files(tmp_path: Path, clip: torch.nn.Module) -> Callable[..., Asked]:
    def made(of: str, *, change: Callable[[dict[str, Any]], Any] | None = None, **said: Any) -> Asked:
        state = published(clip, said.pop("rank", RANKS.get(of)))
        changed = state if change is None else change(state)
        backbone = save(state if changed is None else changed, tmp_path / "40_backbone.pth")
        asked = Asked(backbone, tmp_path / of, alpha=None if "gamma" in said else 4.0)
        if of != "froundation":
            asked = replace(asked, header=save(header(128), tmp_path / "40_header.pth"))
        return replace(asked, **said)

    return made


def pixels(size: int, mean: Any, std: Any, images: np.ndarray) -> torch.Tensor:
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@pytest.mark.parametrize("method", RANKS)
def test_features_are_those_of_the_papers_own_modules(method: str, files: Callable[..., Asked]) -> None:
    """LoRA unmerged, attention by hand, behind the pixels that the paper shows its detector."""
    asked = files(method)
    brought = bring(asked)
    assert brought.spec.rank == RANKS[method] and brought.spec.gamma == pytest.approx(4 / RANKS[method] ** 0.5)
    encoder = load(asked.to)
    images = np.random.default_rng(5).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    state = torch.load(asked.backbone_file, weights_only=True)
    shown = pixels(64, *(values["froundation"] for values in (MEAN, STD)), images)
    with torch.inference_mode():
        theirs = image_features(state, shown, heads=5, gamma=4 / RANKS[method] ** 0.5, quick=False).numpy()
    np.testing.assert_allclose(encoder.encode_images(images), theirs, atol=1e-5 * np.linalg.norm(theirs, axis=1).max())
    assert np.abs(theirs - load_backbone("mini-s").encode_images(images)).max() > 0.1, "the LoRA does something"
    assert "text tower and frozen vision weights: those of mini-s" in brought.remarks


@pytest.mark.parametrize(("method", "bgr"), [("madation", True), ("foundpad", False)])
def test_the_detector_sees_what_its_paper_shows_it(method: str, bgr: bool, files: Callable[..., Asked]) -> None:
    asked = files(method)
    brought = bring(asked)
    from gelo.tasks.training.preprocess import transforms

    base = load_backbone("mini-s")
    shown = transforms(brought.trial.preprocess, base.transform).test
    assert (shown.mean, shown.std) == (MEAN[method], STD[method])
    assert (shown.channels == "bgr") is bgr and shown.resize == "squash"
    head = load_file(asked.to / "trained" / "head.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {"weight": (2, 128), "bias": (2,)}
    made = json.loads((asked.to / "trained" / "training.json").read_text())
    tower = load_tower(asked.to / "trained").encoder(base)
    assert made["vision"] == tower.vision_fingerprint
    assert made["detector"] == tower.with_transform(shown).vision_fingerprint != made["vision"]
    assert brought.trial.task == {"madation": "morphs", "foundpad": "spoofs"}[method]


def test_gamma_is_taken_as_it_is(files: Callable[..., Asked]) -> None:
    """FRoundation's files of before April 2025 have gamma 1 whatever alpha was."""
    brought = bring(files("froundation", gamma=1.0))
    assert brought.spec.gamma == 1.0 and brought.spec.alpha == 4.0


@pytest.mark.parametrize("classes", [None, 7])
def test_a_file_without_lora_is_plain_weights(classes: int | None, files: Callable[..., Asked], tmp_path: Path) -> None:
    """The rows that train a header alone, or from scratch."""
    head = save(header(128, classes), tmp_path / "head.pth")
    asked = files("froundation" if classes else "foundpad", rank=None, alpha=None, header=head)
    brought = bring(asked if classes else replace(asked, method="foundpad"))
    assert brought.spec.rank is None and brought.spec.gamma is None
    assert brought.remarks == ("text tower and all vision weights: those of mini-s",)
    assert brought.trial.head is not None and brought.trial.head.kind == ("cosface" if classes else "binary")


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        del state[name]

    return change


def _set(name: str, value: Callable[[torch.Tensor], Any]) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        state[name] = value(state[name])

    return change


def _with(**shapes: tuple[int, ...]) -> Callable[[dict[str, Any]], Any]:
    return lambda state: {**state, **{name: torch.zeros(shape) for name, shape in shapes.items()}}


DINO = "encoder.layer.0.attention.attention.query"
BLOCK = "visual.transformer.resblocks.1.attn"
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no alpha": (
        "froundation",
        {"alpha": None},
        r"a LoRA of rank 16; its alpha stands in no file; .*--gamma G; FRoundation .* alpha 16",
    ),
    "both factors": ("froundation", {"gamma": 1.0, "alpha": 4.0}, r"--gamma: given with --alpha"),
    "factor of no LoRA": ("froundation", {"rank": None, "method": "froundation"}, r"--alpha: given; expected nothing"),
    "a rank of nobody": (
        "other",
        {"rank": 5, "header": None},
        r"a LoRA of rank 5; expected a rank of 16 \(FRoundation\), 2 \(MADation\), 8",
    ),
    "no header": ("madation", {"header": None}, r"--header: not given; .*MADation is a detector"),
    "nan": (
        "madation",
        {"change": _set("visual.proj", lambda t: t * float("nan"))},
        r"visual.proj holds values that are not finite",
    ),
    "half a LoRA": ("madation", {"change": _drop(f"{BLOCK}.v_proj.w_lora_B")}, r"block 1 without v_proj.w_lora_B"),
    "two ranks": (
        "madation",
        {"change": _with(**{f"{BLOCK}.q_proj.w_lora_A": (3, 160), f"{BLOCK}.q_proj.w_lora_B": (160, 3)})},
        r"ranks 2, 3; expected one rank",
    ),
    "wrong width": (
        "madation",
        {"change": _set(f"{BLOCK}.q_proj.w_lora_A", lambda t: t[:, :-1])},
        r"w_lora_A \(2, 159\)",
    ),
    "dino": ("madation", {"change": lambda s: {f"{DINO}.lora_A.default.weight": torch.zeros(2, 2)}}, r"a DINOv2 tower"),
    "text LoRA": (
        "madation",
        {"change": _with(**{f"{BLOCK.removeprefix('visual.')}.q_proj.w_lora_A": (2, 160)})},
        r"LoRA in the text tower too",
    ),
    "unknown": (
        "madation",
        {"change": lambda s: {"layer": torch.zeros(2)}},
        r"1 tensors: layer; expected a checkpoint of FRoundation",
    ),
    "another text tower": (
        "madation",
        {"change": _set("ln_final.weight", lambda t: t + 0.01)},
        r"1 tensors of the text tower differ, ln_final.weight by 1.0e-02",
    ),
    "another size": (
        "madation",
        {"change": _set("visual.class_embedding", lambda t: t[:-1])},
        r"1 tensors of another shape: visual.class_embedding",
    ),
    "another tower": (
        "madation",
        {"change": _set("visual.conv1.weight", lambda t: t[:96])},
        r"a tower of width 96, patch 16, 5 blocks",
    ),
    "not a dict": ("madation", {"change": lambda s: torch.zeros(3)}, r"a Tensor with other things than tensors"),
    "more than tensors": (
        "madation",
        {"change": lambda s: {**s, "epoch": 40}},
        r"other things than tensors: 'epoch' \(int\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_clear_fault(case: str, files: Callable[..., Asked]) -> None:
    method, said, expected = WRONG[case]
    asked = files(method, **said)
    with pytest.raises(UserError, match=expected) as told:
        bring(asked)
    assert len(told.value.faults) == 1 and not asked.to.exists()


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (header(64), r"linear.weight 2 x 64.*expected linear.weight \(2 x 128\)"),
        (header(128, 5), r"kernel 128 x 5; expected linear.weight"),
        ({"linear.weight": torch.zeros(2, 128)}, r"1 tensors"),
    ],
)
def test_another_head_is_refused(tensors: Any, expected: str, files: Callable[..., Asked], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected):
        bring(files("madation", header=save(tensors, tmp_path / "other.pth")))


def test_no_code_of_a_file_is_run(files: Callable[..., Asked], tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"visual.conv1.weight": Bad()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="which would run code to be read"):
        bring(replace(files("froundation"), backbone_file=tmp_path / "bad.pth"))
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pth")
    with pytest.raises(UserError, match=r"script.pth: a TorchScript archive"):
        bring(replace(files("froundation"), backbone_file=tmp_path / "script.pth"))
    assert not (tmp_path / "touched").exists()


def test_what_is_there_is_never_written_over(files: Callable[..., Asked]) -> None:
    asked = files("froundation")
    first = bring(asked)
    with pytest.raises(UserError, match="a folder with files in it; expected a new folder"):
        bring(asked)
    again = bring(replace(asked, to=asked.to.with_name("renamed")))
    assert isinstance(again, Brought) and again.trial.key == first.trial.key, "its name is in no key"
    assert bring(replace(asked, to=asked.to.with_name("other"), alpha=5.0)).trial.key != first.trial.key


def test_rounding_of_merging_and_taking_apart_is_no_difference(files: Callable[..., Asked]) -> None:
    """Their code adds and subtracts the LoRA in place at every test; a base that is another is told."""
    close = files("madation", change=_set(f"{BLOCK}.q_proj.weight", lambda t: t + 5e-7))
    assert bring(close).remarks == ("text tower and frozen vision weights: those of mini-s",)
    other = files("madation", to=close.to.with_name("other"), change=_set("visual.ln_pre.bias", lambda t: t + 1e-3))
    assert any("1 of" in remark and "ln_pre.bias by 1.0e-03" in remark for remark in bring(other).remarks)


@pytest.mark.slow
def test_a_checkpoint_of_full_size(tmp_path: Path) -> None:
    """ViT-B/16 as MADation saves it, 398 tensors; no weights of the backbone are here to compare with."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None).eval()
    with torch.no_grad():  # biases are born as 0
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.02)
    state = published(model, 2)
    assert len(state) == 398, "as the papers' module definitions count"
    heads = save(header(512), tmp_path / "40_header.pth")
    asked = Asked(save(state, tmp_path / "40_backbone.pth"), tmp_path / "mad", header=heads, alpha=4.0)
    brought = bring(asked)
    assert (brought.trial.backbone, brought.trial.collection) == ("ViT-B/16", "paper")
    assert "not compared with the weights of ViT-B/16" in brought.remarks[0]
    tower = load_file(tmp_path / "mad" / "trained" / "encoder.safetensors")
    model.visual.load_state_dict(tower)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        theirs = image_features(state, images, heads=12, gamma=4 / 2**0.5, quick=True)
        ours = model.encode_image(images)
    assert float((ours - theirs).abs().max() / theirs.norm(dim=1).max()) <= 1e-5


def test_a_checkpoint_in_a_wrapping_is_the_same(tmp_path: Path) -> None:
    state = {"visual.proj": torch.arange(6.0).reshape(2, 3).half(), "count": torch.tensor(3)}
    torch.save(state, tmp_path / "plain.pth")
    torch.save(
        {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 40}, tmp_path / "in.pth"
    )
    plain, wrapped = (read_checkpoint(tmp_path / name, "a checkpoint") for name in ("plain.pth", "in.pth"))
    assert plain.keys() == wrapped.keys() == state.keys()
    assert all(torch.equal(plain[name], wrapped[name]) for name in state)
    assert plain["visual.proj"].dtype == torch.float32 and plain["count"].dtype == torch.int64
