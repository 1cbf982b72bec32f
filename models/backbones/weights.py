"""Weight files: what one holds, told before torch is loaded, and its tensors under open_clip's names, with no code run to read them.

Decisions: safetensors; a state dict that `torch.load(weights_only=True)` takes; OpenAI's TorchScript archives, whose tensors alone are read
(`backbones.archive`). What is wrapped is unwrapped (`backbones.wrapped`), what is Hugging Face's renamed (`backbones.huggingface`).
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gelo.models.backbones.archive import contents, module_tensors, numbers
from gelo.models.backbones.containers import (
    SAFETENSORS,
    STATE_DICTS,
    Files,
    FlawError,
    files_at,
    pickle_flaw,
    unsafe_flaw,
)
from gelo.models.backbones.huggingface_config import open_clip_config
from gelo.models.backbones.unpickled import ArchiveError, Stored
from gelo.models.backbones.wrapped import Shape, inner, plain
from gelo.models.faults import Fault, UserError, pass_interrupt

if TYPE_CHECKING:
    from torch import Tensor

Activation = Literal["gelu", "quick_gelu"]
_MAYBE = re.compile(  # torch's `weights_only` takes some of these
    r"(torch|numpy|collections|_codecs)\..*|(builtins|__builtin__)\.(set|bytearray)"
)
_HEADER_LIMIT = 100_000_000  # bytes; the safetensors format's own limit


@dataclass(frozen=True)
class Look:
    """What is known of a model's weights before they are read.

    shapes: by open_clip's names; None for a `.pt` that only torch can describe. config: what stands beside the files, in open_clip's form.
    activation: from there, or from the archive; None where nothing says it. script: a TorchScript archive. hugging_face: the tensors have
    transformers' names. folder: where what else lies there is about them.
    """

    files: tuple[Path, ...]
    shapes: Mapping[str, Shape] | None
    config: Mapping[str, Any] | None = None
    activation: Activation | None = None
    script: bool = False
    hugging_face: bool = False
    folder: Path | None = None


def weights_fault(path: Path, name: str, remedy: str = "") -> Fault | None:
    """Why `path` cannot hold the weights of `name`: missing, truncated, of a kind that is not read. None when it may."""
    try:
        look(path, name, remedy)
    except UserError as error:
        return error.faults[0]
    return None


def look(path: Path, name: str, remedy: str = "") -> Look:
    """What lies at `path`, from headers alone. Raises UserError for what cannot be the weights of `name`."""
    aim = f"the weights of {name}: safetensors, .pt, or a folder of them"
    put = f"put it at {path}, or name a file with `weights`" + (f" ({remedy})" if remedy else "")
    try:
        found = files_at(path)
        for file in found.files:
            _check_kind(file, put)
        if found.files[0].suffix.lower() not in SAFETENSORS and _is_script(found.files[0]):
            stored, kinds = module_tensors(contents(found.files[0]))
            shapes, _ = plain({key: Shape(each.shape) for key, each in stored.items()}, Shape.joined)
            if not shapes:
                raise ArchiveError("a model that holds no tensors")
            acts = kinds & {"GELU", "QuickGELU"}
            told: Activation | None = None if len(acts) != 1 else "quick_gelu" if "QuickGELU" in acts else "gelu"
            return Look(found.files, shapes, activation=told, script=True)
        described: dict[str, Shape] = {}
        for file in found.files:
            described |= _shapes(file)
        return _with_config(found, described)
    except FlawError as error:
        fault = Fault(str(path), error.flaw.found, aim, error.flaw.remedy or put)
    except ArchiveError as error:
        fault = Fault(str(path), f"TorchScript with {error}", aim, f"nothing of it was run; {put}")
    except UserError as error:  # of a config.json
        fault = Fault(str(path), f"config.json with {error.faults[0].found}", error.faults[0].expected, put)
    raise UserError(f"backbone {name}", fault)


def read(path: Path, name: str, remedy: str = "") -> tuple[dict[str, Tensor], Look]:
    """The tensors at `path` on the CPU, under open_clip's names, floats as float32, and what is known of them now.

    Raises UserError for what is missing, cut or unsafe."""
    import torch

    found = look(path, name, remedy)
    raw: dict[str, Tensor] = {}
    try:
        for file in found.files:
            raw |= _tensors(file, found.script)
        state, _ = plain(raw)
        if found.shapes is None:
            found = _with_config(files_at(path), {key: Shape(tensor.shape) for key, tensor in raw.items()})
    except FlawError as error:
        fault = Fault(str(path), error.flaw.found, f"the weights of {name}", error.flaw.remedy)
        raise UserError(f"backbone {name}", fault) from None
    except UserError:
        raise
    except (
        Exception
    ) as error:  # safetensors, zip and pickle each raise their own; none may reach the user as a traceback
        pass_interrupt(error)
        flaw = pickle_flaw(error)
        fault = Fault(str(path), flaw.found, "tensors only", flaw.remedy or remedy)
        raise UserError(f"backbone {name}", fault) from error
    floats = {key: tensor.to(torch.float32) for key, tensor in state.items() if tensor.is_floating_point()}
    return {**state, **floats}, found


def read_state(path: Path, name: str, remedy: str = "") -> dict[str, Tensor]:
    """The tensors that `read` gives."""
    return read(path, name, remedy)[0]


def _with_config(found: Files, described: Mapping[str, Shape]) -> Look:
    """A Look at tensors of these names and shapes, {} where they are not known yet. Raises FlawError, and UserError of a config.json."""
    if not described:
        return Look(found.files, None)
    shapes, foreign = plain(described, Shape.joined)
    beside = found.config(foreign)
    config = None if beside is None else open_clip_config(beside) if foreign else beside
    act: Activation | None = None if config is None else "quick_gelu" if config.get("quick_gelu") else "gelu"
    return Look(found.files, shapes, config, act, hugging_face=foreign, folder=found.folder)


def _check_kind(path: Path, put: str) -> None:
    """Raises FlawError where a file is not of the kind that its name says."""
    if path.suffix.lower() in SAFETENSORS:
        flaw = _header(path)
        if isinstance(flaw, str):
            if zipfile.is_zipfile(path):
                raise FlawError("a ZIP archive, as PyTorch writes", f"rename it to {path.with_suffix('.pt').name}")
            raise FlawError(flaw, f"fetch it again; {put}")
        return
    if path.suffix.lower() not in STATE_DICTS:
        raise FlawError(f"a {path.suffix or 'nameless'} file, not one of {', '.join(SAFETENSORS + STATE_DICTS)}")
    if not zipfile.is_zipfile(path):
        if not isinstance(_header(path), str):
            raise FlawError("a safetensors file", f"rename it to {path.with_suffix('.safetensors').name}")
        raise FlawError("not a PyTorch archive (truncated, or an old pickle)", f"fetch it again; {put}")
    with zipfile.ZipFile(path) as archive:
        if "data.pkl" not in {Path(entry).name for entry in archive.namelist()}:
            raise FlawError("a ZIP archive, and none that PyTorch wrote")


def _is_script(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(Path(entry).name == "constants.pkl" for entry in archive.namelist())


def _shapes(path: Path) -> dict[str, Shape]:
    """By the names that stand in the file; {} where torch has to be asked."""
    if path.suffix.lower() in SAFETENSORS:
        header = _header(path)
        assert not isinstance(header, str)
        return {key: Shape(each["shape"]) for key, each in header.items()}
    try:
        state = inner(contents(path), lambda value: isinstance(value, Stored), path)
    except ArchiveError as error:
        if error.asked and not _MAYBE.fullmatch(error.asked):
            raise FlawError(*unsafe_flaw(error.asked)) from None
        return {}  # more than plain values: torch's own reader says of what
    return {str(key): Shape(each.shape) for key, each in state.items()}


def _tensors(path: Path, script: bool) -> Mapping[str, Tensor]:
    import torch
    from safetensors.torch import load_file

    if path.suffix.lower() in SAFETENSORS:
        return load_file(path)
    if script:
        stored, _ = module_tensors(contents(path))
        return numbers(path, stored)
    return inner(torch.load(path, map_location="cpu", weights_only=True), torch.is_tensor, path)


def _header(path: Path) -> dict[str, Any] | str:
    """Name -> {"shape", ...} of a safetensors file, or what is wrong with its layout."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            return f"{size} bytes (truncated?)"
        (length,) = struct.unpack("<Q", head)
        if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
            return f"header of {length} bytes in a file of {size} (truncated, or not safetensors)"
        try:
            header = {key: each for key, each in json.loads(stream.read(length)).items() if key != "__metadata__"}
            end = max((each["data_offsets"][1] for each in header.values()), default=0)
            shaped = all(type(side) is int and side >= 0 for each in header.values() for side in each["shape"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return "header is not that of safetensors"
    if end == 0:
        return "no tensors"
    if 8 + length + end != size:
        return f"{size} bytes (truncated?), its header says {8 + length + end}"
    return header if shaped else "header is not that of safetensors"
