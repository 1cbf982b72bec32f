"""The command line: one file a command, in the order of `gelo --help`; `base` is what they share, `program` how they end.

No logic here: each command says what it needs. Nothing heavy is imported before a command runs.
"""

from gelo.sweeps.cli import run, submit, plan, status, logs, ls, clean, prepare, show  # isort: skip  # noqa: F401
from gelo.sweeps.cli import evaluate, export, import_, results, report, recommend, compare  # isort: skip  # noqa: F401
from gelo.sweeps.cli import doctor, cache, ui  # isort: skip  # noqa: F401
from gelo.sweeps.cli.base import app
from gelo.sweeps.cli.program import main

__all__ = ["app", "main"]
