"""The training side of the three biometric tasks: one file a task, one table of them here."""

from __future__ import annotations

from gelo.tasks.training import face, morph, spoof
from gelo.tasks.training.base import Task

TASKS: dict[str, Task] = {task.name: task for task in (face.TASK, morph.TASK, spoof.TASK)}

__all__ = ["TASKS", "Task"]
