"""A PyTorch archive's tensors by name, without running anything of it: OpenAI publishes CLIP as TorchScript, whose own reader compiles
the code inside. Imports torch only where numbers are read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gelo.models.backbones.unpickled import TYPES, ArchiveError, Module, Stored, described
from gelo.models.faults import pass_interrupt

if TYPE_CHECKING:
    from torch import Tensor

_PICKLE_LIMIT = 64_000_000  # bytes; OpenAI's have 150 kB
_DEEPEST = 40  # modules in modules
_MOST = 20_000  # modules and tensors, each as often as it is held


def contents(path: Path) -> Any:
    """What its pickle describes, see `described`. Raises ArchiveError, with nothing run."""
    with _opened(path) as (archive, root):
        return described(_entry(archive, f"{root}data.pkl", _PICKLE_LIMIT))


def module_tensors(top: Any) -> tuple[dict[str, Stored], set[str]]:
    """Tensors as `state_dict` names them, and the names of classes, of TorchScript's `contents`. Raises ArchiveError for anything else."""
    if not isinstance(top, Module):
        raise ArchiveError(f"TorchScript of a {type(top).__name__}, not of a model")
    found: dict[str, Stored] = {}
    kinds: set[str] = set()
    for count, (name, value) in enumerate(_walked(top, "", _DEEPEST)):
        if count > _MOST:
            raise ArchiveError("modules that hold one another")
        if isinstance(value, Module):
            kinds.add(value.kind.rpartition(".")[2])
        else:
            found[name] = value
    return found, kinds


def _walked(module: Module, above: str, room: int) -> Iterator[tuple[str, Module | Stored]]:
    if not room:
        raise ArchiveError("modules that hold one another")
    yield above, module
    for name, value in module.state.items():
        if isinstance(value, Stored):
            yield f"{above}{name}", value
        elif isinstance(value, Module):
            yield from _walked(value, f"{above}{name}.", room - 1)


def numbers(path: Path, wanted: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The tensors themselves, on the CPU, in their own types. Raises ArchiveError where the archive does not hold them whole."""
    import torch

    sizes = dict(TYPES.values())
    if sum(prod(each.shape) * sizes[each.dtype] for each in wanted.values()) > 2 * path.stat().st_size:
        raise ArchiveError("many tensors of the same numbers")
    out: dict[str, Tensor] = {}
    with _opened(path) as (archive, root):
        for name, each in wanted.items():
            size = each.held * sizes[each.dtype]
            data = _entry(archive, f"{root}data/{each.key}", size)
            if len(data) != size:
                raise ArchiveError(f"{len(data):,} bytes of {name}, {size:,} are needed: truncated?")
            kind = getattr(torch, each.dtype)
            flat = torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind)
            out[name] = flat.as_strided(each.shape, each.stride, each.offset).contiguous()
    return out


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, str]]:
    """The archive, and the folder in it that PyTorch has put everything in; whatever damaged bytes lead to is an ArchiveError."""
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [
                name.removesuffix("data.pkl") for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)
            ]
            if len(roots) != 1:
                raise ArchiveError(f"{len(roots)} pickles of a model in it")
            order = f"{roots[0]}byteorder"
            if order in archive.namelist() and _entry(archive, order, 100) != b"little":
                raise ArchiveError("numbers of another byte order")
            yield archive, roots[0]
    except ArchiveError:
        raise
    except Exception as error:
        pass_interrupt(error)
        raise ArchiveError(f"damaged ({type(error).__name__}: {error})") from error


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > most:
        raise ArchiveError(f"{name} of {entry.file_size:,} bytes, where PyTorch writes {most:,} at most, as they are")
    return archive.read(entry)
