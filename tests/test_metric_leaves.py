"""What a metric is called is said by its protocol: no other place names one, but those that this page lists with their reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gelo.tasks.protocols import suites

ROOT = Path(__file__).parents[1]
MINE = (
    "tasks/protocols/",
    "tasks/metrics/",
    "gelo/metrics.py",
)  # the last gathers the functions of the second for notebooks
EXCEPTIONS = {
    # what a task is trained for: `Task.gain` pairs full names of metrics, which a test holds against the protocols
    "tasks/training/face.py": {"accuracy"},
    "tasks/training/morph.py": {"eer"},
    "tasks/training/spoof.py": {"hter"},
    # which of two metrics CLIP's authors report of an official set
    "tasks/prepare/general/official.py": {"top1", "mean_per_class"},
    # what each column of the paper's tables is in gelo
    "analysis/published.py": {"accuracy", "apcer_at_bpcer", "auc", "bpcer", "eer", "hter", "tar_at_far", "top1"},
    # how a metric is read off kept scores again; `scored` holds each against the value of its result
    "analysis/readings.py": {"accuracy", "apcer_at_bpcer", "auc", "bpcer", "eer", "hter", "tar_at_far", "top1"},
}
# words of prose, or of a LoRA, too: named only where nothing but a metric is meant
ELSE = {"accuracy": r"(^|/)accuracy$", "rank": r"(^|/)rank_\d", "sd": r"(^|/)sd_\d"}


@cache
def families() -> dict[str, str]:
    """`tar_at_far`, `hter` and so on, each with the pattern that finds it; none that another one begins."""
    every = {metric.family.rstrip("_") for suite in suites().values() for metric in suite.metrics}
    own = {name for name in every if not any(name.startswith(f"{other}_") for other in every - {name})}
    return {name: ELSE.get(name, rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9])") for name in own}


def named(text: str) -> set[str]:
    """The metrics that a text names, by their families."""
    return {name for name, pattern in families().items() if re.search(pattern, text)}


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of the code: of an f-string its fixed pieces; no docstring."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


FILES = [
    file.relative_to(ROOT).as_posix()
    for package in ("models", "tasks", "sweeps", "analysis", "gelo")
    for file in sorted((ROOT / package).rglob("*"))
    if file.suffix in (".py", ".j2", ".yaml") and not file.relative_to(ROOT).as_posix().startswith(MINE)
]


@pytest.mark.parametrize("file", FILES)
def test_no_other_place_names_a_metric(file: str) -> None:
    text = (ROOT / file).read_text()
    pieces = strings(ast.parse(text)) if file.endswith(".py") else text.splitlines()
    found = {leaf for piece in pieces for leaf in named(piece)}
    assert found == EXCEPTIONS.get(file, set())


def test_the_rule_notices_what_it_forbids() -> None:
    assert named("zero_shot/shapes/top1") == {"top1"} and named("top1") == {"top1"}
    assert named("apcer_at_bpcer_10") == {"apcer_at_bpcer"} and named("no top1 here") == {"top1"}
    assert named("/accuracy") == named("fr/pairs/accuracy") == {"accuracy"} and named("no accuracy for") == set()
    assert named("tar_at_far_1e-4") == named("tar_at_far_") == {"tar_at_far"}
    assert named("better than eerie") == named("rank") == named("steer") == set()
    assert named("rank_1") == {"rank"} and named("sd_4_shots") == {"sd"} and named("rank=8") == set()
