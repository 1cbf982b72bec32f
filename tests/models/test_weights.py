from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gelo.models.backbones.weights import read_state, weights_fault
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


def test_torchscript_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-16.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(UserError, match=r"TorchScript.*load_openai_model"):
        read_state(path, "x", "the remedy")


KEYS = {"logit_scale": torch.ones(1), "visual.class_embedding": torch.ones(1)}


def test_a_folder_is_told_from_a_file_that_is_missing(tmp_path: Path) -> None:
    """Case 40: folders of Hugging Face's and peft's, files of other names, and places below a file."""
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    save_file(KEYS, tmp_path / "adapter" / "adapter_model.safetensors")
    (tmp_path / "hub").mkdir()
    save_file(KEYS, tmp_path / "hub" / "model.safetensors")
    (tmp_path / "shards").mkdir()
    for n in range(5):
        save_file(KEYS, tmp_path / "shards" / f"model-{n}.safetensors")
    (tmp_path / "index").mkdir()
    for n in (1, 2):
        save_file(KEYS, tmp_path / "index" / f"model-0000{n}-of-00002.safetensors")
    (tmp_path / "index" / "model.safetensors.index.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "astray.pt").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    for name, found, remedy in (
        ("adapter", "a folder with a peft adapter", "merge it first"),
        ("hub", "a folder, not a file", f"name its model.safetensors: {tmp_path / 'hub' / 'model.safetensors'}"),
        ("shards", "a folder, not a file", "model-2.safetensors and 2 more"),
        ("index", "shards of a model in 2 files", "join them"),
        ("astray.pt", "a link to nowhere", "put it at"),
        ("empty", "a folder, not a file", "no weight file is in it"),
        ("file/w.pt", f"missing: {tmp_path / 'file'} is a file", "put it at"),
        ("none/w.pt", "missing", "put it at"),
    ):
        fault = weights_fault(tmp_path / name, "x")
        assert fault is not None and fault.found.startswith(found) and remedy in fault.remedy, name


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["model.logit_scale", "model.visual.class_embedding"], "every key begins with 'model.'"),
        (["module.clip.logit_scale", "module.clip.visual.proj"], "every key begins with 'clip.'"),
        (
            ["_orig_mod.model.visual.a.weight", "_orig_mod.model.visual.b"],
            "every key begins with '_orig_mod.model.'",
        ),
        (["vision_model.post_layernorm.weight", "text_model.x", "logit_scale"], "names of Hugging Face's transformers"),
        (["clip.vision_model.post_layernorm.weight", "clip.logit_scale"], "names of Hugging Face's transformers"),
        (["base_model.model.visual.q_proj.lora_A.weight"], "a peft adapter"),
    ],
)
def test_what_is_under_other_names_is_told_by_the_names(
    tmp_path: Path, suffix: str, names: list[str], found: str
) -> None:
    path, state = tmp_path / f"w{suffix}", {name: torch.ones(1) for name in names}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    with pytest.raises(UserError) as caught:
        read_state(path, "x")
    assert found in caught.value.faults[0].found
    assert suffix != ".safetensors" or found in str(weights_fault(path, "x")), "before torch is imported"


@pytest.mark.slow
def test_the_way_out_of_a_prefix_and_of_a_level_too_deep_works_as_written(tmp_path: Path) -> None:
    save_file({f"model.{name}": tensor for name, tensor in KEYS.items()}, tmp_path / "w.safetensors")
    torch.save({"epoch": 3, "model": KEYS}, tmp_path / "w.pt")
    torch.save({f"model.{name}": tensor for name, tensor in KEYS.items()}, tmp_path / "p.pt")
    torch.save({"epoch": 3, "model": {"state_dict": KEYS, "step": 1}}, tmp_path / "deep.pt")
    lightning = {"hyper_parameters": {"lr": 1}, "state_dict": {f"model.{name}": t for name, t in KEYS.items()}}
    torch.save(lightning, tmp_path / "l.pt")
    torch.save({f"module.clip.{name}": tensor for name, tensor in KEYS.items()}, tmp_path / "d.pt")
    for n, (name, tensor) in enumerate(KEYS.items(), start=1):
        save_file({name: tensor}, tmp_path / f"s-0000{n}-of-00002.safetensors")
        torch.save({name: tensor}, tmp_path / f"b-0000{n}-of-00002.bin")
    for name, made in (
        ("w.safetensors", "w-plain.safetensors"),
        ("w.pt", "w-plain.pt"),
        ("p.pt", "p-plain.safetensors"),
        ("deep.pt", "deep-plain.pt"),
        ("l.pt", "l-plain.safetensors"),
        ("d.pt", "d-plain.safetensors"),
        ("s-00001-of-00002.safetensors", "s-joined.safetensors"),
        ("b-00002-of-00002.bin", "b-joined.safetensors"),
    ):
        with pytest.raises(UserError) as caught:
            read_state(tmp_path / name, "x")
        command = caught.value.faults[0].remedy.partition(": ")[2].removeprefix('python -c "').removesuffix('"')
        subprocess.run([sys.executable, "-c", command], check=True)
        assert read_state(tmp_path / made, "x").keys() == KEYS.keys()


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
