"""Where a run reads and writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Where a run reads and writes. Saved with the sweep; what is given at `resume` wins."""

    storage: str = "out"
    tracking: str = "sqlite:///out/mlflow.db"
    data: str = "out/data"
    cache: str = "out/cache"
    address: str = "local"
    cpus: int | None = None
