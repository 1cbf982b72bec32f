"""Averages, GELO and findings against the published tables and closed forms."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from analysis.compare import averages, compare, gelo
from analysis.findings import backbones_by_size, findings
from analysis.published import KEYS, kept, published
from analysis.runs import read_runs
from tests.analysis.sweeps import KEPT, SETS, demo, write_result, write_sweep, write_trial


@pytest.mark.parametrize("name", ["zero_shot", "linear_probe"])
def test_the_published_averages_and_gelo_recompute(name: Literal["zero_shot", "linear_probe"]) -> None:
    table = published(name)
    table.index = pd.Index(table["approach"] + "/" + table["backbone"])
    average = averages(table.drop(columns=list(KEYS)))
    baseline = {key: f"CLIP/{key.split('/', 1)[1]}" for key in table.index if not key.startswith("CLIP")}
    # the paper averages before it rounds the columns, so its last digit may be one off
    np.testing.assert_allclose(average, table["average"], atol=0.01 + 1e-9)
    ours = gelo(average, baseline).dropna()
    assert len(ours) == 6
    np.testing.assert_allclose(ours, table.loc[ours.index, "gelo"], atol=0.001)


def test_published_zero_shot_through_result_files(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, "paper")
    table = published("zero_shot")
    sets = [column for column in table if column not in KEYS]
    for place, row in table.iterrows():
        task = {"CLIP": "none", "FRoundation": "faces", "MADation": "morphs", "FoundPAD": "spoofs"}[row["approach"]]
        way = "none" if task == "none" else "lora"
        folder = write_trial(root, f"t{place}", row["backbone"], task, way)
        for name in sets:
            write_result(folder, "zero_shot", name, {f"{name}/top1": row[name] / 100}, scale="full")
    general = compare(read_runs(tmp_path, "paper")).general["zero_shot"]
    for place, row in table.iterrows():
        assert 100 * general.average[f"t{place}"] == pytest.approx(row["average"], abs=0.0101)
        if row["approach"] != "CLIP":
            assert general.gelo[f"t{place}"] == pytest.approx(row["gelo"], abs=0.001)


def test_the_published_order_is_faces_first() -> None:
    rows = kept()
    assert min(rows, key=lambda row: row[3])[:3] == ("faces", "FRoundation", "ViT-B/16")
    assert len(rows) == 6


def test_an_average_needs_every_data_set_and_gelo_both_sides(tmp_path: Path) -> None:
    root = demo(tmp_path)
    (root / "trials" / "b0" / "results" / "zero_shot" / "flags.json").unlink()
    (root / "trials" / "ff1" / "results" / "zero_shot" / "flags.json").unlink()
    general = compare(read_runs(tmp_path, "demo")).general["zero_shot"]
    assert np.isnan(general.average["b0"]) and np.isnan(general.average["ff1"])
    assert np.isnan(general.gelo["ff0"]), "its baseline lacks flags"
    assert "flags" in general.why["ff0"] and "baseline" in general.why["ff0"]
    assert general.gelo["fl1"] == pytest.approx(1 - 0.15 * 0.7)


def test_closed_forms_of_the_demo(tmp_path: Path) -> None:
    demo(tmp_path)
    comparison = compare(read_runs(tmp_path, "demo"))
    zero_shot = comparison.general["zero_shot"]
    assert zero_shot.average["b0"] == pytest.approx(np.mean([0.62 + 0.03 * place for place in range(len(SETS))]))
    for (task, way), share in KEPT.items():
        assert zero_shot.gelo[f"{task[0]}{way[0]}0"] == pytest.approx(share)
    # ten sets with intervals of +-0.03 each: standard error 0.03 / 1.96 / sqrt(10)
    assert zero_shot.average_error["b0"] == pytest.approx(0.03 / 1.959964 / np.sqrt(10), rel=1e-5)
    assert comparison.gain("ff0") == pytest.approx(16.0)
    assert comparison.gain("mf0") == pytest.approx(100 * (0.41 - 0.125))
    assert np.isnan(comparison.gain("b0"))


def test_findings_say_when_the_effect_shows(tmp_path: Path) -> None:
    demo(tmp_path)
    comparison = compare(read_runs(tmp_path, "demo"))
    found = findings(comparison)
    assert backbones_by_size(comparison) == ["mini-s", "mini-l"]
    assert [finding.verdict for finding in found[:2]] == ["shows", "shows"]
    assert "0.745" in found[0].text and "4 of 4" in found[0].text  # (0.70 + 0.79) / 2
    assert found[2].verdict == "shows in part", "small differences are within the noise of the test images"
    assert "+13.0 to +16.0 points" in found[3].text
    assert [finding.verdict for finding in found[3:]] == ["measured"] * 3


def test_findings_say_when_the_effect_does_not_show(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["mini-s"])
    after = {"b": ("none", "none", 0.80), "ff": ("faces", "full", 0.80), "fl": ("faces", "lora", 0.70)}
    after |= {"mf": ("morphs", "full", 0.50), "ml": ("morphs", "lora", 0.50)}
    for key, (task, way, top1) in after.items():
        folder = write_trial(root, key, "mini-s", task, way)
        write_result(
            folder, "zero_shot", "shapes", {"shapes/top1": top1}, intervals={"shapes/top1": (top1 - 0.01, top1 + 0.01)}
        )
    order, adaptations, sizes, *rest = findings(compare(read_runs(tmp_path, "demo")))
    assert order.verdict == "does not show" and "another task kept less in 2" in order.text
    assert adaptations.verdict == "does not show"
    assert "1 within the noise" in adaptations.text
    assert sizes.verdict == "cannot be said"
    assert all(finding.verdict == "cannot be said" for finding in rest)


def test_findings_without_any_trained_trial(tmp_path: Path) -> None:
    root = write_sweep(tmp_path)
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    assert [finding.verdict for finding in findings(compare(read_runs(tmp_path, "demo")))] == ["cannot be said"] * 3
