"""The tensors of a user's .pth file as they are named in it: no code of it is run, and whatever is wrong is one fault."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from gelo.models.backbones.containers import FlawError, pickle_flaw
from gelo.models.backbones.wrapped import inner
from gelo.models.faults import Fault, UserError, pass_interrupt


def read_checkpoint(path: Path, what: str) -> dict[str, Tensor]:
    """By name without `module.`, floats as float32, on the CPU. what: it is, for messages. Raises UserError."""
    expected, where = f"{what}, as torch.save writes it", str(path)[:300]
    if not path.is_file():
        raise UserError("import", Fault(where, "a folder" if path.is_dir() else "no such file", expected))
    try:
        if not zipfile.is_zipfile(path):
            raise FlawError("no archive of PyTorch (cut, or an old pickle)")
        with zipfile.ZipFile(path) as archive:
            if any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist()):
                raise FlawError("a TorchScript archive, which runs code to be read")
        content = inner(torch.load(path, map_location="cpu", weights_only=True), torch.is_tensor, path)
    except FlawError as error:
        raise UserError("import", Fault(where, error.flaw.found, expected, error.flaw.remedy)) from None
    except Exception as error:  # zip and pickle each raise their own; none may reach the user as a traceback
        pass_interrupt(error)
        flaw = pickle_flaw(error)
        raise UserError("import", Fault(where, flaw.found, expected, flaw.remedy)) from None
    return {
        str(name).removeprefix("module."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in content.items()
    }
