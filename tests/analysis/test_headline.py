"""A sweep's few numbers are those of its closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from gelo.analysis.compare import compare
from gelo.analysis.headline import headline
from gelo.analysis.runs import read_runs
from tests.analysis.sweeps import KEPT, demo


def test_the_span_of_each_task_is_that_of_its_trials(tmp_path: Path) -> None:
    demo(tmp_path)
    found = headline(compare(read_runs(tmp_path, "demo")))
    assert (found["trials/all"], found["trials/complete"]) == (14, 14)
    for task in ("faces", "morphs", "spoofs"):
        shares = [1 - (1 - KEPT[task, way]) * (1 - 0.3 * size) for way in ("full", "lora") for size in (0, 1)]
        assert found[f"gelo/zero_shot/{task}/lowest"] == pytest.approx(min(shares))
        assert found[f"gelo/zero_shot/{task}/highest"] == pytest.approx(max(shares))
        gains = [0.01 + gain if task == "faces" else 0.21 + gain / 2 for gain in (0.12, 0.15)]  # of `_results`
        assert [found[f"gain/{task}/{end}"] for end in ("lowest", "highest")] == pytest.approx(gains)
    assert not any("none" in name for name in found)


def test_what_no_trial_has_is_absent(tmp_path: Path) -> None:
    root = demo(tmp_path)
    for path in root.glob("trials/b?/results/zero_shot/shapes.json"):  # of the baselines: nothing to be a share of
        path.unlink()
    names = headline(compare(read_runs(tmp_path, "demo")))
    assert not any(name.startswith("gelo/zero_shot") for name in names)
    assert any(name.startswith("gelo/probe") for name in names)
    assert names["trials/complete"] == 12
