"""docs/add.md shows a whole example of each thing that another distribution can add: they are taken from the page and run.

They are not installed but lie on the path of processes of their own: entry points are read once a process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "add.md"
SECTIONS = ("Remedy", "Adaptation", "Head", "Protocol", "Metric", "Data set", "Task")


def examples() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Of the page: text by file of the package, and entry points by group."""
    modules: dict[str, str] = {}
    points: dict[str, list[str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        if section.split("\n", 1)[0] not in SECTIONS:
            continue
        (code,) = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        ((group, line),) = re.findall(r'^    \[project\.entry-points\."(.+)"\]\n    (.+)$', section, flags=re.MULTILINE)
        modules[code.split('"""')[1]] = code
        points.setdefault(group, []).append(line.replace('"', ""))
    return modules, points


def installed(place: Path, name: str, modules: Mapping[str, str], points: Mapping[str, list[str]]) -> Path:
    """A folder for the path, with the distribution in it."""
    about = place / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in points.items())
    )
    for file, text in modules.items():
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_text(text)
    return place


def ran(place: Path, *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """python WORDS, which finds what lies in `place`."""
    path = os.pathsep.join([str(place), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], env=environment, cwd=cwd, capture_output=True, text=True)


def gelo(place: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(place, "-m", "gelo", *words, cwd=cwd)


def printed(place: Path, script: str) -> list[str]:
    """The lines that a script prints, run at the root; nothing is left out."""
    done = ran(place, "-c", f"{script}\nfrom gelo.models.registered import broken\nassert not broken, broken\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page."""
    return installed(tmp_path_factory.mktemp("site"), "my_package", *examples())


def kitchen(place: Path) -> Path:
    """The official download of the page's data set: classes are colours."""
    for split, images in (("train", 4), ("test", 2)):
        for name, colour in (("cup", (200, 20, 20)), ("fork", (20, 200, 20)), ("plate", (20, 20, 200))):
            folder = place / "kitchen-1.0" / split / name
            folder.mkdir(parents=True)
            for number in range(images):
                shade = [value + 5 * number + (split == "test") for value in colour]
                Image.new("RGB", (32, 32), (shade[0], shade[1], shade[2])).save(folder / f"{number}.png")
    return place


def test_the_page_shows_one_example_and_one_line_of_each() -> None:
    modules, points = examples()
    assert list(modules) == [
        f"my_package/{name}.py" for name in ("remedy", "adaptation", "head", "protocol", "metric", "dataset", "task")
    ]
    groups = ("remedies", "adaptations", "heads", "protocols", "datasets", "tasks")
    assert {group: len(lines) for group, lines in points.items()} == {
        f"gelo.{group}": 1 + (group == "protocols") for group in groups
    }
    assert max(len(code.splitlines()) for code in modules.values()) < 60


SPEC = """
from gelo.sweeps.spec.sweep import parse_spec
block = {"remedy": ["none", {"keep_length": {"strength": [0, 0.5]}}, [{"keep_length": {}}, "ema"]], "adaptation": "norms"}
spec = {
    "name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {**block, "head": "plain"}, "forms": {"adaptation": "lora"}},
    "evaluate": ["zero_shot", "calibration", "per_class"], "also": ["kitchen"],
}
for trial in parse_spec(spec, "mine.yaml").trials():
    print(trial.label, "|", trial.head.kind if trial.head else "-", "|", trial.training.data if trial.training else "-")
"""


def test_a_spec_takes_remedy_adaptation_head_and_task(package: Path) -> None:
    assert printed(package, SPEC) == [
        "mini-s untouched | - | -",
        "mini-s faces norms seed 0 | plain | faces",
        "mini-s faces norms keep_length(strength=0.0) seed 0 | plain | faces",
        "mini-s faces norms keep_length(strength=0.5) seed 0 | plain | faces",
        "mini-s faces norms keep_length(strength=1.0) + ema(decay=0.999) seed 0 | plain | faces",
        "mini-s forms lora seed 0 | plain | shapes",
    ]


def test_a_package_that_lies_on_the_path_twice_counts_once(package: Path, tmp_path: Path) -> None:
    again = shutil.copytree(package, tmp_path / "again")
    assert len(printed(Path(f"{package}{os.pathsep}{again}"), SPEC)) == 6


ASKING = {
    "asking/task.py": """
from dataclasses import replace
from gelo.tasks.data.catalogue import ENTRIES
from gelo.tasks.training import TASKS

TASK = replace(TASKS["faces"], name="more_faces")
assert "food101" in ENTRIES
""",
    "asking/protocol.py": """
from dataclasses import replace
from gelo.tasks.protocols import PROTOCOLS

KNN = PROTOCOLS["knn"]
MORE = replace(KNN, name="more_knn", suites=tuple(replace(suite, name="more", table="more") for suite in KNN.suites))
""",
}


def test_a_module_may_ask_for_what_is_there_while_it_is_read(tmp_path: Path) -> None:
    points = {"gelo.tasks": ["more = asking.task:TASK"], "gelo.protocols": ["more = asking.protocol:MORE"]}
    asking = installed(tmp_path / "site", "asking", ASKING, points)
    script = "from gelo.tasks.{} import {} as table; print(*[name for name in table if 'more' in name])"
    assert printed(asking, script.format("training", "TASKS")) == ["more_faces"]
    assert printed(asking, script.format("protocols", "PROTOCOLS")) == ["more_knn"]


def test_a_misspelt_one_is_answered_with_the_nearest(package: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: s\nbackbones: [mini-s]\ntasks: {forms: {remedy: keep_lenght}}\n")
    done = gelo(package, tmp_path, "run", "s.yaml")
    assert done.returncode == 2 and "nearest: keep_length" in done.stderr and "left out" not in done.stderr


TRAINED = """
import tempfile
from pathlib import Path
import torch
from gelo.models.adapt import Full
from gelo.models.backbones.zoo import load_backbone
from my_package.adaptation import Norms
from my_package.remedy import KeepLength
from tests.models.toy_run import go

encoder = load_backbone("mini-s")

def run(remedy=None, adaptation=Full()):
    with tempfile.TemporaryDirectory() as folder:
        return go(encoder, adaptation, Path(folder), remedy, epochs=1)

def same(one, two):
    return all(torch.equal(tensor, two.tensors()[name]) for name, tensor in one.tensors().items())

plain, neutral, acting = run(), run(KeepLength(strength=0)), run(KeepLength(strength=5))
print(same(plain, neutral), same(plain, acting), plain.run.step)
print([name for name in acting.run.history[0] if "keep_length" in name], acting.run.history[0]["loss"] > plain.run.history[0]["loss"])

start, ended = encoder.visual.state_dict(), run(adaptation=Norms()).model
norms = {f"{name}.{leaf}" for name, module in encoder.visual.named_modules() if "LayerNorm" in type(module).__name__
         for leaf in ("weight", "bias")}
moved = {name for name, tensor in ended.merged().items() if not torch.equal(tensor, start[name])}
print(len(norms) > 10, set(ended.trainable()) == norms, moved == norms)
"""


def test_the_remedy_is_neutral_at_nothing_and_the_adaptation_trains_what_it_says(package: Path) -> None:
    neutral, loss, norms = printed(package, TRAINED)
    assert neutral == "True False 3"
    assert loss == "['loss_keep_length'] True"
    assert norms == "True True True"


HEAD = """
import torch
from gelo.models.heads.head import Head
from my_package.head import Plain

head, linear = Head(Plain(), 16, 5, 3), torch.nn.Linear(16, 5)
linear.load_state_dict(head.state_dict())
features, labels = torch.randn(8, 16), torch.arange(8) % 5
print(torch.equal(head.loss(features, labels), torch.nn.CrossEntropyLoss()(linear(features), labels)))
again = Head(Plain(), 16, 5, 3)
print(all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in head.state_dict().items()))
"""


def test_the_loss_of_the_head_is_torchs(package: Path) -> None:
    assert printed(package, HEAD) == ["True", "True"]


def test_the_data_set_is_prepared_shown_and_scored_with_protocol_and_metric(package: Path, tmp_path: Path) -> None:
    tree = kitchen(tmp_path / "download")
    listed = gelo(package, tmp_path, "prepare", "--list")
    assert "kitchen" in listed.stdout and "Example University, Kitchen 1.0; 1 MB; CC BY 4.0" in listed.stdout
    spare = tree / "kitchen-1.0" / "test" / "cup" / "1.png"
    whole = spare.read_bytes()
    spare.unlink()
    lacking = gelo(package, tmp_path, "prepare", "kitchen", "--from", str(tree))
    assert lacking.returncode == 2 and "Example University" in lacking.stderr and "Traceback" not in lacking.stderr
    spare.write_bytes(whole)
    made = gelo(package, tmp_path, "prepare", "kitchen", "--from", str(tree))
    assert made.returncode == 0 and "6 test, 12 train, 3 classes" in made.stdout, made.stderr
    shown = gelo(package, tmp_path, "show", "kitchen")
    assert shown.returncode == 0 and "plate" in shown.stdout
    words = ("evaluate", "mini-s", "--dataset", "kitchen", "--suite", "zero_shot,calibration,per_class", "--json")
    done = gelo(package, tmp_path, *words)
    assert done.returncode == 0 and "left out" not in done.stderr, done.stderr
    values = {name: value for result in json.loads(done.stdout) for name, value in result["values"].items()}
    assert {"zero_shot/kitchen/top1", "calibration/kitchen/overconfidence", "per_class/kitchen/worst_class"} <= set(
        values
    )
    assert 0 <= values["per_class/kitchen/worst_class"] <= values["zero_shot/kitchen/top1"] <= 1
    own = gelo(package, tmp_path, "prepare", "kitchen", "--from", str(tree), "--reader", "folder", "--replace")
    assert own.returncode == 2 and "official set's" in own.stderr, "the name is taken"


BROKEN = {
    "odd/absent.py": "import nowhere_at_all",
    "odd/leaves.py": "import sys\nsys.exit(3)",
    "odd/remedy.py": """
from typing import Literal
from gelo.models.remedies.base import RemedySpec


class Twice(RemedySpec):
    kind: Literal["ema"] = "ema"


class Nameless(RemedySpec):
    strength: float = 1.0


class Good(RemedySpec):
    kind: Literal["good"] = "good"
""",
    "odd/head.py": """
from typing import Literal
from gelo.models.heads.base import HeadSpec


class Half(HeadSpec):
    kind: Literal["half"] = "half"

    def start(self, dim, classes, seed):
        return {}
""",
    "odd/sets.py": """
from dataclasses import replace
from gelo.tasks.prepare.general.official import OFFICIAL
from gelo.tasks.training import face

TAKEN = (OFFICIAL["sst2"], replace(OFFICIAL["sst2"], name="lfw"), replace(OFFICIAL["sst2"], name="a set"))
STRAY = replace(OFFICIAL["sst2"], name="stray", roles=("zero_shoot",))
TASKS = (face.TASK, replace(face.TASK, name="half", data={"miniature": "faces"}))
""",
}
POINTS = {
    "gelo.remedies": [
        "absent = odd.absent:Absent", "good = odd.remedy:Good", "nameless = odd.remedy:Nameless", "twice = odd.remedy:Twice",
    ],
    "gelo.adaptations": ["leaves = odd.leaves:Leaves"],
    "gelo.heads": ["half = odd.head:Half"],
    "gelo.protocols": ["number = odd.sets:STRAY"],
    "gelo.datasets": ["stray = odd.sets:STRAY", "taken = odd.sets:TAKEN"],
    "gelo.tasks": ["tasks = odd.sets:TASKS"],
}  # fmt: skip
LEFT_OUT = {
    "absent of odd (gelo.remedies)": ["ModuleNotFoundError: No module named 'nowhere_at_all'"],
    "nameless of odd (gelo.remedies)": ["a RemedySpec with a `kind` of its own"],
    "twice of odd (gelo.remedies)": ["kind 'ema', which is taken"],
    "leaves of odd (gelo.adaptations)": ["SystemExit: 3"],
    "half of odd (gelo.heads)": ["Half without loss"],
    "number of odd (gelo.protocols)": ["a Protocol, or a tuple of them"],
    "stray of odd (gelo.datasets)": ["nearest: zero_shot"],
    "taken of odd (gelo.datasets)": ["data set 'sst2'", "data set 'lfw'", "data set 'a set'"],
    "tasks of odd (gelo.tasks)": ["task 'faces'", "nothing for paper"],
}


def left_out(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("left out: ")]


def test_what_is_broken_or_clashes_is_one_line_each_and_all_goes_on_without(tmp_path: Path) -> None:
    odd = installed(tmp_path / "site", "odd", BROKEN, POINTS)
    (tmp_path / "s.yaml").write_text(
        "name: s\nbackbones: [mini-s]\ntasks: {faces: {remedy: [good, absent], head: half}, half: {}}\n"
    )
    done = gelo(odd, tmp_path, "run", "s.yaml")
    lines = left_out(done.stderr)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "unknown remedy 'absent'" in done.stderr and "unknown task 'half'" in done.stderr
    assert "unknown head 'half'" in done.stderr
    assert "'good'" not in done.stderr, "its neighbours are taken"
    for where, told in LEFT_OUT.items():
        of_it = [line for line in lines if line.startswith(f"left out: entry point {where}: ")]
        assert len(of_it) == len(told), (where, lines)
        for line, words in zip(of_it, told, strict=True):
            assert words in line
    assert len(lines) == sum(map(len, LEFT_OUT.values())) == len(set(lines))
    listed = gelo(odd, tmp_path, "prepare", "--list")
    assert listed.returncode == 0 and "food101" in listed.stdout and left_out(listed.stderr)
    helped = gelo(odd, tmp_path, "--help")
    assert helped.returncode == 0 and "Traceback" not in helped.stderr


@pytest.mark.slow
def test_a_sweep_trains_an_outside_remedy_on_an_outside_head(package: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nbackbones: [mini-s]\nevaluate: [zero_shot, calibration]\ndatasets: [digits]\nalso: [kitchen]\n"
        "tasks: {forms: {remedy: {keep_length: {strength: 0.5}}, head: plain, adaptation: norms, epochs: 1}}\n"
    )
    assert gelo(package, tmp_path, "prepare", "kitchen", "--from", str(kitchen(tmp_path / "tree"))).returncode == 0
    done = gelo(package, tmp_path, "run", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = [json.loads(file.read_text()) for file in (tmp_path / "out/mine/trials").glob("*/trial.json")]
    (trained,) = [trial for trial in trials if trial["task"] != "none"]
    assert len(trials) == 2
    assert (trained["remedy"], trained["head"]) == ({"kind": "keep_length", "strength": 0.5}, {"kind": "plain"})
    for name in ("digits", "kitchen"):
        places = [tmp_path / f"out/mine/trials/{trial['key']}/results/calibration/{name}.json" for trial in trials]
        given = [json.loads(place.read_text())["values"][f"calibration/{name}/overconfidence"] for place in places]
        assert all(0 <= value <= 1 for value in given) and given[0] != given[1], "it was trained"
    rows = (tmp_path / "out/mine/report/calibration.csv").read_text()
    assert f"{trained['key']},mini-s,forms,norms,keep_length,0," in rows
