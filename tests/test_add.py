"""docs/add.md shows a whole example of each thing that another distribution can add: they are taken from the page and run.

They are not installed but lie on the path of processes of their own: entry points are read once a process.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from gelo.models.adapt.adapted import Adapted
from gelo.models.remedies.base import Hooks, RemedySpec
from gelo.models.training.run import Run, Step

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "add.md"
FILES = (
    "remedy",
    "hold",
    "cap",
    "late",
    "adaptation",
    "head",
    "protocol",
    "metric",
    "separation",
    "dataset",
    "faces",
    "task",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def examples() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Of the page: text by file of the package, and entry points by group."""
    modules = {code.split('"""')[1]: code for code in blocks("python")}
    (project,) = map(tomllib.loads, blocks("toml"))
    groups = project["project"]["entry-points"]
    return modules, {group: [f"{name} = {value}" for name, value in lines.items()] for group, lines in groups.items()}


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


def badges(place: Path) -> Path:
    """The official download of the page's pairs: four people, each of a colour, and twelve pairs in two folds."""
    pairs = []
    for number, colour in enumerate(((200, 20, 20), (20, 200, 20), (20, 20, 200), (180, 180, 20))):
        folder = place / "badges-1.0" / f"who{number}"
        folder.mkdir(parents=True)
        for image in range(4):
            shade = [value + 15 * image for value in colour]
            Image.new("RGB", (32, 32), (shade[0], shade[1], shade[2])).save(folder / f"{image}.png")
        for image in range(3):
            pairs.append(f"who{number}/{image}.png who{number}/3.png 1 {image % 2}")
            pairs.append(f"who{number}/{image}.png who{(number + 1 + image) % 4}/{(image + 1) % 3}.png 0 {image % 2}")
    (place / "badges-1.0" / "pairs.txt").write_text("\n".join(pairs))
    return place


def test_the_page_shows_whole_examples_and_a_line_of_each() -> None:
    modules, points = examples()
    assert sorted(modules) == sorted(f"my_package/{name}.py" for name in FILES)
    named = [line.partition(" = ")[2].partition(":")[0] for lines in points.values() for line in lines]
    assert sorted(named) == sorted(f"my_package.{name}" for name in FILES)
    assert max(len(code.splitlines()) for code in modules.values()) < 60


def test_the_tables_of_the_page_name_every_hook_and_declaration() -> None:
    hooks = [name for name in vars(Hooks) if not name.startswith("_")]
    assert set(re.findall(r"^\| `(\w+)\(\w*(?:, \w+)*\)` \| ", PAGE.read_text(), flags=re.MULTILINE)) >= set(hooks)
    declared = {name for name in RemedySpec.__annotations__ if name != "kind"} | {"version", "data", "parents"}
    assert declared <= set(re.findall(r"^\| `(\w+)", PAGE.read_text(), flags=re.MULTILINE))


