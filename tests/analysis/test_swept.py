"""Pictures of a setting that a sweep varies: which trials make a line, what it is called, what is drawn."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gelo.analysis.compare import compare
from gelo.analysis.pictures.base import Finished
from gelo.analysis.pictures.swept import SWEPT, Line, described, labels, lines
from gelo.analysis.runs import read_runs
from tests.analysis.sweeps import write_result, write_sweep, write_trial

SETS = ("shapes", "textures")


def _scored(folder: Path, accuracy: float) -> None:
    for name in SETS:
        write_result(folder, "zero_shot", name, {f"{name}/top1": accuracy})


def _storage(tmp_path: Path, *, rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3)) -> Path:
    """On two tasks the whole tower over rates, two seeds each; on faces LoRA, whose rate does not vary, over three ranks."""
    root = write_sweep(tmp_path, "varied", backbones=["mini-s"], evaluated=list(SETS), evaluate=["zero_shot"])
    _scored(write_trial(root, "base", "mini-s", "none"), 0.8)
    for task, loss in (("faces", 0.2), ("morphs", 0.1)):
        for place, rate in enumerate(rates):
            for seed in (0, 1):
                settings = {"lr_backbone": rate, "epochs": 5, "augment": "flip"}
                key = f"{task}-{place}-{seed}"
                folder = write_trial(root, key, "mini-s", task, "full", seed=seed, settings=settings)
                _scored(folder, 0.8 - loss * (place + seed / 10))
    for rank in (2, 4, 8):
        way = {"kind": "lora", "rank": rank, "alpha": 8.0, "rslora": True}
        settings = {"lr_backbone": 1e-3, "epochs": 5, "augment": "flip"}
        _scored(write_trial(root, f"lora-{rank}", "mini-s", "faces", way, settings=settings), 0.8 - rank / 100)
    return tmp_path


def _frame(storage: Path) -> pd.DataFrame:
    return described(compare(read_runs(storage, "varied")))


def _drawn(storage: Path) -> dict[str, Finished]:
    return {each.drawn.of: each for each in SWEPT.finished(compare(read_runs(storage, "varied")))}


@pytest.mark.slow
def test_a_setting_with_three_values_is_a_picture_and_no_other(tmp_path: Path) -> None:
    drawn = _drawn(_storage(tmp_path))
    assert set(drawn) == {"lr_backbone", "rank"}
    assert [each.name for each in drawn.values()] == ["over_lr_backbone", "over_rank"]
    rows = drawn["lr_backbone"].rows
    faces = rows[(rows["line"] == "faces, full") & (rows["over"] == 1e-4)]
    assert sorted(faces["gelo"]) == pytest.approx([0.58 / 0.8, 0.6 / 0.8])
    assert "Most zero-shot accuracy kept: 0.975 by LoRA at 2; least: 0.900 by LoRA at 8" in drawn["rank"].alt


def test_two_values_make_none(tmp_path: Path) -> None:
    assert set(_drawn(_storage(tmp_path, rates=(1e-4, 1e-3)))) == {"rank"}


def test_a_line_is_of_trials_that_are_else_alike(tmp_path: Path) -> None:
    found = lines(_frame(_storage(tmp_path)), "lr_backbone")
    assert [(line.cell, line.way, len(line.rows)) for line in found] == [
        (("mini-s", "faces"), "full", 6),
        *[(("mini-s", "faces"), "lora", 1)] * 3,  # of the same backbone and task: points beside the line
        (("mini-s", "morphs"), "full", 6),
    ]
    morphs = found[-1].rows.groupby("over")["gelo"].mean()
    assert list(morphs.index) == [1e-5, 1e-4, 1e-3]
    assert list(morphs) == pytest.approx([(0.8 - 0.1 * (place + 0.05)) / 0.8 for place in range(3)])


def test_a_line_is_called_by_what_tells_it_from_the_others(tmp_path: Path) -> None:
    frame = _frame(_storage(tmp_path))
    assert labels(lines(frame, "rank")) == ["LoRA"]
    assert labels(lines(frame, "lr_backbone")) == [
        "faces, full", "faces, LoRA, rank 2", "faces, LoRA, rank 4", "faces, LoRA, rank 8", "morphs, full",
    ]  # fmt: skip


def test_a_head_is_told_without_what_follows_from_it() -> None:
    rows = pd.DataFrame({"over": [1.0]})
    heads = ({"head": "binary"}, {"head": "cosface", "head.margin": 0.35, "head.scale": 64.0})
    assert labels([Line(("mini-s", "faces"), "full", head, rows) for head in heads]) == [
        "full, head binary",
        "full, head cosface",
    ]
