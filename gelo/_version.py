"""`gelo.__version__`: that of the installation, or of the checkout whose pyproject.toml lies beside this folder."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__: str = version("gelo-sweeps")
except PackageNotFoundError:
    __version__ = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["version"]
