"""Why a start of a trial ended before its end, as Tune tells it, and what follows from that.

| kind | what happened | what follows |
|---|---|---|
| machine lost | its machine went away, is being taken away, or cannot be reached | waited for, `patience` long; not counted |
| storage away | storage did not answer | the same |
| out of memory | Ray ended it, as its machine had no memory left | fails for good |
| process died | its process ended without a word on a machine that lives | a fresh start, `retries` times |
| fault | an exception that nobody expected | the same |

What trying again cannot mend (a user's mistake, a loss that is no number, a full disk, memory that a card lacks) the trial says itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import ray

from gelo.models.storage.away import StorageAwayError

Kind = Literal["machine lost", "storage away", "out of memory", "process died", "fault"]
_DEATH = re.compile(r"The actor\b[^\n]* (?:died|is dead|is unavailable|is temporarily unavailable)\b")
_NODE_DIED = ("node has died", "node was terminated", "node died", "preempted")
_NO_MEMORY = (
    "node_out_of_memory",
    "running low on memory",
)  # its own monitor's; it names the system's killer at any sudden death

_WORDS = {  # of what Ray tells in many lines
    "machine lost": "its machine went away",
    "process died": "its process was killed or crashed, on a machine that lives",
    "out of memory": "Ray ended it, as its machine had no memory left",
}


class DrainedError(Exception):
    """The trial has saved and left: one of its machines is being taken away."""


@dataclass(frozen=True)
class Loss:
    """One start of a trial that ended before its end. why: in a line; whole: all that is known."""

    kind: Kind
    why: str
    whole: str

    @property
    def waited_for(self) -> bool:
        """Whether it is no failure of the trial."""
        return self.kind in ("machine lost", "storage away")

    @property
    def final(self) -> bool:
        """Whether trying again could only end in the same way."""
        return self.kind == "out of memory"

    def failure(self, more: str = "") -> dict[str, Any]:
        """As the trial's folder keeps it. more: what was tried."""
        return {"kind": self.kind, "error": f"{self.whole}\n{more}" if more else self.whole}


def raised_in(task: ray.exceptions.RayTaskError) -> Exception:
    """What a task of Ray's raised itself, as it is in this process."""
    return task.cause if isinstance(task.cause, Exception) else task


def loss_of(text: str, nodes: Collection[str]) -> Loss:
    """text: the error in Ray's and Python's words, as Tune writes it down; the pickle beside it is not read (docs/security.md). nodes: ids
    of the machines on which the trial ran."""
    whole = text.strip()[-4000:] or "the worker died without a word"
    kind, last = _kind(text, nodes), whole.splitlines()[-1].strip()
    return Loss(kind, last if DrainedError.__name__ in last else _WORDS.get(kind) or last, whole)


def _kind(text: str, nodes: Collection[str]) -> Kind:
    words = text.lower()
    if f"{DrainedError.__name__}: " in text:
        return "machine lost"
    if f"{StorageAwayError.__name__}: " in text:
        return "storage away"
    if not _DEATH.search(text) or "in its creation task" in words:
        return "fault"
    if any(each in words for each in _NO_MEMORY):
        return "out of memory"
    lost = "unavailable" in words or any(each in words for each in _NODE_DIED) or _gone(nodes)
    return "machine lost" if lost else "process died"


def _gone(nodes: Collection[str], ask: Callable[[], list[dict[str, Any]]] = ray.nodes) -> bool:
    """Whether one of these machines is not in the cluster any more."""
    return bool(set(nodes) - {node["NodeID"] for node in ask() if node["Alive"]})


def draining() -> set[str]:
    """Ids of the machines that Ray was told will be taken away soon."""
    return set(ray._private.state.state.get_draining_nodes())  # what Ray Train asks; there is no public way
