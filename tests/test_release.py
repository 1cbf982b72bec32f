"""One version: that of pyproject.toml. Whatever repeats it agrees, and a release has one date."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.load((ROOT / "CITATION.cff").read_text(), yaml.BaseLoader)  # a version and a date are text
SECTIONS = re.findall(r"^## \[([^\]]+)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)


def test_the_newest_section_of_the_changelog_is_this_version() -> None:
    version, date = SECTIONS[0]
    assert version == PROJECT["version"]
    assert date == "Unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in SECTIONS[1:])


def test_the_citation_is_of_this_version_and_its_date() -> None:
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION.get("date-released", "Unreleased") == SECTIONS[0][1]
    assert "arXiv:2509.14921" in [each["value"] for each in CITATION["references"][0]["identifiers"]]


def test_the_citation_keeps_the_schema() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.citation-file-format", str(ROOT / "CITATION.cff")]
    done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_of_the_cluster_page_is_of_this_version() -> None:
    named = re.findall(r"image: \S+/gelo:(\S+)", (ROOT / "docs" / "cluster.md").read_text())
    assert named and set(named) == {PROJECT["version"]}


def test_no_module_has_a_version_of_its_own() -> None:
    """Code asks the installation: importlib.metadata."""
    written = [
        file
        for name in ("gelo", "models", "tasks", "sweeps", "analysis")
        for file in (ROOT / name).rglob("*.py")
        if re.search(r"^__version__\s*=\s*[\"']", file.read_text(), flags=re.MULTILINE)
    ]
    assert not written


def test_constraints_hold_every_dependency() -> None:
    """What `make` installs is pinned: of each dependency and extra there is one exact release."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [_plain(line.split("==")[0]) for line in lines if "==" in line and not line.startswith("#")]
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["dev"], *extras["docs"]]
    names = {_plain(re.match(r"[\w.-]+", each)[0]) for each in asked}  # type: ignore[index]
    assert not names - set(pinned)
    assert len(pinned) == len(set(pinned))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
