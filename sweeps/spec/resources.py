"""What one trial of a sweep is granted."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

_UNITS = {"s": 1 / 3600, "min": 1 / 60, "h": 1.0, "d": 24.0}


def _hours(given: Any) -> Any:
    """A number of hours as it is; `90 min`, `24h` and `2 d` in hours."""
    found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})\s*", given) if isinstance(given, str) else None
    if found is None and isinstance(given, str):
        raise ValueError("a time such as 90 min, 24h or 2 d")
    return float(found[1]) * _UNITS[found[2]] if found is not None else given


Hours = Annotated[float, BeforeValidator(_hours), Field(gt=0, allow_inf_nan=False)]


class Limits(BaseModel):
    """What a sweep may use before somebody has to look at it; no limit where nothing is said. What ends so has saved, and goes on where it
    stopped once the limit is higher. Times are hours, or written with their unit: `90 min`, `24h`, `2 d`.

    trial: of one trial's training, all its starts together. trial_gpu_hours: the same times its GPUs. run: of one `gelo run` or `gelo
    resume`. gpu_hours: of all trainings of the sweep ever, what was done twice included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    trial: Hours | None = None
    trial_gpu_hours: Hours | None = None
    run: Hours | None = None
    gpu_hours: Hours | None = None


class Resources(BaseModel):
    """What one trial is granted, and how its failures are treated. None of it enters a trial's key.

    gpus: of a trial: 0, a fraction of one, or whole GPUs, each with a rank (a process) of its own. workers: ranks of a trial on CPUs; with
    GPUs there is one for each. pack: with `gpus: 1`: a GPU each until a training like it has ended, then the share of one that it needs, by
    what that one held (docs/cluster.md). cpus: whole CPUs of each rank, also its torch threads. retries: fresh starts from its last
    checkpoint of a trial that failed by a fault of its own, or whose process died. patience: how long is waited, in hours or as `90 min`,
    `24h`, `2 d`, for machines that went away and for storage that does not answer; neither counts as a retry. limits: hours after which a
    trial or the sweep ends, below. checkpoint_minutes: an extra checkpoint inside a long epoch. wave: encoders embedded in one pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cpus: int = Field(1, ge=1)
    gpus: float = Field(0, ge=0, allow_inf_nan=False)
    workers: int | None = Field(None, ge=1, validate_default=True)
    pack: bool = False
    retries: int = Field(1, ge=0)
    patience: Hours = 24.0
    limits: Limits = Limits()
    checkpoint_minutes: float = Field(10, gt=0)
    wave: int = Field(24, ge=1)

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a fraction of one GPU, or whole GPUs")
        return value

    @field_validator("workers")
    @classmethod
    def _one_a_gpu(cls, value: int | None, info: ValidationInfo) -> int | None:
        gpus = info.data.get("gpus", 0)
        if value is not None and gpus and value != max(1, int(gpus)):
            raise ValueError(f"one rank a GPU: {max(1, int(gpus))} with gpus {gpus:g}, or leave it out")
        return value

    @field_validator("pack")
    @classmethod
    def _of_one(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("gpus", 1) != 1:
            raise ValueError("with gpus 1, of which trainings are granted shares")
        return value

    @property
    def ranks(self) -> int:
        """Processes of one trial."""
        return self.workers or max(1, int(self.gpus))

    @property
    def gpus_of_a_rank(self) -> float:
        """0, a fraction of one, or 1."""
        return min(1.0, self.gpus)
