"""`Card`: the content of dataset.json, and one entry a file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gelo.tasks.data.prompts import Prompts
from gelo.tasks.data.understood import Reading, Understood


class FileEntry(BaseModel):
    """One file of the data set: its name, size in bytes, rows and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    bytes: int
    rows: int
    sha256: str


class Card(BaseModel):
    """The content of dataset.json.

    reading: how its files become pixels; a card without it is of an older gelo, which read as open_clip does. undefined: protocols that
    this set cannot be scored with, each with the reason (`{"zero_shot": "labels are numbers without names"}`). elsewhere: the user's own
    file that the images stay in, by its path (tasks/data/elsewhere.py).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    name: str
    version: str
    scale: Literal["miniature", "full"]
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    splits: dict[str, tuple[FileEntry, ...]]
    tables: dict[str, FileEntry] = {}
    source: str
    licence: str
    partial: bool = False
    prompts: Prompts | None = None
    protocols: tuple[str, ...] = ()  # of a user's own set: what it is scored with; the catalogue says it of the others
    reading: Reading = "open_clip"
    undefined: dict[str, str] = {}
    understood: Understood | None = None
    elsewhere: FileEntry | None = None

    def counts(self) -> dict[str, int]:
        """Records by split."""
        return {split: sum(shard.rows for shard in shards) for split, shards in self.splits.items()}
