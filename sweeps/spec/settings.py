"""Where a run reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict
from upath import UPath

from gelo.models.durable import is_local


@dataclass(frozen=True)
class Settings:
    """Where a run reads and writes. Saved with the sweep; what is given at `resume` wins. cache_limit: in gigabytes. verify: hash every
    shard of every data set, whatever is known of it."""

    storage: str = "out"
    tracking: str = "sqlite:///out/mlflow.db"
    data: str = "out/data"
    cache: str = "out/cache"
    address: str = "local"
    cpus: int | None = None
    cache_limit: float | None = 100
    verify: bool = False
    __pydantic_config__ = ConfigDict(extra="forbid")

    def resume(self, name: str) -> str:
        """What to type to go on with a sweep: all but the storage is saved in it."""
        return f"gelo resume {name}" + ("" if self.storage == Settings.storage else f" --storage {self.storage}")

    def pages(self, name: str) -> str:
        """What to type to see a sweep's runs in MLflow's pages."""
        return f"gelo ui {name}" + ("" if self.tracking == Settings.tracking else f" --tracking {self.tracking}")

    def place(self) -> UPath:
        """`storage` as a path that means the same in every process: workers run in folders of their own."""
        path = placed(self.storage)
        return path.absolute() if is_local(path) else path


def placed(storage: str) -> UPath:
    """A place as all else takes it: a `file:` address is the path that it names."""
    path = UPath(storage)
    return UPath(path.path) if path.protocol in ("file", "local") else path
