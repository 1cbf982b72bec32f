"""Where weights lie, as other tools leave them: a file, a folder of Hugging Face's or open_clip's, a model cut into shards.

Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

SAFETENSORS = (".safetensors",)
STATE_DICTS = (".pt", ".pth", ".bin")
OPEN_CLIP_CONFIG, HF_CONFIG = "open_clip_config.json", "config.json"

MERGE = "merge it first (peft: merge_and_unload), and name a file of the merged weights"
_ADAPTER_FILE = "adapter_config.json"
_SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.\w+)")  # of a model that Hugging Face's tools have cut into several files
# what is read of a folder that has several, in open_clip's order; "N" stands for shards
_ORDER = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth",
    "model.safetensors", "model-N.safetensors", "pytorch_model.bin", "pytorch_model-N.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
_NAMED = 3


class Flaw(NamedTuple):
    """What was found in place of weights, and what to do."""

    found: str
    remedy: str = ""


class FlawError(ValueError):
    """A Flaw on its way to whoever knows the file's name and what it was for."""

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(found)
        self.flaw = Flaw(found, remedy)


class Files(NamedTuple):
    """The files of one model, several where it is cut into shards, and their folder where what else lies there is about them."""

    files: tuple[Path, ...]
    folder: Path | None

    def config(self, hugging_face: bool) -> dict[str, Any] | None:
        """What stands beside the files of this form of names; None where nothing does. Raises FlawError for what is no JSON object."""
        path = None if self.folder is None else self.folder / (HF_CONFIG if hugging_face else OPEN_CLIP_CONFIG)
        if path is None or not path.is_file():
            return None
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise FlawError(f"{path.name} beside it is no JSON ({error})", "fetch it again") from None
        content = content if hugging_face or not isinstance(content, dict) else content.get("model_cfg")
        if not isinstance(content, dict):
            raise FlawError(f"{path.name} beside it describes no model", "fetch it again")
        return content


def files_at(path: Path) -> Files:
    """The files to read for what a user has named. Raises FlawError, saying what is there instead."""
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        shards = _SHARD.fullmatch(path.name)
        if shards and int(shards[2]) > 1:
            raise FlawError(f"one of {int(shards[2])} shards of a model", f"name their folder: {path.parent}")
        return Files(
            (path,), path.parent if path.name in _ORDER else None
        )  # a name of gelo's: its folder holds those of others
    if path.is_symlink():
        raise FlawError(f"a link to {path.readlink()}, which is not there")
    above = next((place for place in path.absolute().parents if place.exists()), path)
    raise FlawError("missing" if above.is_dir() else f"missing: {above} is a file, not a folder")


def size_of(path: Path) -> int:
    """Bytes of the files that would be read. Raises OSError where there are none."""
    try:
        return sum(file.stat().st_size for file in files_at(path).files)
    except FlawError as error:
        raise FileNotFoundError(str(error)) from None


def _of_folder(folder: Path) -> Files:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    if _ADAPTER_FILE in names:
        raise FlawError("a folder with a peft adapter, not with weights of its own", MERGE)
    held: dict[str, list[str]] = {}
    for name in names:
        if name.lower().endswith((*SAFETENSORS, *STATE_DICTS)):
            cut = _SHARD.fullmatch(name)
            held.setdefault(f"{cut[1]}-N{cut[3]}" if cut and int(cut[2]) > 1 else name, []).append(name)
    chosen = next((stem for stem in _ORDER if stem in held), next(iter(held)) if len(held) == 1 else None)
    if chosen is None:
        remedy = f"name one of its files: {first(held)}" if held else "no weight file is in it"
        raise FlawError("a folder, not a file", remedy)
    files = held[chosen]
    if "-N." in chosen:
        last = _SHARD.fullmatch(files[0])
        assert last is not None
        count = int(last[2])
        if len(files) != count:
            raise FlawError(f"{len(files)} of the {count} shards of a model: {first(files)}", "fetch the others")
    return Files(tuple(folder / name for name in files), folder)


def unsafe_flaw(asked: str) -> Flaw:
    """Of a pickle that asks for this name."""
    remedy = "where it is a model, save its tensors alone: torch.save(model.state_dict(), 'weights.pt')"
    return Flaw(f"unreadable: it holds a pickled {asked}, which would run code to be read", remedy)


def pickle_flaw(error: Exception) -> Flaw:
    """What torch would not read, in a line: its own message has several and colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    unsafe = re.search(r"GLOBAL ([\w.]+)", text)
    if unsafe:
        return unsafe_flaw(unsafe[1])
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Flaw(f"unreadable ({type(error).__name__}: {line[:120]})")


def first(names: Iterable[str]) -> str:
    """The first three, and how many more there are."""
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
