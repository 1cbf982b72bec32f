"""A protocol of a distribution of its own: found by its entry point, asked for, scored, shown; and left out where it contradicts ours.

It is not installed but lies on the path, and is tried in processes of its own: the registry is read once a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gelo.tasks.protocols import PROTOCOLS
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.registered import clash
from tests.sweeps.test_single import colours

ROOT = Path(__file__).parents[2]
MODULE = '''
"""Calibration: how far the confidence of the text prompts is from their accuracy."""

import numpy as np
import pyarrow as pa
from gelo.tasks.protocols.base import Metric, Protocol, Suite
from gelo.tasks.protocols.tally import Tally
from gelo.tasks.scoring import Scored, Scoring
from scipy.special import softmax


def score(s: Scoring) -> list[Scored]:
    features = s.features("test", "image").astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    chances = softmax(s.logit_scale * features @ s.classifier(), axis=1)
    right = chances.argmax(axis=1) == s.dataset.labels("test")
    tally = Tally("calibration")
    tally.give(s.dataset.name, "overconfidence", abs(float(chances.max(axis=1).mean() - right.mean())))
    tally.give(s.dataset.name, "within_0.5", float((np.abs(chances.max(axis=1) - right) < 0.5).mean()))
    table = pa.table({"id": s.dataset.ids("test"), "chance": chances.max(axis=1)})
    return [(tally.result(s.dataset.name, "calibration", 1, {"images": len(right)}, {}, **s.context), table)]


METRICS = (Metric("overconfidence", "lower", main=("*",)), Metric("within_{margin}", "higher", at=(0.5,)))
PROTOCOLS = (
    Protocol(
        "calibration", asked="calibration", version=1, says="calibration", suites=(Suite("calibration", "calibration", METRICS),),
        reads=(("test", ("image",)),), score=score, prompted=True, like="zero_shot", group="general",
    ),
)
'''


def installed(place: Path, module: str = MODULE, value: str = "rings:PROTOCOLS") -> dict[str, str]:
    """The environment of a process that finds the distribution."""
    about = place / "rings-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rings\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[gelo.protocols]\nrings = {value}\n")
    (place / "rings.py").write_text(module)
    return {**os.environ, "PYTHONPATH": f"{place}:{ROOT}", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def ran(environment: Mapping[str, str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], env=dict(environment), cwd=cwd, capture_output=True, text=True)


REPORTED = """
import sys
from pathlib import Path
from gelo.analysis.compare import compare
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build, to_csv
from gelo.tasks.protocols import better
from gelo.tasks.results import Result
from tests.analysis.sweeps import write_sweep, write_trial

root = write_sweep(Path("out"), datasets=["shapes"], evaluate=["calibration"])
for key, value in (("b", 0.25), ("f", 0.125)):
    folder = write_trial(root, key, "mini-s", "none" if key == "b" else "faces", "none" if key == "b" else "full")
    result = Result(suite="calibration", dataset="shapes", protocol="c", protocol_version=1, scale="miniature",
                    values={"calibration/shapes/overconfidence": value}, counts={})
    place = folder / "results" / "calibration" / "shapes.json"
    place.parent.mkdir(parents=True)
    place.write_text(result.model_dump_json())
