"""How a run of a sweep ended, and the tags that its runs in MLflow carry."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upath import UPath

from gelo.models.faults import Fault
from gelo.sweeps.spec.sweep import SweepSpec
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.tracking.logged import Metric
from gelo.sweeps.tracking.outbox import Outbox
from gelo.sweeps.tracking.summary import HEADLINE
from gelo.tasks.data.catalogue import COLLECTIONS


@dataclass
class Outcome:
    """How a run ended.

    failures: trial key -> failure, with its `label`; cut: trial key -> where a scheduler ended it; faults: what kept results from being
    there, all others being saved; stopped: the number of the signal on which it ended, after saving; halted: why it ended before its end
    with nobody asking, after saving; outbox: what it has logged.
    """

    folder: SweepFolder
    outbox: Outbox
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    faults: dict[Fault, None] = field(default_factory=dict)
    stopped: int = 0
    halted: str = ""

    @property
    def early(self) -> bool:
        """Whether something was left undone that only waits to be gone on with."""
        return bool(self.stopped or self.halted)

    def keep(self, report: UPath, headline: Mapping[str, float]) -> None:
        """Give the sweep's run in MLflow its numbers and the report's files."""
        metrics = [Metric(name, value) for name, value in headline.items()]
        self.outbox.report(metrics, HEADLINE, report)

    @property
    def unlogged(self) -> str:
        """What MLflow lacks of the sweep, and why; "" where it has all."""
        return self.outbox.waits()


def tags_of(spec: SweepSpec) -> dict[str, str]:
    try:
        described = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        commit = {"gelo.commit": described.stdout.strip()} if described.returncode == 0 else {}
    except OSError:  # no git on this machine
        commit = {}
    return {"gelo.sweep": spec.name, "gelo.scale": COLLECTIONS[spec.collection], **commit}
