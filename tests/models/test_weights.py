from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.faults import UserError
from models.weights import read_state, weights_fault

STATE = {
    "a.weight": torch.arange(12, dtype=torch.float16).reshape(3, 4),
    "b": torch.tensor(2.5),
    "n": torch.tensor([3]),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_tensors_come_back_as_float32(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    save_file(STATE, path) if suffix == ".safetensors" else torch.save({"state_dict": STATE}, path)
    assert weights_fault(path, "x") is None
    state = read_state(path, "x")
    assert state.keys() == STATE.keys() and state["a.weight"].dtype == torch.float32 and state["n"].dtype == torch.int64
    assert all(torch.equal(state[name], STATE[name].to(state[name].dtype)) for name in STATE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_truncation_is_found_without_reading_tensors(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    save_file(STATE, whole) if suffix == ".safetensors" else torch.save(STATE, whole)
    data = whole.read_bytes()
    for length in sorted({0, 3, 8, 9, len(data) // 2, len(data) - 1}):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(data[:length])
        fault = weights_fault(cut, "x")
        assert fault is not None and "truncated" in fault.found, length
        with pytest.raises(UserError, match="truncated"):
            read_state(cut, "x")


def test_what_is_not_a_weight_file_is_refused(tmp_path: Path) -> None:
    for name, content in (
        ("w.npz", b"abc"),
        ("w.safetensors", b"\xff" * 400),
        ("w.safetensors", b"\x02" + b"\0" * 7 + b"[]"),
    ):
        (tmp_path / name).write_bytes(content)
        assert weights_fault(tmp_path / name, "x") is not None, name
    assert weights_fault(tmp_path, "x") is not None


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    torch.save({"weight": _Evil(touched)}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="unreadable"):
        read_state(tmp_path / "evil.pt", "x")
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(_Evil(touched)))
    with pytest.raises(UserError, match="old pickle"):
        read_state(tmp_path / "evil.bin", "x")
    assert not touched.exists()


def test_torchscript_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-16.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(UserError, match=r"TorchScript.*load_openai_model"):
        read_state(path, "x", "the remedy")


def test_other_things_than_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"lr": 0.1}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="other things than tensors"):
        read_state(tmp_path / "w.pt", "x")
