"""What is to be logged, kept in the sweep's storage before MLflow hears of it, and how far MLflow has got.

<storage>/<sweep>/tracking/<key>.jsonl    the log of a trial's run (`runlog`), whole
<storage>/<sweep>/tracking/index.json     of every run what was asked last, the seal of its log, and what the store has acknowledged

A log is written before the index says so, and the index says "acknowledged" after the store did. So a kill between two writes leaves an
index that knows too little, never too much: what it lacks is asked, or sent, again, and is the very same. One index for all runs, so
that a resume with nothing to do reads one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from upath import UPath

from gelo.models.durable import publish_bytes
from gelo.sweeps.tracking.runlog import KEY, Asked, RunLog, Status


class Known(BaseModel):
    """Of one run. asked: digest of what was asked last; seal, rows: of its log; there, logged: the rows and the `state` that the store has
    acknowledged."""

    model_config = ConfigDict(extra="forbid")

    asked: str
    seal: str
    status: Status
    rows: int
    there: int = 0
    logged: str = ""

    @property
    def state(self) -> str:
        return f"{self.seal} {self.status}"

    @property
    def waits(self) -> bool:
        return self.logged != self.state


class Index(BaseModel):
    """index.json. store: digest of the address that acknowledged, "" before one did."""

    model_config = ConfigDict(extra="forbid")

    store: str = ""
    runs: dict[Annotated[str, Field(pattern=KEY)], Known] = {}


class Spool:
    """The spool of one sweep; root: its folder `tracking`, which is made when something is written. Raises OSError of the storage."""

    def __init__(self, root: UPath) -> None:
        self.root = root
        self._kept = self._read_index()
        self.index = Index.model_validate_json(self._kept) if self._kept else Index()

    def put(self, asked: Asked) -> None:
        """Keep what is asked of a run; what was asked already reads and writes nothing."""
        digest, known = asked.digest(), self.index.runs.get(asked.key)
        if known is None or known.asked != digest:
            self.write(asked.over(self.read(asked.key)), digest)

    def read(self, key: str) -> RunLog | None:
        """The log of a run; None where there is none, or a damaged one."""
        try:
            return RunLog.loads(self._place(key).read_bytes())
        except (FileNotFoundError, ValueError):  # pydantic's error is one
            return None

    def write(self, log: RunLog, asked: str) -> None:
        """Keep the log of a run, in answer to what was asked."""
        key, content = log.head.key, log.dumps()
        publish_bytes(self._place(key), content)
        before = self.index.runs.get(key)
        known = Known(asked=asked, seal=log.seal, status=log.head.status, rows=len(log.rows()))
        kept = {"there": before.there, "logged": before.logged} if before else {}
        self.index.runs[key] = known.model_copy(update=kept)

    def acknowledge(self, key: str, state: str) -> None:
        """The store has this state of a run: a seal and a status."""
        known = self.index.runs[key]
        known.logged = state
        if not known.waits:
            known.there = known.rows

    def reached(self, store: str, states: Mapping[str, str]) -> None:
        """A store has answered, of every run with the state that it has: whatever was acknowledged before, that counts."""
        self.index.store = store
        for key, known in self.index.runs.items():
            if states.get(key, "").split()[:1] != known.logged.split()[:1]:
                known.there = 0
            self.acknowledge(key, states.get(key, ""))

    def save(self) -> None:
        """Write the index, if it has changed."""
        content = self.index.model_dump_json().encode()
        if content != self._kept and self.index != Index():
            publish_bytes(self.root / "index.json", content)
            self._kept = content

    def waiting(self) -> Iterator[tuple[str, Known]]:
        """Runs that the store has not acknowledged as they are to be."""
        return ((key, known) for key, known in self.index.runs.items() if known.waits)

    def _read_index(self) -> bytes:
        """The index as it stands; b"" where there is none, or a damaged one, which is made anew from what is asked next."""
        try:
            content = (self.root / "index.json").read_bytes()
            Index.model_validate_json(content)
        except (FileNotFoundError, ValidationError):
            return b""
        return content

    def _place(self, key: str) -> UPath:
        return self.root / f"{key}.jsonl"
