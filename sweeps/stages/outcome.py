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
from gelo.sweeps.tracking.summary import HEADLINE
from gelo.sweeps.tracking.tracker import Tracker
from gelo.tasks.data.catalogue import COLLECTIONS


@dataclass
class Outcome:
    """How a run ended. failures: trial key -> failure, with its `label`; faults: what kept results from being there, all others being
    saved; stopped: the number of the signal on which it ended, after saving; tracker, parent: where the sweep is tracked, and its run."""

    folder: SweepFolder
    tracker: Tracker
    parent: str
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[Fault, None] = field(default_factory=dict)
    stopped: int = 0

    def keep(self, report: UPath, headline: Mapping[str, float]) -> None:
        """Give the sweep's run in MLflow its numbers and the report's files."""
        metrics = [Metric(name, value) for name, value in headline.items()]
        self.tracker.log(self.parent, metrics, HEADLINE)
        self.tracker.keep(self.parent, report, "report")


def tags_of(spec: SweepSpec) -> dict[str, str]:
    try:
        described = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        commit = {"gelo.commit": described.stdout.strip()} if described.returncode == 0 else {}
    except OSError:  # no git on this machine
        commit = {}
    return {"gelo.sweep": spec.name, "gelo.scale": COLLECTIONS[spec.collection], **commit}
