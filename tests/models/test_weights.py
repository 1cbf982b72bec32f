from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gelo.models.backbones.containers import size_of
from gelo.models.backbones.weights import look, read_state, weights_fault
from gelo.models.faults import UserError

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
    fault = weights_fault(tmp_path / "evil.pt", "x")
    assert fault is not None and "a pickled __builtin__.getattr" in fault.found, "before torch is imported"
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(_Evil(touched)))
    with pytest.raises(UserError, match="old pickle"):
        read_state(tmp_path / "evil.bin", "x")
    assert not touched.exists()


def test_what_a_file_is_decides_and_not_what_it_is_called(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "W.SAFETENSORS")
    assert read_state(tmp_path / "W.SAFETENSORS", "x").keys() == STATE.keys()
    save_file(STATE, tmp_path / "s.pt")
    torch.save(STATE, tmp_path / "t.safetensors")
    with zipfile.ZipFile(tmp_path / "z.pt", "w") as archive:
        archive.writestr("readme.txt", "no weights")
    for name, found in (
        ("s.pt", "a safetensors file; .*rename it to s.safetensors"),
        ("t.safetensors", "a ZIP archive, as PyTorch writes; .*rename it to t.pt"),
        ("z.pt", "none that PyTorch wrote"),
    ):
        with pytest.raises(UserError, match=found):
            read_state(tmp_path / name, "x")


KEYS = {"logit_scale": torch.ones(1), "visual.class_embedding": torch.ones(1)}


def test_a_folder_is_told_from_a_file_that_is_missing(tmp_path: Path) -> None:
    """Case 40: folders of Hugging Face's and peft's, files of other names, and places below a file."""
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    save_file(KEYS, tmp_path / "adapter" / "adapter_model.safetensors")
    (tmp_path / "several").mkdir()
    for n in range(5):
        save_file(KEYS, tmp_path / "several" / f"model-{n}.safetensors")
    (tmp_path / "index").mkdir()
    for n in (1, 3):
        save_file(KEYS, tmp_path / "index" / f"model-0000{n}-of-00003.safetensors")
    (tmp_path / "index" / "model.safetensors.index.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    save_file(KEYS, tmp_path / "odd" / "model.safetensors")
    (tmp_path / "odd" / "open_clip_config.json").write_text("{")
    (tmp_path / "astray.pt").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    for name, found, remedy in (
        ("adapter", "a folder with a peft adapter", "merge it first"),
        ("several", "a folder, not a file", "model-2.safetensors and 2 more"),
        ("index", "2 of the 3 shards of a model: model-00001-of-00003.safetensors", "fetch the others"),
        ("index/model-00001-of-00003.safetensors", "one of 3 shards", f"name their folder: {tmp_path / 'index'}"),
        ("empty", "a folder, not a file", "no weight file is in it"),
        ("odd", "open_clip_config.json beside it is no JSON", "fetch it again"),
        ("astray.pt", "a link to nowhere", "put it at"),
        ("file/w.pt", f"missing: {tmp_path / 'file'} is a file", "put it at"),
        ("none/w.pt", "missing", "put it at"),
    ):
        fault = weights_fault(tmp_path / name, "x")
        assert fault is not None and fault.found.startswith(found) and remedy in fault.remedy, name


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_folder_of_one_file_or_of_shards_is_read_whole(tmp_path: Path, suffix: str) -> None:
    for name, state in (("a", KEYS), ("b", {"extra": torch.ones(1)})):
        (tmp_path / name).mkdir()
        stem = "model" if suffix == ".safetensors" else "pytorch_model"
        for n, (key, tensor) in enumerate(KEYS.items(), start=1):
            path = tmp_path / name / f"{stem}-0000{n}-of-00002{suffix}"
            save_file({key: tensor}, path) if suffix == ".safetensors" else torch.save({key: tensor}, path)
        if name == "b":  # open_clip's own file goes before, as open_clip chooses
            save_file(state, tmp_path / name / "open_clip_model.safetensors")
        assert read_state(tmp_path / name, "x").keys() == state.keys()
        assert size_of(tmp_path / name) == sum(
            file.stat().st_size for file in (tmp_path / name).iterdir() if (name == "b") == ("open_clip" in file.name)
        )


def _saved(state: dict[str, Any], path: Path) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "module.clip.", "_orig_mod.model.", "encoder.", "module.module.", "net.backbone.encoder."],
)
def test_what_every_name_begins_with_is_left_out(tmp_path: Path, suffix: str, prefix: str) -> None:
    path = _saved({prefix + name: tensor for name, tensor in KEYS.items()}, tmp_path / f"w{suffix}")
    assert read_state(path, "x").keys() == KEYS.keys() == set(look(path, "x").shapes or {})


