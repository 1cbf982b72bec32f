"""The tensors of a user's .pth file as they are named in it: no code of it is run, and whatever is wrong is one fault."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gelo.models.backbones.containers import pickle_flaw
from gelo.models.faults import Fault, UserError, pass_interrupt

_CHUNK = 1 << 20


def read_checkpoint(path: Path, what: str) -> dict[str, Tensor]:
    """By name without `module.`, floats as float32, on the CPU. what: it is, for messages. Raises UserError."""
    expected, where = f"{what}, as torch.save writes it", str(path)[:300]
    try:
        if not path.is_file():
            raise UserError("import", Fault(where, "a folder" if path.is_dir() else "no such file", expected))
        if not zipfile.is_zipfile(path):
            raise UserError("import", Fault(where, "no archive of PyTorch (cut, or an old pickle)", expected))
        with zipfile.ZipFile(path) as archive:
            if any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist()):
                raise UserError("import", Fault(where, "a TorchScript archive, which runs code to be read", expected))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # zip and pickle each raise their own; none may reach the user as a traceback
        pass_interrupt(error)
        flaw = pickle_flaw(error)
        raise UserError("import", Fault(where, flaw.found, expected, flaw.remedy)) from None
    if not isinstance(content, Mapping) or not content:
        raise UserError("import", Fault(where, f"a {type(content).__name__} without tensors by name", expected))
    odd = [str(name) for name, value in content.items() if not torch.is_tensor(value)]
    if odd:
        raise UserError(
            "import", Fault(where, f"{len(odd)} things that are no tensors: {', '.join(odd[:3])}", expected)
        )
    return {
        str(name).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in content.items()
    }


def sha256_of(path: Path) -> str:
    """64 hex digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
