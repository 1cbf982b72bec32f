"""What a spec says of optimiser and schedule. No torch here: the command line reads these."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from gelo.models.spec import Spec, joined

Sampler = Literal["shuffled", "class_balanced", "identity_balanced"]  # models/training/sampling.py
Schedule = Literal["constant", "cosine", "cosine_restarts"]  # models/training/schedule.py
Precision = Literal["fp32", "tf32", "bf16"]


class Optimisation(Spec):
    """AdamW on backbone and head, each with a rate of its own; gradients clipped by their norm, backbone and head apart.

    steps_per_epoch: how many steps count as an epoch, whatever the number of images, which then go round; as many as they fill without.
    accumulate: parts of a batch that go through one after the other, whose gradients are added: less memory, the same batch. precision:
    bf16 for the vision tower's forward pass alone (autocast); weights, features, losses and optimiser stay float32; tf32: matrix products
    and convolutions take 10 bits of each factor's mantissa; both on GPUs alone. The others: models/training/switches.py.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    lr_backbone: float = Field(gt=0)
    lr_head: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    schedule: Schedule
    warmup_epochs: int = Field(ge=0)
    sampler: Sampler
    steps_per_epoch: int | None = joined(None, ge=1)
    accumulate: int = joined(1, ge=1, validate_default=True)
    precision: Precision = joined("fp32")
    checkpointing: bool = joined(False)
    compile: bool = joined(False)
    fused: bool = joined(False)
    deterministic: bool = joined(True)

    @field_validator("accumulate")
    @classmethod
    def _divides_the_batch(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("batch", 0) % value:
            raise ValueError(f"batch, {info.data['batch']}, is a multiple of it")
        return value
