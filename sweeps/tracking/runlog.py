"""What one run in MLflow is to hold, and when its numbers came: a head, and one line for each time that numbers were added or changed.

Lines are only added. So how far a store has got is said by a count of lines and a digest over them, the *seal*, which its run carries as a
tag: of whatever has become of the store since, the seal says which lines it lacks. Pure of MLflow and of storage.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gelo.sweeps.tracking.logged import Row, Wanted, new_rows
from gelo.sweeps.tracking.values import Input, Model, Scalar, text_of

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
SEAL = "gelo.logged"  # the tag
KEY = r"^[\w-]{1,64}$"  # of a trial; a file is called after it
_Point = (
    tuple[int, float | None] | tuple[int, float | None, int]
)  # step, value (None: NaN), timestamp where it is not start + step
# What is asked, as results (at whatever step they stand) or by step; and what a run had that nobody asked for.
_Kind = Literal["results", "curves", "found"]
_LINE = TypeAdapter(dict[_Kind, dict[str, list[_Point]]])


class Head(BaseModel):
    """All of a run but its numbers. started, ended: ms since 1970; whole: see `new_rows`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern=KEY)]
    name: str
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    started: int
    status: Status
    ended: int
    inputs: tuple[Input, ...] = ()
    whole: tuple[str, ...] = ()
    model: Model | None = None


@dataclass(frozen=True)
class RunLog:
    """A head, and lines of rows as they stand in the file."""

    head: Head
    lines: tuple[bytes, ...] = field(default=())

    @classmethod
    def loads(cls, content: bytes) -> RunLog:
        """Raises ValueError for bytes that `dumps` did not write."""
        head, *lines = content.splitlines()
        for line in lines:
            _LINE.validate_json(line)
        return cls(Head.model_validate_json(head), tuple(lines))

    def dumps(self) -> bytes:
        return b"\n".join([self.head.model_dump_json().encode(), *self.lines, b""])

    def rows(self, since: int = 0) -> list[Row]:
        """The rows of all lines but the first `since`."""
        return [row for row, _ in self._rows(since)]

    def grown(self, wanted: Wanted) -> RunLog:
        """With a line more where `wanted` is not what the lines say already."""
        rows = self.rows()
        last = {
            row.name: row for row in sorted(rows, key=lambda row: (row.step, row.timestamp))
        }  # as MLflow shows them
        new = new_rows(wanted, last.values(), rows, self.head.started, self.head.whole)
        curves = {name for name, step in wanted if step is not None}
        return self._with((row, "curves" if row.name in curves else "results") for row in new)

    def adopted(self, start: int, there: Iterable[Row]) -> RunLog:
        """The same numbers over what a run that this log knows nothing of has already: its rows as the first line, what they lack as the
        next. start: of that run, in ms."""
        wanted = self.wanted()
        curves = {name for name, step in wanted if step is not None}
        marked: list[tuple[Row, _Kind]] = []
        for row in there:
            curve = row.name in curves
            asked = wanted.get((row.name, row.step if curve else None)) == row.value
            marked.append((row, "found" if not asked else "curves" if curve else "results"))
        base = RunLog(self.head.model_copy(update={"started": start}))._with(marked, empty=True)
        return base.grown(wanted)

    def wanted(self) -> dict[tuple[str, int | None], float]:
        """The values as they stand last, by name and step; None as the step of a result. Without those that are defined no more."""
        rows = sorted(
            ((row, kind) for row, kind in self._rows() if kind != "found"), key=lambda each: each[0].timestamp
        )
        found = {(row.name, row.step if kind == "curves" else None): row.value for row, kind in rows}
        return {place: value for place, value in found.items() if not math.isnan(value)}

    @cached_property
    def seal(self) -> str:
        """Of all lines and of the head's params, tags, inputs and model."""
        return self._sealed(len(self.lines))

    @property
    def unsealed(self) -> str:
        """The seal of a run that has no row yet."""
        return self._sealed(0)

    def acknowledged(self, seal: str | None) -> int | None:
        """How many lines a run with this seal has; None where the seal is none of this log's, as that of an older gelo's run."""
        count = int(seal.split("-")[0]) if seal and seal.split("-")[0].isdecimal() else -1
        known = 0 <= count <= len(self.lines) and self._sealed(count).split("-")[:2] == str(seal).split("-")[:2]
        return count if known else None

    def has_head(self, seal: str | None) -> bool:
        """Whether a run with this seal has the head's params, tags, inputs and model."""
        return bool(seal) and str(seal).split("-")[-1] == self.seal.split("-")[-1]

    def _sealed(self, count: int) -> str:
        rows = hashlib.sha256(b"\n".join([str(self.head.started).encode(), *self.lines[:count]])).hexdigest()[:16]
        told = self.head.model_dump_json(include={"params", "tags", "inputs", "model"}, exclude_none=True)
        head = hashlib.sha256(told.encode()).hexdigest()[:8]
        return f"{count}-{rows}-{head}"

    def _rows(self, since: int = 0) -> Iterable[tuple[Row, _Kind]]:
        for line in self.lines[since:]:
            for kind, named in _LINE.validate_json(line).items():
                for name, points in named.items():
                    for step, value, *at in points:
                        timestamp = at[0] if at else self.head.started + step
                        yield Row(name, math.nan if value is None else value, timestamp, step), kind

    def _with(self, rows: Iterable[tuple[Row, _Kind]], empty: bool = False) -> RunLog:
        """With these as a line more, where there are any, or `empty`."""
        line: dict[_Kind, dict[str, list[list[float | None]]]] = {}
        for (name, value, timestamp, step), kind in rows:
            point = [step, None if math.isnan(value) else value]
            at = [] if timestamp == self.head.started + step else [timestamp]
            line.setdefault(kind, {}).setdefault(name, []).append([*point, *at])
        if not line and not empty:
            return self
        return RunLog(self.head, (*self.lines, json.dumps(line, separators=(",", ":"), allow_nan=False).encode()))


