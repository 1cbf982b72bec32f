"""gelo: what specialising a vision-language encoder costs, and which remedy buys the most back.

For notebooks: `gelo.load`, `gelo.evaluate`, `gelo.run`, `gelo.results`, `gelo.tables`, `gelo.recommend`, `gelo.compare`, `gelo.metrics`,
and the specs (`gelo.Lora`, `gelo.L2SP`, ...), each imported when it is first asked for: `import gelo` loads nothing else.

The four packages stand at the repository's root and are imported as `gelo.models` (encoders), `gelo.tasks` (what is measured),
`gelo.sweeps` (what is run) and `gelo.analysis` (what is concluded): four such names in site-packages would be half of all research code's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

_HERE = Path(__file__).parent
if not (_HERE / "models").is_dir():  # not a wheel: a checkout, whose packages lie beside this folder
    __path__.append(str(_HERE.parent))

from gelo._lazy import lazy as _lazy  # noqa: E402

if TYPE_CHECKING:  # the same as `_PLACES` and `_FAMILIES`: tests/test_facade.py compares them
    from gelo import analysis, metrics, models, sweeps, tasks
    from gelo.answers import compare, recommend
    from gelo.api import Run, evaluate, load, run
    from gelo.frames import results, tables
    from gelo.models.adapt import *  # noqa: F403
    from gelo.models.encoder import Encoder
    from gelo.models.faults import Fault, UserError
    from gelo.models.heads import *  # noqa: F403
    from gelo.models.remedies import Stack
    from gelo.models.remedies.registry import *  # noqa: F403
    from gelo.sweeps.spec.sweep import SweepSpec
    from gelo.tasks.ledger.trial import Training, Trial
    from gelo.tasks.results import Result

    __version__: str

__all__ = [
    "Encoder", "Fault", "Result", "Run", "Stack", "SweepSpec", "Training", "Trial", "UserError", "__version__", "analysis", "compare",
    "evaluate", "load", "metrics", "models", "recommend", "results", "run", "sweeps", "tables", "tasks",
]  # fmt: skip

_PLACES = {
    **{name: f"gelo.{name}" for name in ("analysis", "metrics", "models", "sweeps", "tasks")},
    **dict.fromkeys(("Run", "evaluate", "load", "run"), "gelo.api"),
    **dict.fromkeys(("results", "tables"), "gelo.frames"),
    **dict.fromkeys(("compare", "recommend"), "gelo.answers"),
    **dict.fromkeys(("Fault", "UserError"), "gelo.models.faults"),
    **dict.fromkeys(("Training", "Trial"), "gelo.tasks.ledger.trial"),
    "Encoder": "gelo.models.encoder",
    "Result": "gelo.tasks.results",
    "Stack": "gelo.models.remedies",
    "SweepSpec": "gelo.sweeps.spec.sweep",
}
# Each class of their `OWN` by its name.
_FAMILIES = ("gelo.models.adapt", "gelo.models.heads", "gelo.models.remedies.registry")
_get, __dir__ = _lazy(__name__, {**_PLACES, "__version__": "gelo._version"}, _FAMILIES)


def __getattr__(name: str) -> Any:
    return _get(name)
