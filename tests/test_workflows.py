"""GitHub's files keep their schemas and call `make` as .ci/run does; the hooks run `make lint`; `make help` names every target."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.BaseLoader)  # `on` is a word


def _lines(path: Path) -> list[str]:
    return [step["run"] for job in _read(path)["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_the_schemas_are_kept(schema: str, paths: list[Path]) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    """No secret, no right to write, every action by its hash, an end of its own."""
    told = _read(path)
    assert told["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text()
    assert all("timeout-minutes" in job for job in told["jobs"].values())
    uses = re.findall(r"uses: (\S+)", path.read_text())
    assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", each) for each in uses)


def test_ci_runs_what_a_change_has_to_pass() -> None:
    steps = re.findall(r"^step (make .+)$", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)
    assert set(steps) <= {line.replace(" PYTHON=python", "") for line in _lines(GITHUB / "workflows" / "ci.yml")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_targets_are_those_of_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))
    assert {line.split()[1] for line in _lines(path) if line.startswith("make ")} <= targets


def test_every_python_that_is_allowed_is_tried() -> None:
    (job,) = _read(GITHUB / "workflows" / "ci.yml")["jobs"].values()
    minors = [int(each.removeprefix("3.")) for each in job["strategy"]["matrix"]["python"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"
    assert f"(3, {minors[0]}) <= sys.version_info[:2] < (3, {minors[-1] + 1})" in MAKEFILE
    assert all(f"python3.{minor}" in MAKEFILE for minor in minors)


def test_the_hooks_are_the_lint() -> None:
    (local,) = _read(ROOT / ".pre-commit-config.yaml")["repos"]
    (recipe,) = re.findall(r"^lint: .*\n((?:\t.+\n)+)", MAKEFILE, flags=re.MULTILINE)
    assert local["repo"] == "local"
    lint = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in local["hooks"]] == lint
    assert all(hook["language"] == "system" and hook["pass_filenames"] == "false" for hook in local["hooks"])


def test_help_names_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.MULTILINE)
    for target in set(phony.split()) - {"help", "setup"}:
        assert f"make {target} " in shown
    assert shown.count("\n") == len(re.findall(r"\A(?:#.*\n)+", MAKEFILE)[0].splitlines()), "the whole head, no more"
