"""Ranks over data sets: of sweeps whose order is known, against scipy's Friedman test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from gelo.analysis.compare import compare
from gelo.analysis.findings import findings
from gelo.analysis.runs import read_runs
from tests.analysis.sweeps import write_result, write_sweep, write_trial

SETS = ("colours", "counts", "digits", "flags", "scenes", "scripts", "shapes", "signs")


def said(storage: Path, after: Mapping[str, Sequence[float]]) -> str:
    """The finding on remedies of a sweep of these accuracies by remedy and set; before, all are 0.8."""
    root = write_sweep(storage, "ranked", backbones=["mini-s"])
    trials = {"base": (write_trial(root, "base", "mini-s", "none", "none"), [0.8] * len(SETS))}
    for kind, accuracies in after.items():
        remedy = {"kind": kind, "strength": 0.1} if kind != "none" else {"kind": "none"}
        trials[kind] = (write_trial(root, kind, "mini-s", "faces", "full", remedy=remedy), list(accuracies))
    for folder, accuracies in trials.values():
        for name, accuracy in zip(SETS, accuracies, strict=True):
            write_result(folder, "zero_shot", name, {f"{name}/top1": accuracy})
    return findings(compare(read_runs(storage, "ranked")))[-1].text


def test_an_order_that_every_set_shows_is_said_with_its_ranks(tmp_path: Path) -> None:
    steps = np.linspace(0, 0.07, len(SETS))
    text = said(tmp_path, {"none": 0.5 + steps, "l2sp": 0.6 + steps, "lwf": 0.7 + steps})
    assert "over the 8 data sets at the end of training, whatever was gained: the 3 approaches differ" in text
    assert "full + lwf, 1.0, without a remedy full 3.0" in text
    # Nemenyi's q of three is 2.343 (Demsar 2006, table 5)
    assert f"less than {2.343 * np.sqrt(3 * 4 / (6 * len(SETS))):.1f} apart" in text


def test_what_is_drawn_is_not_told_apart(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    scores = generator.uniform(0.5, 0.7, (3, len(SETS)))
    chi = stats.friedmanchisquare(*scores).statistic
    ratio = (len(SETS) - 1) * chi / (len(SETS) * 2 - chi)
    p = stats.f.sf(ratio, 2, 2 * (len(SETS) - 1))
    assert p > 0.05
    text = said(tmp_path, dict(zip(("none", "l2sp", "lwf"), scores, strict=True)))
    assert f"the 3 approaches are not told apart (Friedman p {p:.3f})" in text


@pytest.mark.parametrize("kinds", [("none", "l2sp")])
def test_of_two_approaches_there_are_no_ranks(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    assert "Friedman" not in said(tmp_path, {kind: [0.5 + 0.1 * place] * len(SETS) for place, kind in enumerate(kinds)})
