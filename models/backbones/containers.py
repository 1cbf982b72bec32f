"""Weights as other tools leave them: what a folder, a set of names or a pickle is, and what to do to have a file that is read.

Nothing here is converted: gelo reads a plain state dict under open_clip's names, and says of anything else what it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from os.path import commonpath
from pathlib import Path
from typing import Any, NamedTuple

SAFETENSORS = (".safetensors",)
STATE_DICTS = (".pt", ".pth", ".bin")

_ADAPTER = "merge it first (peft: merge_and_unload), and name a file of the merged weights"
_ADAPTER_FILE = "adapter_config.json"
_OTHER_NAMES = ("vision_model.", "text_model.", "visual_projection.")  # transformers' CLIPModel
_OWN = (
    "visual",
    "text",
    "transformer",
)  # what names of open_clip's may begin with, all of them where only one tower is there
_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.\w+)")  # of a model that Hugging Face's tools have cut into several files
_DEEPEST = 3  # levels of dicts that are looked into
_NAMED = 3


class Flaw(NamedTuple):
    """What was found in place of weights, and what to do."""

    found: str
    remedy: str


def place_flaw(path: Path) -> Flaw | None:
    """Why there is no weight file at `path`; None where there is a file."""
    if path.is_file():
        return _shard_flaw(path.parent, [path.name])
    if path.is_dir():
        return _folder_flaw(path)
    if path.is_symlink():
        return Flaw(f"a link to {path.readlink()}, which is not there", "")
    above = next((place for place in path.absolute().parents if place.exists()), path)
    return Flaw("missing" if above.is_dir() else f"missing: {above} is a file, not a folder", "")


def _folder_flaw(folder: Path) -> Flaw:
    names = sorted(entry.name for entry in folder.iterdir())
    if _ADAPTER_FILE in names:
        return Flaw("a folder with a peft adapter, not with weights of its own", _ADAPTER)
    files = [name for name in names if name.lower().endswith((*SAFETENSORS, *STATE_DICTS))]
    shards = _shard_flaw(folder, files)
    if shards is not None:
        return shards
    if len(files) == 1:
        return Flaw("a folder, not a file", f"name its {files[0]}: {folder / files[0]}")
    return Flaw(
        "a folder, not a file", f"name one of its files: {_first(files)}" if files else "no weight file is in it"
    )


def _shard_flaw(folder: Path, names: Collection[str]) -> Flaw | None:
    """Where these files are nothing but shards of one model: how to join them."""
    cut = [_SHARD.fullmatch(name) for name in names]
    models = {match.groups() for match in cut if match}
    if len(models) != 1 or not all(cut):
        return None
    ((stem, count, suffix),) = models
    if int(count) == 1:
        return None
    pattern, target = str(folder / f"{stem}-*-of-{count}{suffix}"), str(folder / f"{stem}-joined.safetensors")
    load = "s.load_file(f)" if suffix in SAFETENSORS else "torch.load(f, weights_only=True)"
    every = f"{{k: v for f in glob.glob({pattern!r}) for k, v in {load}.items()}}"
    code = f"import glob, torch, safetensors.torch as s; s.save_file({every}, {target!r})"
    return Flaw(f"shards of a model in {int(count)} files", f'join them: python -c "{code}"')


def names_flaw(names: Collection[str], path: Path, inside: str = "") -> Flaw | None:
    """Why tensors of these names are not a model's under open_clip's names, where the names alone tell; None where they do not.

    inside: where they stand in what torch loads, such as `['state_dict']`.
    """
    plain = [name.removeprefix("module.") for name in names]
    if any(part.startswith("lora_") for name in plain for part in name.split(".")):
        return Flaw("a peft adapter: tensors that are added to weights, not the weights", _ADAPTER)
    shared = commonpath(["/".join(name.split(".")[:-1]) for name in plain]).split("/") if len(plain) > 1 else [""]
    prefix = ".".join([*takewhile(lambda part: part not in ("", *_OWN), shared), ""]).removeprefix(".")
    if any(name.removeprefix(prefix).startswith(_OTHER_NAMES) for name in plain):
        remedy = "name open_clip's file of the same weights (open_clip_model.safetensors of the hub), or convert it"
        return Flaw("tensors under the names of Hugging Face's transformers (vision_model., text_model.)", remedy)
    if prefix:
        return Flaw(
            f"every key begins with {prefix!r}", f"save the tensors without it: {_renamed(path, prefix, inside, names)}"
        )
    return None


def _renamed(path: Path, prefix: str, inside: str, names: Collection[str]) -> str:
    target, without = str(path.with_name(f"{path.stem}-plain.safetensors")), f"k.removeprefix({prefix!r})"
    if any(name.startswith("module.") for name in names):
        without = f"k.removeprefix('module.').removeprefix({prefix!r})"
    if path.suffix.lower() in SAFETENSORS:
        code = f"import safetensors.torch as s; s.save_file({{{without}: v for k, v in s.load_file({str(path)!r}).items()}}, {target!r})"
    else:
        load = f"torch.load({str(path)!r}, weights_only=True){inside}"
        code = f"import torch, safetensors.torch as s; s.save_file({{{without}: v for k, v in {load}.items()}}, {target!r})"
    return f'python -c "{code}"'


def content_flaw(content: Any, is_tensor: Any, path: Path) -> Flaw | None:
    """Why what a file holds is no dict of tensors, None where it is."""
    if not isinstance(content, Mapping):
        return Flaw(f"a {type(content).__name__} with other things than tensors", "")
    odd = {str(key): value for key, value in content.items() if not is_tensor(value)}
    if not odd and content:
        return None
    inner = list(_deeper(content, is_tensor))
    if inner:
        target, first = path.with_name(f"{path.stem}-plain.pt"), "".join(f"[{key!r}]" for key in inner[0])
        save = f"torch.save(torch.load({str(path)!r}, weights_only=True){first}, {str(target)!r})"
        return Flaw(
            f"a dict whose tensors stand deeper, under {_first([' -> '.join(map(repr, keys)) for keys in inner])}",
            f'save those alone: python -c "import torch; {save}"',
        )
    named = _first([f"{key!r} ({type(value).__name__})" for key, value in odd.items()]) or "it is empty"
    return Flaw(f"a dict with other things than tensors: {named}", "")


def _deeper(content: Mapping[Any, Any], is_tensor: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each dict of nothing but tensors."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value and len(above) < _DEEPEST:
            if all(map(is_tensor, value.values())):
                yield (*above, key)
            else:
                yield from _deeper(value, is_tensor, (*above, key))


def pickle_flaw(error: Exception) -> Flaw:
    """What torch would not read, in a line: its own message has several and colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    unsafe = re.search(r"GLOBAL ([\w.]+)", text)
    if unsafe:
        remedy = "where it is a model, save its tensors alone: torch.save(model.state_dict(), 'weights.pt')"
        return Flaw(f"unreadable: it holds a pickled {unsafe[1]}, which would run code to be read", remedy)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Flaw(f"unreadable ({type(error).__name__}: {line[:120]})", "")


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