def test_the_tables_of_the_page_name_only_what_a_run_and_a_step_have() -> None:
    tables = {
        title: dict(re.findall(r"^\| (`\w+.*?) \| (.*) \|$", rows, re.MULTILINE))
        for title, rows in re.findall(r"^\| `(run|step)\.` \| \|\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)
    }
    there = {"run": _has(Run), "step": _has(Step)}
    for title, rows in tables.items():
        named = {name for cell in rows for name in re.findall(r"`(\w+)", cell)}
        assert named <= there[title], (title, named - there[title])
    of_the_model = set(re.findall(r"`(\w+)(?:\(\))?`", tables["run"]["`model`"]))
    assert {"trainable", "deltas", "merged"} <= of_the_model <= _has(Adapted)


def _has(of: type) -> set[str]:
    """Names of what an object of the class has: fields, methods, and what its __init__ sets."""
    return set(dir(of)) | set(inspect.get_annotations(of)) | set(re.findall(r"self\.(\w+)[:, ]", inspect.getsource(of)))


def test_the_projects_file_builds_with_the_entry_points_of_the_page(tmp_path: Path) -> None:
    modules, points = examples()
    for file, text in {**modules, "my_package/__init__.py": "", "pyproject.toml": blocks("toml")[0]}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    done = ran(
        tmp_path, "-c", "from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel('.')", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (about,) = tmp_path.glob("*.dist-info")
    told = (about / "entry_points.txt").read_text()
    assert all(f"[{group}]" in told and line in told for group, lines in points.items() for line in lines)
    assert "Requires-Dist: gelo-sweeps" in (about / "METADATA").read_text()


SPEC = """
from gelo.sweeps.spec.sweep import parse_spec
remedies = ["none", {"keep_length": {"strength": [0, 0.5]}}, [{"keep_length": {}}, "ema"], [{"hold": {"count": 2}}, {"cap": {}}]]
block = {"remedy": remedies, "adaptation": "norm_gains"}
spec = {
    "name": "mine", "backbones": ["mini-s"], "tasks": {"faces": {**block, "head": "smoothed"}, "forms": {"adaptation": "lora"}},
    "evaluate": ["zero_shot", "calibration", "per_class", "separation"], "also": ["kitchen", "badges"],
}
for trial in parse_spec(spec, "mine.yaml").trials():
    print(trial.label, "|", trial.head.kind if trial.head else "-", "|", trial.training.data if trial.training else "-")
"""


def test_a_spec_takes_remedy_adaptation_head_and_task(package: Path) -> None:
    assert printed(package, SPEC) == [
        "mini-s untouched | - | -",
        "mini-s faces norm_gains seed 0 | smoothed | faces",
        "mini-s faces norm_gains keep_length(strength=0.0) seed 0 | smoothed | faces",
        "mini-s faces norm_gains keep_length(strength=0.5) seed 0 | smoothed | faces",
        "mini-s faces norm_gains keep_length(strength=1.0) + ema(decay=0.999) seed 0 | smoothed | faces",
        "mini-s faces norm_gains hold(count=2) seed 0 | smoothed | faces",
        "mini-s faces norm_gains hold(count=2) + cap(most=0.1) seed 0 | smoothed | faces",
        "mini-s forms lora seed 0 | smoothed | shapes",
    ]


def test_a_package_that_lies_on_the_path_twice_counts_once(package: Path, tmp_path: Path) -> None:
    again = shutil.copytree(package, tmp_path / "again")
    assert len(printed(Path(f"{package}{os.pathsep}{again}"), SPEC)) == 8


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
from gelo.models.remedies.base import Bench
from my_package.adaptation import NormGains
from my_package.cap import Cap
from my_package.hold import Hold
from my_package.late import Late
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

start, ended = encoder.visual.state_dict(), run(adaptation=NormGains()).model
norms = {f"{name}.{leaf}" for name, module in encoder.visual.named_modules() if "LayerNorm" in type(module).__name__
         for leaf in ("weight", "bias")}
moved = {name for name, tensor in ended.merged().items() if not torch.equal(tensor, start[name])}
print(len(norms) > 10, set(ended.trainable()) == norms, moved == norms)

held = run(Hold(count=2))
names = list(held.model.trainable())
still = [name for name in names if torch.equal(held.model.merged()[name], start[name])]
print(same(plain, run(Hold(count=0))), still == names[-2:])

late = run(Late(strength=1.0, from_block=3))
free, pulled = (sum(float((tensor - start[name]).norm()) for name, tensor in one.model.merged().items() if f"resblocks.{block}." in name)
                for one, block in ((plain, 3), (late, 3)))
print(same(plain, run(Late(strength=0))), pulled < free, late.run.history[0]["loss_late"] > 0)
print([fault.found for layers in (None, 5, 99) for fault in Late(from_block=5).faults(layers)])

tower = plain.model.publish()
capped = Cap(most=0.01).finish(tower, Bench(encoder))
far = [(capped.weights[name] - start[name]).norm() / start[name].norm().clamp(min=1e-12) for name in start]
same_towers = lambda one, two: all(torch.equal(tensor, two.weights[name]) for name, tensor in one.weights.items())
print(0.0099 < float(max(far)) < 0.0101, same_towers(Cap(most=1e9).finish(tower, Bench(encoder)), tower))
"""


def test_remedies_are_neutral_at_nothing_and_do_what_they_say_as_does_the_adaptation(package: Path) -> None:
    neutral, loss, norms, held, late, refused, capped = printed(package, TRAINED)
    assert late == "True True True"
    assert refused == "['late with from_block 5 of no blocks', 'late with from_block 5 of 5 blocks']"
    assert neutral == "True False 3"
    assert loss == "['loss_keep_length'] True"
    assert norms == "True True True"
    assert held == capped == "True True"


HEAD = """
import torch
from gelo.models.heads.head import Head
from my_package.head import Smoothed

head, linear = Head(Smoothed(share=0.2), 16, 5, 3), torch.nn.Linear(16, 5)
linear.load_state_dict(head.state_dict())
features, labels = torch.randn(8, 16), torch.arange(8) % 5
print(torch.equal(head.loss(features, labels), torch.nn.CrossEntropyLoss(label_smoothing=0.2)(linear(features), labels)))
again = Head(Smoothed(share=0.2), 16, 5, 3)
print(all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in head.state_dict().items()))
"""


def test_the_loss_of_the_head_is_torchs(package: Path) -> None:
    assert printed(package, HEAD) == ["True", "True"]


def rows(printed: str) -> list[list[str]]:
    """Value and interval of each metric of a table."""
    cells = [[cell.strip() for cell in line.split("│")] for line in printed.splitlines() if "│" in line]
    return [row[2:4] for row in cells if "/" in row[1]]


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
    pairs = gelo(package, tmp_path, "prepare", "badges", "--from", str(badges(tmp_path / "people")))
    assert pairs.returncode == 0 and "16 test" in pairs.stdout and "preview" not in pairs.stdout, pairs.stderr
    words = ("evaluate", "mini-s", "--dataset", "badges", "--suite", "biometric,separation")
    (accuracy, d_prime) = rows(gelo(package, tmp_path, *words).stdout)
    assert accuracy[0].endswith("%") and float(accuracy[0].rstrip("% ")) <= 100
    low, high = map(float, d_prime[1].split(" - "))
    assert 0 < low < float(d_prime[0]) < high, "as it is, not in per cent"
    again = gelo(package, tmp_path, "prepare", "badges", "--from", str(tmp_path / "people"))
    assert f"was there already, from {tmp_path / 'people'}; --from was not read" in again.stdout
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
    version = 3
    kind: Literal["good"] = "good"


class Zeroth(RemedySpec):
    version = 0
    kind: Literal["zeroth"] = "zeroth"


class Field(RemedySpec):
    version: int = 2
    kind: Literal["field"] = "field"
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
        "zeroth = odd.remedy:Zeroth", "field = odd.remedy:Field",
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
    "zeroth of odd (gelo.remedies)": ["version 0; expected a whole number of the class, from 1"],
    "field of odd (gelo.remedies)": ["version 'a field'"],
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
        "tasks: {forms: {remedy: {keep_length: {strength: 0.5}}, head: smoothed, adaptation: norm_gains, epochs: 1}}\n"
    )
    assert gelo(package, tmp_path, "prepare", "kitchen", "--from", str(kitchen(tmp_path / "tree"))).returncode == 0
    done = gelo(package, tmp_path, "run", "mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    trials = [json.loads(file.read_text()) for file in (tmp_path / "out/mine/trials").glob("*/trial.json")]
    (trained,) = [trial for trial in trials if trial["task"] != "none"]
    assert len(trials) == 2
    assert (trained["remedy"], trained["head"]) == (
        {"kind": "keep_length", "strength": 0.5}, {"kind": "smoothed", "share": 0.1},
    )  # fmt: skip
    for name in ("digits", "kitchen"):
        places = [tmp_path / f"out/mine/trials/{trial['key']}/results/calibration/{name}.json" for trial in trials]
        given = [json.loads(place.read_text())["values"][f"calibration/{name}/overconfidence"] for place in places]
        assert all(0 <= value <= 1 for value in given) and given[0] != given[1], "it was trained"
    table = (tmp_path / "out/mine/report/calibration.csv").read_text()
    assert f"{trained['key']},mini-s,forms,norm_gains,keep_length,0," in table
    page = (tmp_path / "out/mine/report/index.html").read_text()
    assert '<h2 id="calibration">Calibration: calibration (miniature)</h2>' in page
    assert "generated toy data, but for kitchen" in page
