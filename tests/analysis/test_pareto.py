"""The picture of what is kept over what is gained: every curve lies in its panel, whatever the panel beside it shows."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from gelo.analysis.compare import compare
from gelo.analysis.pictures.equalgain import EQUAL_GAIN
from gelo.analysis.runs import read_runs
from tests.analysis.curve_files import write_curve, write_scores
from tests.analysis.sweeps import write_sweep, write_trial

LOST = {"mini-s": (1.0, 0.99, 1.0, 0.98), "mini-l": (1.0, 0.6, 0.3, 0.1)}  # nothing, and nearly all


@pytest.mark.parametrize("order", [("mini-s", "mini-l"), ("mini-l", "mini-s")], ids=str)
def test_a_panel_of_little_does_not_cut_off_the_one_beside_it(order: tuple[str, str], tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=list(order))
    for backbone in order:
        write_scores(write_trial(root, f"b{backbone}", backbone, "none"), 0.0, 1.0)
        for kind in ("none", "l2sp"):
            key = f"{kind}{backbone}"
            training = {"train_seconds": 1.0, "source": key}
            folder = write_trial(root, key, backbone, "faces", "full", remedy={"kind": kind}, training=training)
            write_curve(folder, [0.0, 0.1, 0.2, 0.3], LOST[backbone])
            write_scores(folder, 0.3, LOST[backbone][-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as of axes without room
        (picture,) = EQUAL_GAIN.finished(compare(read_runs(tmp_path, "demo")))
        assert picture.svg()
    for axis in picture.drawn.figure.axes:
        low, high = axis.get_ylim()
        curves = [line.get_ydata() for line in axis.lines if len(np.asarray(line.get_ydata())) == 4]
        heights = [*curves, *([text.get_position()[1]] for text in axis.texts)]
        assert len(curves) == 2 and len(axis.texts) == 2
        assert all(low <= float(np.min(each)) and float(np.max(each)) <= high for each in heights)
    rows = picture.rows  # each set has 40 images: half of one is 0.016 of the share kept
    ends = rows.groupby(["backbone", "name"])["kept"].last()
    assert ends["mini-l", "full"] == pytest.approx(0.1, abs=0.016) and ends["mini-s", "full"] == pytest.approx(
        0.98, abs=0.016
    )
    assert f"full (faces, mini-s: {ends['mini-s', 'full']:.3f})" in picture.alt
