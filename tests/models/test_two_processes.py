"""Two processes on halves of each batch end where one does, and a run goes on with another number of them.

In float64: in float32 AdamW makes steps of the learning rate out of the rounding of gradients that are zero, such as key biases'.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gelo.models.training.world import World
from tests.models.two_processes import CASES, run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def together(out: Path, *asked: str) -> None:
    """Two ranks, each a process of its own."""
    command = [sys.executable, "-m", "tests.models.two_processes"]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(out / "store"), str(out), *asked], cwd=ROOT)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    (out / "store").unlink(missing_ok=True)


def apart(one: Path, two: Path) -> float:
    """The largest difference of any weight."""
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("alone")
    for case in CASES:
        run(case, World(), out)
    return out


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shared")
    together(out, *CASES)
    return out


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, alone: Path, shared: Path) -> None:
    """The weights moved by about 1e-3."""
    assert apart(alone / f"{case}.safetensors", shared / f"{case}.safetensors") <= 1e-9


def test_what_one_process_sees_of_how_far_the_tower_went_two_do(alone: Path, shared: Path) -> None:
    one, two = (json.loads((place / "pulled.json").read_text()) for place in (alone, shared))
    assert len(one) == len(two) == 4 and one[1].keys() == {"step", "distance", "alignment", "sharpness"}
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize(
    "case", ["stack", "sampled", *(pytest.param(each, marks=pytest.mark.long) for each in ("lora", "cosface"))]
)
def test_a_run_goes_on_with_two_processes_and_with_one_again(case: str, alone: Path, tmp_path: Path) -> None:
    run(case, World(), tmp_path, stop_after=2)
    together(tmp_path, f"{case}:2")
    run(case, World(), tmp_path)
    assert apart(alone / f"{case}.safetensors", tmp_path / f"{case}.safetensors") <= 1e-9
