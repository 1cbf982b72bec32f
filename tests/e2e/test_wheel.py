"""A wheel in an empty environment, beside a user's own `models/`: what `pip install` gives is all that a sweep needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SWEEP = (
    "name: two\nbackbones: [mini-s]\ntasks: {morphs: {epochs: 1}}\nevaluate: [zero_shot]\ndatasets: [shapes, flags]\n"
)
NAMES = ("models", "tasks", "sweeps", "analysis")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks, so that no leftover of this checkout helps."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/", "typings/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(copy),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (made,) = out.glob("*.whl")
    return made


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", *NAMES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {f"gelo/{name}" for name in tracked.split()} <= held
    own = subprocess.run(["git", "ls-files", "gelo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(own.split()) <= held, "the face for notebooks"
    assert not {name.split("/")[0] for name in held} & set(NAMES)


@pytest.mark.long  # of a release
def test_it_runs_a_sweep_beside_packages_of_the_same_names(wheel: Path, small_world: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    ours = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(
        f"{ours}\n"
    )  # the folder alone: its own .pth files, and so the editable gelo, are not read
    python = environment / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a user's own package was imported')\n")
    (tmp_path / "two.yaml").write_text(SWEEP)
    run = [
        str(environment / "bin" / "gelo"),
        "run",
        "two.yaml",
        "--data",
        str(small_world / "data"),
        "--cache",
        str(small_world / "cache"),
    ]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it would lead to a checkout
    done = subprocess.run(
        run, cwd=tmp_path, env=clean | {"RAY_AUTH_MODE": "disabled"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "out" / "two" / "trials").glob("*/results/zero_shot/*.json"))) == 4
    where = subprocess.run(
        [
            str(python),
            "-c",
            "import gelo; print(gelo.models.__file__, gelo.__version__, len(gelo.results('two').trial.unique()))",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean,
    )
    assert where.stdout.startswith(str(site)), where.stdout + where.stderr
    assert where.stdout.split()[1:] == [wheel.name.split("-")[1], "2"]
