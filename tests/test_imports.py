"""The import order of DESIGN.md, read from the syntax trees: models <- tasks <- sweeps, tasks <- analysis, the face for notebooks on top;
heavy packages where allowed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.programs import printed_by

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "tasks", "sweeps", "analysis")
AROUND = ("gelo", "tests", "benchmarks", "docs")
MAY_IMPORT = {
    "models": {"models"},
    "tasks": {"models", "tasks"},
    "sweeps": {"models", "tasks", "sweeps"},
    "analysis": {"models", "tasks", "analysis"},
}
# may import all four, and nobody it
FACADE = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "gelo").glob("*.py"))
ON_TOP = {"gelo", *(Path(file).stem for file in FACADE)}  # as `imports` names it
MEETING_POINTS = (
    "sweeps/cli/answer.py",
    "sweeps/cli/verdict.py",
)  # the files of the packages where sweeps and analysis meet
RAY = ("tasks/data/stream.py", "tasks/data/embed.py", "sweeps/")
MLFLOW = ("sweeps/tracking/", "analysis/runs.py")
PURE = ("tasks/metrics/", "tasks/protocols/")
HEAVY = {"torch", "ray", "mlflow", "open_clip"}

FILES = [file.relative_to(ROOT).as_posix() for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


@cache
def written(file: str) -> frozenset[tuple[str, bool]]:
    """(module, whether at the file's own import) of every import; those for type checkers alone do not count."""
    return frozenset(_walk(ast.parse((ROOT / file).read_text(), file), file, top=True))


def imports(file: str) -> frozenset[tuple[str, bool]]:
    """The same, gelo's own by their folders: gelo.models.backbones.zoo is models.backbones.zoo."""
    return frozenset((module.removeprefix("gelo."), top) for module, top in written(file))


def _walk(node: ast.AST, file: str, top: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk(other, file, top)
            continue
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.Import):
            yield from ((alias.name, top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(child, file)
            yield base, top
            yield from ((f"{base}.{alias.name}", top) for alias in child.names)
        yield from _walk(child, file, top and not inside)


def _absolute(node: ast.ImportFrom, file: str) -> str:
    if not node.level:
        return node.module or ""
    folder = file.split("/")[: -node.level]
    return ".".join([*folder, *([node.module] if node.module else [])])


def tops(file: str) -> set[str]:
    return {module.split(".")[0] for module, _ in imports(file)}


def test_nothing_imports_a_folder_of_the_root_by_its_bare_name() -> None:
    """From the root `import models` finds the folder: a second identity of every class in it."""
    everywhere = [
        file.relative_to(ROOT).as_posix() for name in (*PACKAGES, *AROUND) for file in (ROOT / name).rglob("*.py")
    ]
    bare = {file: module for file in everywhere for module, _ in written(file) if module.split(".")[0] in PACKAGES}
    assert not bare


@pytest.mark.parametrize("file", FILES)
def test_file_keeps_the_order(file: str) -> None:
    package = file.split("/")[0]
    allowed = MAY_IMPORT[package] | ({"analysis"} if file in MEETING_POINTS else set())
    strays = tops(file) & {*PACKAGES, *ON_TOP, "tests", "benchmarks"} - allowed
    assert not strays, f"{file} imports {', '.join(sorted(strays))}"
    assert "ray" not in tops(file) or file.startswith(RAY), f"{file} imports ray"
    assert "mlflow" not in tops(file) or file.startswith(MLFLOW), f"{file} imports mlflow"
    if file.startswith(PURE):
        assert not tops(file) & {"torch", "ray"}, f"{file} is for arrays alone"


@pytest.mark.parametrize("file", FACADE)
def test_the_face_for_notebooks_stands_on_the_packages_alone(file: str) -> None:
    """And imports nothing heavy itself: what it calls does."""
    assert not tops(file) & {"tests", "benchmarks", "docs", "ray", "mlflow", "open_clip"}
    assert not {module for module, top in imports(file) if top and module.split(".")[0] in {*HEAVY, "numpy", "pandas"}}
    _reaches_none_of(file, HEAVY)


def test_the_command_line_reaches_nothing_heavy_when_it_is_imported() -> None:
    _reaches_none_of("gelo/__main__.py", HEAVY)


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(PURE)])
def test_pure_file_does_not_reach_torch_or_ray_through_others(file: str) -> None:
    _reaches_none_of(file, {"torch", "ray"})


def _reaches_none_of(start: str, heavy: set[str]) -> None:
    """Follow what `start` imports when it is imported, through our own files."""
    seen, waiting = {start}, [start]
    while waiting:
        file = waiting.pop()
        for module in (module for module, top in imports(file) if top):
            assert module.split(".")[0] not in heavy, f"{start} reaches {module} through {file}"
            new = set(_files_of(module)) - seen
            seen |= new
            waiting += new


def _files_of(module: str) -> Iterator[str]:
    """Our files that `import module` runs: the packages above it and itself."""
    parts = module.split(".")
    if parts[0] == "gelo":
        yield "gelo/__init__.py"
    if parts[0] in PACKAGES:
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            yield from (name for name in (f"{path}/__init__.py", f"{path}.py") if (ROOT / name).is_file())


def loaded_by(module: str) -> set[str]:
    lines = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(printed_by(lines).split())


CHEAP = (
    *("gelo", "gelo.api", "gelo.metrics", "gelo.__main__"),
    *("gelo.sweeps.spec.sweep", "gelo.sweeps.tracking.tracker", "gelo.tasks.results", "gelo.models.backbones.registry"),
)


@pytest.mark.parametrize("module", CHEAP)
def test_cheap_modules_load_nothing_heavy(module: str) -> None:
    """`gelo --help` and the check of a spec answer in a moment."""
    assert not loaded_by(module) & HEAVY


def test_the_registry_of_protocols_loads_nothing_heavy_when_it_is_asked() -> None:
    """Its files are named, not imported: their imports are not in the syntax tree."""
    assert not loaded_by("gelo.tasks.protocols; gelo.tasks.protocols.asked()") & HEAVY


def test_the_rules_notice_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    text = """
import mlflow
from typing import TYPE_CHECKING
from . import zoo
from gelo.tasks.data import records
from gelo import load
from gelo.metrics import eer
if TYPE_CHECKING:
    import torch
def late():
    import ray.data
"""
    (tmp_path / "models" / "bad.py").write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    found = imports("models/bad.py")
    assert {
        ("mlflow", True),
        ("models.zoo", True),
        ("tasks.data.records", True),
        ("ray.data", False),
    } <= found
    assert not any(module.startswith("torch") for module, _ in found)
    with pytest.raises(AssertionError, match="imports gelo, metrics, tasks"):
        test_file_keeps_the_order("models/bad.py")
    with pytest.raises(AssertionError, match=r"reaches mlflow through models/bad\.py"):
        _reaches_none_of("models/bad.py", HEAVY)


# what a file's looks, its contents and its manifest tell each other when they run: to be parted when data sets move
KNOWN_CIRCLE = {"tasks/data/stream.py", "tasks/data/near.py", "tasks/data/contents.py", "tasks/data/manifest.py"}


def test_no_file_of_tasks_reaches_itself_again() -> None:
    """Imports inside functions count: who runs late is in the circle all the same."""
    files = [file for file in FILES if file.startswith("tasks/")]
    graph = {file: {to for module, _ in imports(file) for to in _file_of(module)} - {file} for file in files}
    reached = {file: _all_from(graph, file) for file in files}
    assert {file for file in files if file in reached[file]} == KNOWN_CIRCLE


def _file_of(module: str) -> list[str]:
    path = module.replace(".", "/")
    return [
        name for name in (f"{path}/__init__.py", f"{path}.py") if path.startswith("tasks/") and (ROOT / name).is_file()
    ]


def _all_from(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen
