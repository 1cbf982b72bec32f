"""gelo's numbers are really on Ray's Prometheus port, and the Grafana file asks for nothing that is not there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import ray

from gelo.sweeps.engine.gauges import NAMES, STATES

ROOT = Path(__file__).parents[2]
PANELS = json.loads((ROOT / "docs" / "examples" / "grafana-gelo.json").read_text())
_ASKED = {
    name
    for panel in PANELS["panels"]
    for target in panel["targets"]
    for name in re.findall(r"\bray_\w+", target["expr"])
}
PROGRAM = """
import json, time, urllib.request
import ray
from upath import UPath
from gelo.sweeps.engine.gauges import gauged
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.state.journal import journal
from gelo.sweeps.state.record import recorded
from gelo.sweeps.terminal.progress import Display
from rich.console import Console

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _metrics_export_port=0)
folder = SweepFolder(UPath("."), "mine")
(node,) = ray.nodes()
page = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
display = Display(Console(quiet=True))
with recorded(folder.root, display) as record, display.stage("train", 4, "trials") as stage:
    with journal(folder.root / "trials" / "a", ranks=1, cpus=1, gpus=0) as own:
        own.step(0, 100, 32)
        own._began -= 10
        own.step(20, 100, 32)
        own.write()
        stage.running, stage.failed, stage.cut = ("a",), 1, 1
        stage.tick(3)
        with gauged(folder, record):
            for _ in range(60):
                try:
                    text = urllib.request.urlopen(page, timeout=5).read().decode()
                except OSError:
                    text = ""
                if "ray_gelo_stage_total" in text and "ray_node_mem_used" in text:
                    break
                time.sleep(1)
print(text)
"""


def test_the_file_names_no_metric_that_nobody_has() -> None:
    """Those of GPUs are not on this machine's port: they are those of Ray's own panels."""
    own = {f"ray_{name}" for name in NAMES}
    assert own == {name for name in _ASKED if name.startswith("ray_gelo_")}
    rays = "".join(path.read_text() for path in (Path(ray.__file__).parent / "dashboard" / "modules").rglob("*.py"))
    for name in _ASKED - own:
        assert name.removeprefix("ray_") in rays, name
    ids = [panel["id"] for panel in PANELS["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
@pytest.mark.cluster
def test_the_numbers_are_on_rays_metrics_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    program = textwrap.dedent(PROGRAM)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    found: dict[tuple[str, ...], float] = {}
    for name, labels, value in re.findall(r"^(ray_gelo_\w+)\{(.*)\} (\S+)$", done.stdout, flags=re.MULTILINE):
        tags = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        assert tags["sweep"] == "mine"
        found[(name, *(tags[each] for each in ("state", "stage", "unit") if each in tags))] = float(value)
    counts = {"running": 1, "done": 1, "failed": 1, "cut": 1}
    assert {state: found["ray_gelo_trials", state] for state in STATES} == counts
    assert found["ray_gelo_stage_done", "train", "trials"] == 3
    assert found["ray_gelo_stage_total", "train", "trials"] == 4
    assert found[("ray_gelo_images_per_second",)] == pytest.approx(32 * found[("ray_gelo_steps_per_second",)])
    assert 0 < found[("ray_gelo_steps_per_second",)] <= 2
    there = set(re.findall(r"^(ray_\w+)\{", done.stdout, flags=re.MULTILINE))
    gpus = {name for name in _ASKED if "gpu" in name or "gram" in name}
    assert not _ASKED - gpus - there
