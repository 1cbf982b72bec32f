"""The training side of the specialised tasks: one file a task, one table of them here, with those that other distributions register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gelo.models.faults import Fault
from gelo.models.registered import Registry, admitted, strange
from gelo.tasks.data.catalogue import COLLECTIONS
from gelo.tasks.metricnames import is_piece
from gelo.tasks.training import face, morph, spoof
from gelo.tasks.training.base import Task

OWN = (face.TASK, morph.TASK, spoof.TASK)


def clash(new: Any, known: Mapping[str, Task], where: str) -> Fault | None:
    """Why a registered object cannot be one of the tasks."""
    if not isinstance(new, Task):
        return strange(new, where, "a Task, or a tuple of them")
    if new.name in {*known, "none"} or not is_piece(new.name):
        return Fault(where, f"task {new.name!r}", "a name of its own, of letters, digits and _ - . :", "rename it")
    for field, by_collection in (("data", new.data), ("defaults", new.defaults), ("lora", new.lora)):
        if lacking := [name for name in COLLECTIONS if name not in by_collection]:
            expected = f"each of {', '.join(COLLECTIONS)}"
            return Fault(f"{where}: {field}", f"nothing for {', '.join(lacking)}", expected, "add it")
    return None


TASKS: Mapping[str, Task] = Registry(
    lambda: {task.name: task for task in OWN}, lambda own: admitted("gelo.tasks", own, lambda each: each.name, clash)
)

__all__ = ["TASKS", "Task"]
