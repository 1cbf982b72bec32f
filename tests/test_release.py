"""One version: that of pyproject.toml. Whatever repeats it agrees, and a release has one date."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import yaml
from packaging.requirements import Requirement

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


def _needed(asked: list[str]) -> set[str]:
    """Names of the packages that these requirements bring here, and of all that those need; what this Python and system leave out is
    left out."""
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in asked]
    while waiting:
        one, of = waiting.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": of}):
            continue
        for extra in ("", *one.extras):
            if (_plain(one.name), extra) not in seen:
                seen.add((_plain(one.name), extra))
                waiting += [(Requirement(each), extra) for each in requires(one.name) or ()]
    return {name for name, _ in seen}


def test_constraints_are_the_lock_of_all_that_is_installed_for_gelo() -> None:
    """Whatever a dependency or extra of development brings, by the packages' own metadata, is pinned, and installed at that release."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {_plain(name): release for name, _, release in (line.partition("==") for line in lines) if release}
    extras = PROJECT["optional-dependencies"]
    needed = _needed([*PROJECT["dependencies"], *extras["dev"], *extras["docs"]]) - {"pip", "setuptools"}  # make's own
    assert len(needed) > 150
    assert not needed - set(pinned), "in use and not pinned"
    other = {name: version(name) for name in needed if version(name).partition("+")[0] != pinned[name]}
    assert not other, "installed at another release than constraints.txt says"


def test_the_audit_reads_what_pip_audit_writes_and_passes_without_an_answer(tmp_path: Path) -> None:
    """The document is that of pip-audit's README (its section on JSON); the address answers nobody."""
    audit = runpy.run_path(str(ROOT / ".ci" / "audit"))
    document = {
        "dependencies": [
            {"name": "flask", "version": "0.5", "vulns": [
                {"id": "PYSEC-2019-179", "fix_versions": ["1.0"], "aliases": [], "description": "..."},
                {"id": "PYSEC-2018-66", "fix_versions": [], "aliases": [], "description": "..."},
            ]},
            {"name": "jinja2", "version": "3.0.2", "vulns": []},
            {"name": "unknown", "skip_reason": "Dependency not found on PyPI"},
        ],
        "fixes": [],
    }  # fmt: skip
    found, left = audit["told"](json.dumps(document))
    assert found == ["flask 0.5: PYSEC-2019-179, mended in 1.0", "flask 0.5: PYSEC-2018-66, mended in no release yet"]
    assert left == ["unknown: Dependency not found on PyPI"]
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, str(ROOT / ".ci" / "audit"), "--timeout", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "not audited" in done.stdout and "0 known vulnerabilities" not in done.stdout


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
