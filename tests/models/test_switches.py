"""What changes speed and memory leaves the numbers alone: recomputing to the bit, fused and compiled within rounding."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gelo.models.adapt import AdaptationSpec, Full, Lora, LoraExperts, adapt
from gelo.models.around import Around
from gelo.models.encoder import Encoder
from gelo.models.faults import UserError
from gelo.models.remedies import EWC, Distill
from gelo.models.spec import Spec
from gelo.models.training.settings import Optimisation
from gelo.models.training.switches import arithmetic, recompute
from tests.models.toy_run import Ended, go, settings
from tests.programs import printed_by

WAYS: list[AdaptationSpec] = [
    Full(), Lora(rank=2, dropout=0.25), Lora(rank=2, targets=("q", "out", "mlp_in"), blocks=(1,), dropout=0.5), LoraExperts(rank=2),
]  # fmt: skip


def apart(one: Ended, two: Ended) -> float:
    """The largest distance of any number that trained."""
    first, second = one.tensors(), two.tensors()
    assert first.keys() == second.keys()
    return max(float((tensor - second[name]).abs().max()) for name, tensor in first.items())


@pytest.mark.parametrize(
    ("adaptation", "remedy"),
    [
        (adaptation, remedy)
        for remedy in (None, Distill(), EWC(reference="noise/train", images=4))
        for adaptation in WAYS
        if remedy is None or remedy.needs <= adaptation.gives  # others are refused before anything starts
    ],
    ids=str,
)
def test_recomputing_changes_no_bit(adaptation: AdaptationSpec, remedy: Any, encoder: Encoder, tmp_path: Path) -> None:
    kept, again = (go(encoder, adaptation, tmp_path / f"{on}", remedy, checkpointing=on) for on in (False, True))
    assert apart(kept, again) == 0
    assert [row["loss"] for row in kept.run.history] == [row["loss"] for row in again.run.history]
    assert not encoder.visual.transformer.grad_checkpointing, "the untouched tower stays as it was"  # type: ignore[union-attr]


def saved(network: nn.Module, pixels: Tensor) -> int:
    """Bytes that one forward pass keeps for the backward pass, parameters aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(pixels)
    return sum(found.values())


def test_recomputing_keeps_little_and_reaches_the_tower_within_what_is_around_it(encoder: Encoder) -> None:
    pixels = torch.zeros(4, 3, encoder.transform.size, encoder.transform.size)
    model = adapt(encoder.visual, Full(), 0)
    whole = saved(model.network, pixels)
    recompute(Around(model.network, {}, lambda inner, tensors, x: inner(x)))
    assert saved(model.network, pixels) < whole / 4


def test_a_tower_without_blocks_cannot_be_recomputed() -> None:
    with pytest.raises(UserError, match=r"without open_clip's transformer blocks.*`accumulate` saves memory too"):
        recompute(nn.Sequential(nn.Conv2d(3, 4, 1)))


def test_fused_adamw_ends_within_rounding(encoder: Encoder, tmp_path: Path) -> None:
    """LoRA: under full fine-tuning the key's bias, whose gradient is rounding alone, goes anywhere."""
    loop, fused = (go(encoder, Lora(rank=2), tmp_path / f"{on}", fused=on) for on in (False, True))
    assert apart(loop, fused) < 1e-5
    assert not go(encoder, Lora(rank=2), tmp_path / "left", fused=True, stop_after=2).finished
    assert apart(go(encoder, Lora(rank=2), tmp_path / "left", fused=True), fused) == 0, "resumed on the same bits"


COMPILE = """
import torch
from gelo.models.faults import UserError
from gelo.models.training.switches import prepare
from tests.models.toy_run import settings
try:
    prepare(torch.nn.Linear(2, 2), settings(compile=True), torch.device("cpu"))
except UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_without_a_compiler_compile_is_refused_in_words(tmp_path: Path) -> None:
    """In a process of its own: torch remembers what compiler it found."""
    none = os.environ | {"CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    said = printed_by(COMPILE, none)
    assert "compile: nothing can be compiled here" in said and "or take `compile` out" in said
    assert "expected a C++ compiler that torch.compile finds" in said


@pytest.mark.slow
def test_compiled_it_trains_the_same_under_the_same_names(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of torch.compile but its C++ compiler, which takes minutes (with it, by hand: the same)."""
    monkeypatch.setattr("gelo.models.training.switches._prove_compiler", lambda device: None)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = (go(encoder, Lora(rank=2), tmp_path / f"{on}", compile=on) for on in (False, True))
    assert compiled.model.network._compiled_call_impl is not None
    assert compiled.model.state().keys() == plain.model.state().keys()
    assert compiled.model.merged().keys() == encoder.visual_state().keys(), "no name of torch.compile's own"
    assert apart(plain, compiled) < 1e-4


@pytest.mark.parametrize(
    "changes", [{}, {"precision": "tf32"}, {"precision": "bf16"}, {"deterministic": False}], ids=str
)
def test_on_a_gpu_torch_is_asked_for_what_was_said_and_left_as_it_was(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn

    def now() -> dict[str, Any]:
        return {
            "deterministic": torch.are_deterministic_algorithms_enabled(), "efficient": cuda.mem_efficient_sdp_enabled(),
            "cudnn's": cuda.cudnn_sdp_enabled(), "products": cuda.matmul.allow_tf32, "convolutions": cudnn.allow_tf32,
            "benchmark": cudnn.benchmark, "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        }  # fmt: skip

    before = now()
    with arithmetic(settings(**changes), torch.device("cpu")):
        assert now() == before, "the CPU has one kind"
    sure, rounded = changes.get("deterministic", True), changes.get("precision") == "tf32"
    with arithmetic(settings(**changes), torch.device("cuda")):
        assert now() == {
            "deterministic": sure, "efficient": not sure, "cudnn's": not sure, "products": rounded, "convolutions": rounded,
            "benchmark": not sure, "workspace": ":4096:8" if sure else None,
        }  # fmt: skip
    assert now() | {"workspace": None} == before | {"workspace": None}
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_fields_that_joined_are_in_no_key_of_before() -> None:
    document = settings().canonical()
    assert not {"checkpointing", "compile", "fused", "deterministic", "precision"} & document.keys()
    changed: Spec = Optimisation.model_validate(document | {"checkpointing": True, "deterministic": False})
    assert {"checkpointing", "deterministic"} <= changed.canonical().keys()
