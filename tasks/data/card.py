"""`Card`: the content of dataset.json, and one entry a file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from gelo.models.untrusted import plain_name
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

    @model_validator(mode="after")
    def _stays_within(self) -> Card:
        """Splits, tables and their files become paths below the data set's folder and the cache's."""
        files = [each.file for shards in self.splits.values() for each in shards]
        names = {
            "split": [*self.splits],
            "table": [*self.tables],
            "file": [*files, *(e.file for e in self.tables.values())],
        }
        for what, given in names.items():
            for name in given:
                if not plain_name(name):
                    raise ValueError(f"{what} {name[:80]!r}: a plain name, without a slash, is expected")
        return self

    def counts(self) -> dict[str, int]:
        """Records by split."""
        return {split: sum(shard.rows for shard in shards) for split, shards in self.splits.items()}
