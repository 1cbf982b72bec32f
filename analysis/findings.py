"""The answers in words, computed. A finding that the numbers do not carry says so: the study must be able to fail.

Questions have a file each: `forgetting` (the study's three), `gains`, `remedies`. What they count is in `contrasts`.
"""

from __future__ import annotations

import pandas as pd

from gelo.analysis.compare import Comparison
from gelo.analysis.finding import Finding
from gelo.analysis.forgetting import adaptations, order, sizes
from gelo.analysis.gains import gains
from gelo.analysis.kept import Kept
from gelo.analysis.labels import NONE
from gelo.analysis.remedies import remedies


def findings(comparison: Comparison) -> list[Finding]:
    """The three main findings, in this order (what was kept, LoRA against full, larger against smaller), then the gains, then the
    remedies. Where a sweep has several trials of one cell (a grid over rates or epochs), their mean stands for it, and the text says so.
    """
    plain, kept = _plain_trials(comparison), Kept(comparison)
    main = [order(comparison, kept, plain), adaptations(kept, plain), sizes(comparison, kept, plain)]
    return [*main, *gains(comparison, plain), *remedies(comparison)]


def _plain_trials(comparison: Comparison) -> pd.DataFrame:
    """Trained trials without a remedy, with gelo and gelo_probe."""
    trials = comparison.runs.trials
    frame = trials.assign(
        gelo=trials["trial"].map(comparison.general["zero_shot"].gelo),
        gelo_probe=trials["trial"].map(comparison.general["probe"].gelo),
        adaptation_parameters_text=[str(sorted(item.items())) for item in trials["adaptation_parameters"]],
    )
    return frame[(frame["task"] != NONE) & (frame["remedy_kind"] == NONE)]
