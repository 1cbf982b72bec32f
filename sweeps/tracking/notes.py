"""What MLflow says of a run in words: where its files are, what to type, where the report is. Markdown; numbers stand in the metrics.

A description is written once, so what a person makes of it stays. Its links lead from page to page of MLflow's own, at whatever address the
pages are served.
"""

from __future__ import annotations

import shlex

from upath import UPath

from gelo.models.secrets import redacted

REPORT = "report/index.html"  # an artifact of the sweep's run


def run_link(experiment: str, run_id: str, artifact: str = "") -> str:
    """The part of an address behind the `#` of MLflow's pages: of a run, or of one of its artifacts."""
    return f"#/experiments/{experiment}/runs/{run_id}" + (f"/artifacts/{artifact}" if artifact else "")


def of_trial(name: str, key: str, root: UPath, experiment: str, parent: str) -> str:
    """root: the sweep's folder; parent: the id of the sweep's run."""
    at = _storage(root)
    return redacted(
        f"**{name}** is trial `{key}` of the [sweep {root.name}]({run_link(experiment, parent)}); all are set beside each other in its "
        f"[report]({run_link(experiment, parent, REPORT)}).\n\n"
        f"- Its files: `{root / 'trials' / key}`\n"
        f"- What is missing of it is made by `gelo resume {root.name}{at}`\n"
        f"- What it printed: `gelo logs {key} {root.name}{at}`\n"
        f"- As a model for other libraries: `gelo export {root.name}/{key} --to DIR{at}`\n"
    )


def of_sweep(root: UPath, experiment: str, run_id: str) -> str:
    at = _storage(root)
    return redacted(
        f"**{root.name}** is a sweep of gelo; the runs below this one are its trials.\n\n"
        f"- [The report]({run_link(experiment, run_id, REPORT)}), once it has ended: tables and pictures; the same in `{root / 'report'}`\n"
        f"- What was asked: [sweep.json]({run_link(experiment, run_id, 'sweep.json')})\n"
        f"- Its files: `{root}`\n"
        f"- Where it stands: `gelo status {root.name}{at}`\n"
        f"- What is missing is made by `gelo resume {root.name}{at}`, the report anew by `gelo report {root.name}{at}`\n"
    )


def _storage(root: UPath) -> str:
    return f" --storage {shlex.quote(str(root.parent))}"
