"""What one trial of a sweep is granted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Resources(BaseModel):
    """What one trial is granted, and how its failures are treated. None of it enters a trial's key.

    gpus: of a trial: 0, a fraction of one, or whole GPUs, each with a rank (a process) of its own. workers: ranks of a trial on CPUs; with
    GPUs there is one for each. cpus: whole CPUs of each rank, also its torch threads. retries: fresh starts of a failed trial from its last
    checkpoint. checkpoint_minutes: an extra checkpoint inside a long epoch. wave: encoders embedded in one pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cpus: int = Field(1, ge=1)
    gpus: float = Field(0, ge=0, allow_inf_nan=False)
    workers: int | None = Field(None, ge=1, validate_default=True)
    retries: int = Field(1, ge=0)
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

    @property
    def ranks(self) -> int:
        """Processes of one trial."""
        return self.workers or max(1, int(self.gpus))

    @property
    def gpus_of_a_rank(self) -> float:
        """0, a fraction of one, or 1."""
        return min(1.0, self.gpus)
