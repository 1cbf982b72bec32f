"""The command line: one file a command, in the order of `gelo --help`; `base` is what they share, `program` how they end.

No logic here: each command says what it needs. Nothing heavy is imported before a command runs.
"""

from gelo.sweeps.cli import run, plan, status, ls, prepare, show, evaluate, export, import_, report, doctor, cache, ui  # isort: skip  # noqa: F401
from gelo.sweeps.cli.base import app
from gelo.sweeps.cli.program import main

__all__ = ["app", "main"]