_STEP = {
    "state": {0: {"exp_avg": torch.ones(2), "step": torch.tensor(3.0)}},
    "param_groups": [{"lr": 0.1, "params": [0]}],
}


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 3, "model": KEYS},
        {
            "epoch": 3,
            "name": "run",
            "state_dict": {f"module.{n}": t for n, t in KEYS.items()},
            "optimizer": _STEP,
            "scaler": {"scale": 1.0},
        },
        {"hyper_parameters": {"lr": 1}, "state_dict": {f"model.{n}": t for n, t in KEYS.items()}},
        {"model": {"state_dict": KEYS, "step": 1}, "optimizer_states": [_STEP]},
        {"a": {"b": {"c": KEYS}}, "head": {"weight": torch.ones(2)}},
        {n: nn.Parameter(t) for n, t in KEYS.items()},
    ],
    ids=["model", "open_clip", "lightning", "deeper", "head", "parameters"],
)
def test_what_training_tools_wrap_weights_in_is_unwrapped(tmp_path: Path, content: dict[str, Any]) -> None:
    path = _saved(content, tmp_path / "w.pt")
    state = read_state(path, "x")
    assert state.keys() == KEYS.keys() and all(torch.equal(state[name], KEYS[name]) for name in KEYS)
    assert look(path, "x").shapes == {name: tuple(tensor.shape) for name, tensor in KEYS.items()}


def test_of_two_models_in_a_file_neither_is_chosen_and_the_way_out_works_as_written(tmp_path: Path) -> None:
    path = _saved({"state_dict": {"a": KEYS, "b": {**KEYS, "c": torch.ones(1)}}}, tmp_path / "w.pt")
    with pytest.raises(
        UserError, match=r"tensors of 2 models, under 'state_dict' -> 'a', 'state_dict' -> 'b'"
    ) as caught:
        read_state(path, "x")
    assert weights_fault(path, "x") == caught.value.faults[0]
    command = (
        caught.value.faults[0].remedy.partition(": ")[2].removeprefix('python -c "import torch; ').removesuffix('"')
    )
    exec(command, {"torch": torch})
    assert read_state(tmp_path / "w-plain.pt", "x").keys() == KEYS.keys()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_an_adapter_is_told_by_its_names(tmp_path: Path, suffix: str) -> None:
    path = _saved({"base_model.model.visual.q_proj.lora_A.weight": torch.ones(1)}, tmp_path / f"w{suffix}")
    with pytest.raises(UserError, match="a peft adapter") as caught:
        read_state(path, "x")
    assert weights_fault(path, "x") == caught.value.faults[0], "before torch is imported"


@pytest.mark.parametrize(
    "names", [list(KEYS), ["visual.proj", "visual.class_embedding"], ["text.a.b", "text.a.c"], ["x"]]
)
def test_open_clips_own_names_pass(tmp_path: Path, names: list[str]) -> None:
    save_file({name: torch.ones(1) for name in names}, tmp_path / "w.safetensors")
    assert weights_fault(tmp_path / "w.safetensors", "x") is None
    assert read_state(tmp_path / "w.safetensors", "x").keys() == set(names)


def test_a_pickled_module_is_told_in_a_line_without_colours(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(UserError) as caught:
        read_state(tmp_path / "w.pt", "x")
    (fault,) = caught.value.faults
    assert (
        fault.found == "unreadable: it holds a pickled torch.nn.modules.linear.Linear, which would run code to be read"
    )
    assert "state_dict()" in fault.remedy and "\x1b" not in str(fault) and "\n" not in str(fault)


def test_other_things_than_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"lr": 0.1}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"other things than tensors: 'lr' \(float\)"):
        read_state(tmp_path / "w.pt", "x")
    for content in ([torch.ones(1)], {}):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(UserError, match="other things than tensors"):
            read_state(tmp_path / "w.pt", "x")
