"""The stated tests of docs/miniature.md on sweeps whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from docs import order
from tests.analysis.sweeps import demo


def _frame(kept: dict[str, float], error: float = 0.001, gain: float = 5.0, seeds: int = 3) -> pd.DataFrame:
    """12 comparisons; by seed what is kept falls by 0.01 for faces alone."""
    rows = [
        (backbone, way, task, seed, share - 0.01 * seed * (task == "faces"), error, gain)
        for backbone in ("s", "l")
        for way in ("lora", "full")
        for seed in range(seeds)
        for task, share in kept.items()
    ]
    return pd.DataFrame(rows, columns=["backbone", "adaptation", "task", "seed", "kept", "error", "gain"])


ORDER = {"faces": 0.7, "morphs": 0.97, "spoofs": 0.99}


def test_the_papers_order_shows_where_it_is() -> None:
    compared = order.comparisons(_frame(ORDER))
    assert len(compared) == 12 and set(compared["rival"]) == {"morphs"}
    assert order.verdict(compared).startswith("shows: faces kept least in 12 of 12 comparisons (9 needed)")
    assert np.allclose(compared["difference"], [0.27, 0.28, 0.29] * 4)


def test_the_verdict_turns_at_the_stated_counts() -> None:
    compared = order.comparisons(_frame(ORDER))
    for yes, word in ((12, "shows"), (9, "shows"), (8, "in part"), (4, "in part"), (3, "reversed")):
        compared["sign"] = [1] * yes + [-1] * (12 - yes)
        assert order.verdict(compared).startswith(f"{word}:"), yes
    compared["sign"] = [0] * 12
    assert order.verdict(compared).startswith("in part: faces kept least in 0 of 12")
    assert "(5 needed)" in order.verdict(compared.head(6))
    assert order.verdict(compared.head(0)).startswith("cannot be said")


def test_what_lies_within_the_noise_counts_for_nobody() -> None:
    """0.27 to 0.29 against 1.96 sqrt(2) times the error of one side."""
    edge = 0.285 / (1.959964 * np.sqrt(2))
    signs = order.comparisons(_frame(ORDER, error=edge))["sign"]
    assert signs.tolist() == [0, 0, 1] * 4


def test_the_reverse_is_told_as_such() -> None:
    assert order.verdict(order.comparisons(_frame({**ORDER, "faces": 1.2}))).startswith("reversed")


def test_the_interval_is_students() -> None:
    values = [0.27, 0.31, 0.22]
    assert order.interval(values) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval(0.95)))
    assert np.isnan(order.interval([0.2])).all()


def test_a_task_that_gained_nothing_is_named() -> None:
    frame = _frame(ORDER)
    assert order.unlearned(frame) == []
    frame.loc[(frame["backbone"] == "l") & (frame["task"] == "spoofs") & (frame["seed"] == 1), "gain"] = -0.1
    assert order.unlearned(frame) == ["l lora spoofs", "l full spoofs"]
    assert list(order.told(frame))[-1] == "Not learned: l lora spoofs, l full spoofs."


def test_it_reads_a_sweep_and_its_table_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The made-up demo keeps 0.70 of faces in full fine-tuning and 0.85 by LoRA on the smaller backbone: tests/analysis/sweeps.py."""
    demo(tmp_path)
    assert order.main(["demo", "--storage", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1 and len(rows) == 2 + 4
    by_cell = {row[0]: row[1:4] for row in rows[2:]}
    assert by_cell["mini-s full"] == ["0.700", "0.900", "0.930"] and by_cell["mini-s lora"][0] == "0.850"
    assert any(line.startswith("All: shows: faces kept least in 4 of 4") for line in lines)
    assert order.main(["absent", "--storage", str(tmp_path)]) == 2
