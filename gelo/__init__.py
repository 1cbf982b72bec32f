"""gelo: what specialising a vision-language encoder costs, and which remedy buys the most back.

For notebooks: `gelo.load`, `gelo.evaluate`, `gelo.run`, `gelo.results`, `gelo.metrics`, and the specs (`gelo.Lora`, `gelo.L2SP`, ...), each
imported when it is first asked for: `import gelo` loads nothing else.

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

if TYPE_CHECKING:  # the same as `_PLACES`: tests/test_facade.py compares them
    from gelo import analysis, metrics, models, sweeps, tasks
    from gelo.api import Run, evaluate, load, results, run
    from gelo.models.adapt import Full, Lora, LoraExperts, NoAdaptation
    from gelo.models.encoder import Encoder
    from gelo.models.faults import Fault, UserError
    from gelo.models.heads import Binary, CosFace
    from gelo.models.remedies import (
        EMA,
        EWC,
        FLYP,
        HMA,
        L2SP,
        PMG,
        ZSCL,
        Budget,
        Counterfactual,
        Distill,
        GroupCalibration,
        LanguageContrast,
        LwF,
        NoRemedy,
        Replay,
        Retrieval,
        SelectiveCalibration,
        Soup,
        Stack,
        SupCon,
        Wise,
    )
    from gelo.sweeps.spec.sweep import SweepSpec
    from gelo.tasks.ledger.trial import Training, Trial
    from gelo.tasks.results import Result

    __version__: str

__all__ = [
    "EMA", "EWC", "FLYP", "HMA", "L2SP", "PMG", "ZSCL", "Binary", "Budget", "CosFace", "Counterfactual", "Distill", "Encoder", "Fault",
    "Full", "GroupCalibration", "LanguageContrast", "Lora", "LoraExperts", "LwF", "NoAdaptation", "NoRemedy", "Replay", "Result",
    "Retrieval", "Run", "SelectiveCalibration", "Soup", "Stack", "SupCon", "SweepSpec", "Training", "Trial", "UserError", "Wise",
    "__version__", "analysis", "evaluate", "load", "metrics", "models", "results", "run", "sweeps", "tasks",
]  # fmt: skip

_PLACES = {
    **{name: f"gelo.{name}" for name in ("analysis", "metrics", "models", "sweeps", "tasks")},
    **dict.fromkeys(("Run", "evaluate", "load", "results", "run"), "gelo.api"),
    **dict.fromkeys(("Full", "Lora", "LoraExperts", "NoAdaptation"), "gelo.models.adapt"),
    **dict.fromkeys(("Fault", "UserError"), "gelo.models.faults"),
    **dict.fromkeys(("Binary", "CosFace"), "gelo.models.heads"),
    **dict.fromkeys(
        (
            "EMA",
            "EWC",
            "FLYP",
            "HMA",
            "L2SP",
            "PMG",
            "ZSCL",
            "Budget",
            "Counterfactual",
            "Distill",
            "GroupCalibration",
            "LanguageContrast",
            "LwF",
            "NoRemedy",
            "Replay",
            "Retrieval",
            "SelectiveCalibration",
            "Soup",
            "Stack",
            "SupCon",
            "Wise",
        ),
        "gelo.models.remedies",
    ),
    **dict.fromkeys(("Training", "Trial"), "gelo.tasks.ledger.trial"),
    "Encoder": "gelo.models.encoder",
    "Result": "gelo.tasks.results",
    "SweepSpec": "gelo.sweeps.spec.sweep",
}
_get, __dir__ = _lazy(__name__, {**_PLACES, "__version__": "gelo._version"})


def __getattr__(name: str) -> Any:
    return _get(name)
