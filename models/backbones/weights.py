"""Weight files: what is wrong with one, told from its first and last bytes, and its tensors read without unpickling.

Decisions: safetensors, or a plain state dict that `torch.load(weights_only=True)` takes. Anything that would run code
to be read (TorchScript archives, whole pickled models) is refused. Imports no torch unless tensors are read.
"""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gelo.models.backbones.containers import SAFETENSORS, STATE_DICTS, content_flaw, names_flaw, pickle_flaw, place_flaw
from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from torch import Tensor

# OpenAI publishes TorchScript archives; open_clip runs one to load it, so this is for a file whose origin is known
_CONVERT = (
    "if it is OpenAI's own: python -c \"import open_clip, safetensors.torch as s; "
    "s.save_model(open_clip.load_openai_model({source!r}, precision='fp32', device='cpu'), {target!r})\""
)
_HEADER_LIMIT = 100_000_000  # bytes; the safetensors format's own limit
_NOT_WEIGHTS = (
    "input_resolution",
    "context_length",
    "vocab_size",
)  # integers that OpenAI's files keep among the tensors


def weights_fault(path: Path, name: str, remedy: str = "") -> Fault | None:
    """Why `path` cannot hold the weights of `name`: missing, truncated, of a kind that is not read. None when it
    may."""
    aim = f"the weights of {name} as safetensors"
    put = f"put it at {path}, or name a file with `weights`" + (f" ({remedy})" if remedy else "")
    place = place_flaw(path)
    if place is not None:
        return Fault(str(path), place.found, aim, place.remedy or put)
    if path.suffix.lower() in SAFETENSORS:
        keys: list[str] = []
        flaw = _safetensors_flaw(path, keys)
        if flaw and zipfile.is_zipfile(path):
            return Fault(
                str(path), "a ZIP archive, as PyTorch writes", aim, f"rename it to {path.with_suffix('.pt').name}"
            )
        if flaw:
            return Fault(str(path), flaw, aim, f"fetch it again; {put}")
        foreign = names_flaw(keys, path)
        return Fault(str(path), foreign.found, aim, foreign.remedy) if foreign else None
    if path.suffix.lower() not in STATE_DICTS:
        return Fault(
            str(path), f"a {path.suffix or 'nameless'} file", f"one of {', '.join(SAFETENSORS + STATE_DICTS)}", put
        )
    if not zipfile.is_zipfile(path):
        if not _safetensors_flaw(path, []):
            return Fault(str(path), "a safetensors file", aim, f"rename it to {path.with_suffix('.safetensors').name}")
        return Fault(str(path), "not a PyTorch archive (truncated, or an old pickle)", aim, f"fetch it again; {put}")
    convert = _CONVERT.format(source=str(path), target=str(path.with_suffix(".safetensors")))
    with zipfile.ZipFile(path) as archive:
        inside = {Path(entry).name for entry in archive.namelist()}
        if "data.pkl" not in inside:
            return Fault(str(path), "a ZIP archive, and none that PyTorch wrote", aim, put)
        if "constants.pkl" in inside:
            return Fault(
                str(path), "a TorchScript archive, which runs code to be read", aim, f"{convert}, then name that file"
            )
    return None


def read_state(path: Path, name: str, remedy: str = "") -> dict[str, Tensor]:
    """The tensors of a weight file on the CPU, floats as float32. Raises UserError for a file that is missing, cut or
    unsafe."""
    import torch

    fault = weights_fault(path, name, remedy)
    if fault is not None:
        raise UserError(f"backbone {name}", fault)
    try:
        found, inside = _tensors(path)
    except UserError:
        raise
    except (
        Exception
    ) as error:  # safetensors, zip and pickle each raise their own; none may reach the user as a traceback
        flaw = pickle_flaw(error)
        raise UserError(
            f"backbone {name}", Fault(str(path), flaw.found, "tensors only", flaw.remedy or remedy)
        ) from error
    foreign = names_flaw(found, path, inside)
    if foreign is not None:
        raise UserError(f"backbone {name}", Fault(str(path), foreign.found, f"the weights of {name}", foreign.remedy))
    state: dict[str, Tensor] = {}
    for key, tensor in found.items():
        state[key.removeprefix("module.")] = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
    for key in _NOT_WEIGHTS:
        state.pop(key, None)
    return state


def _tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors, and where they stand in what torch loads: `['state_dict']`, or "" at the top."""
    import torch
    from safetensors.torch import load_file

    if path.suffix.lower() in SAFETENSORS:
        return load_file(path), ""
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    inside = "['state_dict']" if isinstance(content, dict) and "state_dict" in content else ""
    content = content["state_dict"] if inside else content
    flaw = content_flaw(content, torch.is_tensor, path)
    if flaw is not None:
        raise UserError("weights", Fault(str(path), flaw.found, "a state dict: tensors by name", flaw.remedy))
    return content, inside


def _safetensors_flaw(path: Path, keys: list[str]) -> str:
    """What is wrong with the file's layout, from its header alone; "" when it is whole. Names of tensors are added to `keys`."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            return f"{size} bytes (truncated?)"
        (length,) = struct.unpack("<Q", head)
        if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
            return f"header of {length} bytes in a file of {size} (truncated, or not safetensors)"
        try:
            header = json.loads(stream.read(length))
            keys += [key for key in header if key != "__metadata__"]
            end = max((header[key]["data_offsets"][1] for key in keys), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "header is not that of safetensors"
    if end == 0:
        return "no tensors"
    if 8 + length + end != size:
        return f"{size} bytes (truncated?), its header says {8 + length + end}"
    return ""