comparison = compare(read_runs("out", "demo"))
table = build(comparison)["calibration"]
print(to_csv(table).decode(), table.main, table.rows[1].cells["calibration_shapes_overconfidence"].better)
print({key: status.state for key, status in comparison.status.items()}, better("calibration/x/within_0.5"))
"""


def test_a_protocol_of_another_distribution_is_asked_for_scored_and_shown(tmp_path: Path) -> None:
    environment = installed(tmp_path / "site")
    colours(tmp_path / "out" / "data", "mine")
    told = ran(environment, "-m", "gelo", "evaluate", "--help", cwd=tmp_path)
    assert "general (zero_shot and probe and calibration)" in " ".join(told.stdout.replace("│", " ").split())
    words = ("-m", "gelo", "evaluate", "mini-s", "--dataset", "mine", "--suite", "calibration,zero_shot", "--json")
    done = ran(environment, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {result["suite"]: result for result in json.loads(done.stdout)}
    assert found.keys() == {"calibration", "zero_shot"}
    values = found["calibration"]["values"]
    assert values.keys() == {"calibration/mine/overconfidence", "calibration/mine/within_0.5"}
    assert 0 <= values["calibration/mine/overconfidence"] <= 1
    shown = ran(environment, "-c", REPORTED, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    csv, last = shown.stdout.strip().rsplit("\n", 1)
    assert "trial,backbone,task,adaptation,remedy,seed,calibration_shapes_overconfidence" in csv
    assert "('calibration_shapes_overconfidence',) 12.5" in csv, "an error that halves is better"
    assert last == "{'b': 'complete', 'f': 'complete'} higher"
    without = ran({**environment, "PYTHONPATH": str(ROOT)}, *words, cwd=tmp_path)
    assert without.returncode == 2 and "unknown suite 'calibration'" in without.stderr


@pytest.mark.parametrize(
    ("module", "value", "told"),
    [
        ("import nowhere_at_all", "rings:PROTOCOLS", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("PROTOCOLS = ('calibration',)", "rings:PROTOCOLS", "a Protocol, or a tuple of them"),
        (MODULE.replace('Suite("calibration"', 'Suite("zero_shot"'), "rings:PROTOCOLS", "the suite 'zero_shot'"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_with_a_line_that_names_its_maker(
    module: str, value: str, told: str, tmp_path: Path
) -> None:
    environment = installed(tmp_path / "site", module, value)
    done = ran(environment, "-m", "gelo", "evaluate", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "zero_shot" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out: entry point rings of rings (gelo.protocols): ") and told in line


def protocol(**more: object) -> Protocol:
    suite = Suite("mine", "mine", (Metric("overlap", "lower"),))
    given = {"name": "mine", "asked": "mine", "version": 1, "says": "", "suites": (suite,), "reads": (), "score": list}
    return Protocol(**{**given, **more})  # type: ignore[arg-type]


def test_what_contradicts_is_refused_by_name() -> None:
    own = protocol()
    assert clash(own, PROTOCOLS, "x") is None
    mean = replace(own.suites[0], table="zero_shot", averaged="overlap")
    for wrong, word in (
        (replace(own, name="knn"), "'knn'"),
        (replace(own, name="training"), "'training'"),
        (replace(own, asked="general"), "'general'"),
        (replace(own, group="biometric"), "'biometric'"),
        (replace(own, like="zero_shoot"), "'zero_shoot'"),
        (replace(own, suites=(replace(own.suites[0], name="gelo"),)), "'gelo'"),
        (replace(own, suites=(replace(own.suites[0], before="mad_txt"),)), "'mad_txt'"),
        (replace(own, suites=(mean,)), "'zero_shot'"),
    ):
        fault = clash(wrong, PROTOCOLS, "x")
        assert fault is not None and word in str(fault), word


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"name": "a b"}, "no name that a metric can carry"),
        ({"suites": ()}, "a suite that any encoder has"),
        ({"suites": (Suite("mine", "", (Metric("overlap", "lower"),), trained=True),)}, "a suite that any encoder has"),
        ({"suites": (Suite("mine", "", (Metric("overlap", "lower"),), averaged="top1"),)}, "declares overlap"),
        ({"optional": ("val",)}, "optional val is not read"),
    ],
)
def test_a_protocol_that_contradicts_itself_is_no_protocol(more: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        protocol(**more)


def test_every_file_that_ends_in_protocols_is_listed() -> None:
    from gelo.tasks.protocols import FILES

    place = ROOT / "tasks" / "protocols"
    ending = {file.stem for file in place.glob("*.py") if "\nPROTOCOLS = (" in file.read_text()}
    assert ending == set(FILES)