@dataclass(frozen=True)
class Asked:
    """A run as it is to be: what `Tracker.ensure_trial`, `log` and `finish` are told. started, ended: seconds since 1970, None for now.
    wanted: as of `checked`; None for the numbers and inputs that it has. model: None for the one that it has."""

    key: str
    name: str
    params: Mapping[str, Scalar]
    status: Status
    tags: Mapping[str, str] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    inputs: tuple[Input, ...] = ()
    wanted: Wanted | None = None
    whole: tuple[str, ...] = ()
    model: Model | None = None

    def digest(self) -> str:
        """32 hex digits: equal where the same is asked again, in the same order."""
        wanted = None if self.wanted is None else [*self.wanted, *self.wanted.values()]
        told = [
            *(self.key, self.name, {name: text_of(value) for name, value in self.params.items()}, dict(self.tags)),
            *(self.started, self.status, self.ended, [[*each] for each in self.inputs], wanted, self.whole),
            *([self.model] if self.model is not None else []),
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]

    def over(self, before: RunLog | None) -> RunLog:
        """What was asked before, changed to this: a param, a start, and an end with the same status stay what they were."""
        now = int(1000 * time.time())
        params = {name: text_of(value) for name, value in self.params.items()}
        started = now if self.started is None else int(1000 * self.started)
        ended = now if self.ended is None else int(1000 * self.ended)
        head = Head(
            key=self.key, name=self.name, params=params, tags=dict(self.tags), started=started, status=self.status,
            ended=ended, inputs=self.inputs, whole=self.whole, model=self.model,
        )  # fmt: skip
        if before is not None:
            old = before.head
            kept: dict[str, Any] = {
                "params": {**params, **old.params},
                "tags": {**old.tags, **self.tags},
                "started": old.started,
                "model": self.model or old.model,
            }
            kept |= {"ended": old.ended} if old.status == self.status else {}
            kept |= {"inputs": old.inputs, "whole": old.whole} if self.wanted is None else {}
            head = head.model_copy(update=kept)
        log = RunLog(head, before.lines if before is not None else ())
        return log if self.wanted is None else log.grown(self.wanted)
