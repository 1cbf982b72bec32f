"""TorchScript archives: the tensors that torch.jit.load finds, and nothing run of what an archive asks for."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gelo.models.backbones.archive import contents, module_tensors, numbers
from gelo.models.backbones.unpickled import ArchiveError
from gelo.models.backbones.weights import look, read_state, weights_fault
from gelo.models.faults import UserError

from .conftest import CONFIG
from .layouts import openai_archive, random_clip

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    path = tmp_path_factory.mktemp("openai") / "ViT-B-16.pt"
    return path, openai_archive(random_clip({**CONFIG, "quick_gelu": True}), path)


def test_the_tensors_are_those_of_torchs_own_reader(archive: tuple[Path, dict[str, Tensor]]) -> None:
    path, theirs = archive
    stored, kinds = module_tensors(contents(path))
    ours = numbers(path, stored)
    assert ours.keys() == theirs.keys() and {"CLIP", "QuickGELU", "ResidualAttentionBlock"} <= kinds
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor) and ours[name].dtype == tensor.dtype, name
    assert {tensor.dtype for tensor in theirs.values()} == {torch.float16, torch.float32, torch.int64}
    state, found = read_state(path, "x"), look(path, "x")
    assert state.keys() == theirs.keys() - {"input_resolution", "context_length", "vocab_size"}
    assert all(
        tensor.dtype == torch.float32 and torch.equal(tensor, theirs[name].float()) for name, tensor in state.items()
    )
    assert (
        found.activation == "quick_gelu"
        and found.script
        and found.shapes == {n: tuple(t.shape) for n, t in state.items()}
    )


class Odd(nn.Module):
    """Tensors of every kind: views with steps, shared ones, empty and scalar ones, lists and numbers beside them."""

    def __init__(self) -> None:
        super().__init__()
        whole = torch.randn(6, 8)
        self.turned, self.part = nn.Parameter(whole.t()), nn.Parameter(whole[1:4, ::2])
        self.tied = self.turned
        for dtype in (torch.bfloat16, torch.float64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
            self.register_buffer(f"of_{dtype}".replace("torch.", ""), torch.tensor([1, 0, 3]).to(dtype))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.sizes, self.rates, self.name, self.flags = [1, 2], [0.5], "x", [True]
        self.inner = nn.Sequential(nn.Linear(2, 3), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * float(self.sizes[0]) * self.rates[0]


def test_views_and_types_of_every_kind(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Odd()), tmp_path / "w.pt")
    theirs = torch.jit.load(tmp_path / "w.pt").state_dict()
    ours = numbers(tmp_path / "w.pt", module_tensors(contents(tmp_path / "w.pt"))[0])
    assert ours.keys() == theirs.keys() and len(ours) == 13
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in theirs)


def _with(path: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive again, entry by entry; None leaves one out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = change(entry.filename.partition("/")[2], old.read(entry))
            if data is not None:
                new.writestr(zipfile.ZipInfo(entry.filename), data, compress_type=entry.compress_type)
    return target


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.", "a pickled posix.system, which would run code"),
        (b"\x80\x02c__torch__.x\nCLIP\nX\x02\x00\x00\x00ls\x85R.", "a call of a _Class"),
        (b"\x80\x02c__torch__.x\nCLIP\nK\x01\x85\x81.", "an object of a _Class"),
        (b"\x80\x02" + TENSOR + b")\x81.", "an object of a function"),
        (b"\x80\x02K\x01}b.", "a state for a int"),
        (b"\x80\x02c__torch__.x\nCLIP\n)\x81X\x01\x00\x00\x00ab.", "a model that holds no tensors"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "a pickle that asks for SHORT_BINUNICODE"),
        (b"\x80\x02(iposix\nsystem\n.", "a pickle that asks for INST"),
        (b"\x80\x02cbuiltins\neval\n.", "a pickled builtins.eval"),
        (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "a pickled torch.storage._load_from_bytes"),
        (b"\x80\x02c__torch__.x\n__reduce__\n.", "TorchScript of a _Class, not of a model"),
    ],
)
def test_what_is_no_model_of_tensors_is_refused_and_not_run(
    archive: tuple[Path, dict[str, Tensor]], tmp_path: Path, data: bytes, found: str
) -> None:
    path = _with(archive[0], tmp_path / "w.pt", lambda name, old: data if name == "data.pkl" else old)
    fault = weights_fault(path, "x")
    assert fault is not None and f"TorchScript with {found}" in fault.found and "nothing of it was run" in fault.remedy
    with pytest.raises(UserError, match=re.escape(found)):
        read_state(path, "x")


def test_a_pickle_in_an_archive_does_not_run(archive: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    evil = pickle.dumps(_Evil(touched), protocol=2)
    path = _with(archive[0], tmp_path / "w.pt", lambda name, old: evil if name == "data.pkl" else old)
    with pytest.raises(UserError, match=r"TorchScript with a pickled pathlib\.Path\.touch|TorchScript with a pick"):
        read_state(path, "x")
    assert not touched.exists()


def test_a_tensor_reaches_no_further_than_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"

    def made(data: bytes, numbers_: bytes = b"\0" * 16) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (("data.pkl", data), ("constants.pkl", b"\x80\x02)."), ("data/0", numbers_)):
                archive.writestr(f"a/{name}", content)
        return path

    def tensor(held: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
        def numbers_of(values: tuple[int, ...]) -> bytes:
            return b"(" + b"".join(b"J" + value.to_bytes(4, "little", signed=True) for value in values) + b"t"

        key = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ"
        of = key + held.to_bytes(4, "little") + b"tQ" + b"J" + offset.to_bytes(4, "little", signed=True)
        of += numbers_of(shape) + numbers_of(stride) + b"\x89}"
        return b"\x80\x02c__torch__.m\nM\n)\x81}X\x01\x00\x00\x00w" + TENSOR + b"(" + of + b"tRsb."

    assert read_state(made(tensor(4, 0, (2, 2), (2, 1))), "x")["w"].shape == (2, 2)
    for data, found in (
        (tensor(4, 1, (2, 2), (2, 1)), "a tensor of (2, 2) in 4 numbers"),
        (tensor(4, 0, (2, 2), (3, 1)), "a tensor of (2, 2) in 4 numbers"),
        (tensor(4, 0, (1000, 1000), (0, 0)), "a tensor of (1000, 1000) in 4 numbers"),
        (tensor(4, -1, (2,), (1,)), "a tensor that PyTorch would not write so"),
        (tensor(4, 3, (2,), (-1,)), "a tensor that PyTorch would not write so"),
        (tensor(4, 0, (2, 2), (1,)), "a tensor that PyTorch would not write so"),
    ):
        fault = weights_fault(made(data), "x")
        assert fault is not None and found in fault.found, fault
    for data, found in (
        (tensor(8, 0, (8,), (1,)), "16 bytes of w, 32 are needed"),
        (tensor(2, 0, (2,), (1,)), "data/0 of 16 bytes"),
    ):
        with pytest.raises(UserError, match=found):
            read_state(made(data), "x")


def test_modules_that_hold_one_another_end(archive: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    make = b"c__torch__.m\nM\n)\x81"
    itself = b"\x80\x02" + make + b"q\x00}X\x01\x00\x00\x00ah\x00sb."
    doubled = b"\x80\x02" + make + b"q\x00"
    for level in range(1, 30):  # each holds the one before twice: 2^30 in all
        last = b"h" + bytes([level - 1])
        doubled += make + b"q" + bytes([level]) + b"}(X\x01\x00\x00\x00a" + last + b"X\x01\x00\x00\x00b" + last + b"ub"
    for data in (itself, doubled + b"."):
        path = _with(archive[0], tmp_path / "w.pt", lambda name, old, data=data: data if name == "data.pkl" else old)
        fault = weights_fault(path, "x")
        assert fault is not None and "modules that hold one another" in fault.found


def test_a_damaged_archive_is_one_clear_error(archive: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    path, data = tmp_path / "w.pt", archive[0].read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        fault = weights_fault(path, "x")
        assert fault is not None and "truncated" in fault.found, length
    for change, found in (
        (lambda name, old: None if name == "data/3" else old, "no item named"),
        (lambda name, old: old[:-2] if name == "data/3" else old, "truncated"),
        (lambda name, old: b"big" if name == "byteorder" else old, "another byte order"),
        (lambda name, old: old[: len(old) // 2] if name == "data.pkl" else old, "damaged"),
    ):
        with pytest.raises(UserError, match=found):
            read_state(_with(archive[0], path, change), "x")
    flipped = bytearray(data)
    flipped[data.index(archive[1]["visual.proj"].numpy().tobytes()) + 5] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(UserError, match="CRC"):
        read_state(path, "x")


@given(data=st.binary(max_size=40), at=st.integers(0, 10**6))
def test_whatever_bytes_a_pickle_has_the_error_is_of_one_kind(
    archive: tuple[Path, dict[str, Tensor]], data: bytes, at: int
) -> None:
    with zipfile.ZipFile(archive[0]) as whole:
        old = whole.read(next(name for name in whole.namelist() if name.endswith("/data.pkl")))
    path, cut = archive[0].with_name("changed.pt"), at % len(old)
    with zipfile.ZipFile(path, "w") as changed:
        changed.writestr("a/data.pkl", old[:cut] + data + old[cut + len(data) :])
    with suppress(ArchiveError):
        contents(path)
