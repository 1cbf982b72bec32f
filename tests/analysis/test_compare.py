"""Averages, GELO and findings against the published tables and closed forms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gelo.analysis.compare import averages, compare, gelo
from gelo.analysis.findings import findings
from gelo.analysis.forgetting import backbones_by_size
from gelo.analysis.published import KEYS, kept, published
from gelo.analysis.remedies import remedies
from gelo.analysis.runs import read_runs
from gelo.analysis.tables import build, to_csv
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


def test_two_versions_of_a_protocol_make_no_gain(tmp_path: Path) -> None:
    """A difference of two quantities is none; a detector is set against prompts, another protocol, whose versions are its own."""
    root = demo(tmp_path)
    own = compare(read_runs(tmp_path, "demo"))
    changed = [root / "trials" / trial / "results" / "fr" / "pairs.json" for trial in ("ff0", "b1")]
    for path in changed:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol_version": 2}))
    comparison = compare(read_runs(tmp_path, "demo"))
    why = "scored by versions 1 and 2 of fr"
    for trial in ("ff0", "ff1", "fl1"):
        assert np.isnan(comparison.gain(trial))
        assert comparison.why_no_gain(trial) == why
    for trial in ("fl0", "mf0", "mf1", "sl1"):
        assert comparison.gain(trial) == own.gain(trial) and comparison.why_no_gain(trial) == ""


def test_findings_say_when_the_effect_shows(tmp_path: Path) -> None:
    demo(tmp_path)
    comparison = compare(read_runs(tmp_path, "demo"))
    found = findings(comparison)
    assert list(backbones_by_size(comparison).index) == ["mini-s", "mini-l"]
    assert [finding.verdict for finding in found[:2]] == ["yes", "yes"]
    assert "0.745" in found[0].text and "4 of 4" in found[0].text  # (0.70 + 0.79) / 2
    assert found[2].verdict == "in part", "small differences are within the noise of the test images"
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
    assert order.verdict == "no" and "another task kept less in 2" in order.text
    assert adaptations.verdict == "no"
    assert "1 within the noise" in adaptations.text
    assert sizes.verdict == "cannot be said"
    assert all(finding.verdict == "cannot be said" for finding in rest)


def test_findings_without_any_trained_trial(tmp_path: Path) -> None:
    root = write_sweep(tmp_path)
    write_result(write_trial(root, "b", "mini-s", "none"), "zero_shot", "shapes", {"shapes/top1": 0.5})
    assert [finding.verdict for finding in findings(compare(read_runs(tmp_path, "demo")))] == ["cannot be said"] * 3


def grid(storage: Path, keys: Sequence[str]) -> Path:
    """One backbone; faces and morphs, full and LoRA, three rates each, the trials under the given keys."""
    root = write_sweep(storage, backbones=["mini-s"])
    names = iter(keys)
    base = write_trial(root, next(names), "mini-s", "none")
    write_result(base, "zero_shot", "shapes", {"shapes/top1": 0.8}, intervals={"shapes/top1": (0.79, 0.81)})
    write_result(base, "fr", "pairs", {"pairs/accuracy": 0.6})
    for place, (task, way, rate) in enumerate(product(("faces", "morphs"), ("full", "lora"), (1e-5, 1e-4, 1e-3))):
        folder = write_trial(
            root,
            next(names),
            "mini-s",
            task,
            way,
            settings={"lr_backbone": rate, "epochs": 3},
            training={"train_seconds": 1.0},
        )
        top1 = 0.75 - 0.02 * (place * 7 % 12)
        write_result(
            folder, "zero_shot", "shapes", {"shapes/top1": top1}, intervals={"shapes/top1": (top1 - 0.01, top1 + 0.01)}
        )
        write_result(folder, "fr", "pairs", {"pairs/accuracy": 0.7 + 0.01 * place})
    return root


KEYS_OF_THE_GRID = [f"{number:012x}" for number in range(13)]


def told(storage: Path) -> tuple[list[str], dict[str, list[str]]]:
    """All findings, and the tables' rows without keys."""
    comparison = compare(read_runs(storage, "demo"))
    rows = {
        name: [line.split(",", 1)[1] for line in to_csv(table).decode().splitlines()]
        for name, table in build(comparison).items()
    }
    return [str(finding) for finding in findings(comparison)], rows


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.permutations(KEYS_OF_THE_GRID))
def test_no_finding_and_no_table_depends_on_the_order_of_keys(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str]
) -> None:
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    grid(one, KEYS_OF_THE_GRID)
    grid(other, keys)
    assert told(one) == told(other)


def test_a_cell_of_several_trials_is_their_mean_and_says_so(tmp_path: Path) -> None:
    grid(tmp_path, KEYS_OF_THE_GRID)
    comparison = compare(read_runs(tmp_path, "demo"))
    order, adaptations, _, gain, *_ = findings(comparison)
    labels = comparison.runs.trials["adaptation"].tolist()
    assert labels[1:4] == ["full(lr_backbone=1e-05)", "full(lr_backbone=0.0001)", "full(lr_backbone=0.001)"]
    assert "Up to 3 trials stand for one backbone, task and adaptation: their mean is compared." in order.text
    kept = comparison.general["zero_shot"].gelo
    rows = comparison.runs.trials
    means = {
        (task, kind): kept[rows[(rows["task"] == task) & (rows["adaptation_kind"] == kind)]["trial"].tolist()].mean()
        for task in ("faces", "morphs")
        for kind in ("full", "lora")
    }
    assert f"faces {means['faces', 'lora']:.3f} against {means['faces', 'full']:.3f}" in adaptations.text
    assert gain.title.startswith("How much verification accuracy")


@pytest.mark.parametrize(
    ("full", "lora", "compared"),
    [((1e-5, 1e-4), (1e-4, 1e-3), False), ((1e-4, 1e-3), (1e-4, 1e-3), True), ((1e-5,), (1e-3,), True), ((1e-5,), (1e-4, 1e-3), False)],
)  # fmt: skip
def test_means_over_unlike_grids_are_not_compared(
    tmp_path: Path, full: tuple[float, ...], lora: tuple[float, ...], compared: bool
) -> None:
    """LoRA takes other rates than full fine-tuning: where each was given a grid of its own, no mean over it answers for its kind."""
    root = write_sweep(tmp_path, "grid", backbones=["mini-s"])
    rows = {"base": ("none", "none", None, 0.8)}
    rows |= {f"f{place}": ("faces", "full", rate, 0.6) for place, rate in enumerate(full)}
    rows |= {f"l{place}": ("faces", "lora", rate, 0.7) for place, rate in enumerate(lora)}
    for key, (task, way, rate, top1) in rows.items():
        folder = write_trial(root, key, "mini-s", task, {"kind": way}, settings=rate and {"lr_backbone": rate})
        for name in SETS:
            write_result(
                folder,
                "zero_shot",
                name,
                {f"{name}/top1": top1},
                intervals={f"{name}/top1": (top1 - 0.01, top1 + 0.01)},
            )
    _, adaptations, *_ = findings(compare(read_runs(tmp_path, "grid")))
    if compared:
        assert adaptations.verdict == "yes" and adaptations.number.startswith("+0.125")
    else:
        assert adaptations.verdict == "cannot be said" and not adaptations.number
        assert "were trained with other lr_backbone each" in adaptations.text


@pytest.mark.parametrize(("morphs", "compared"), [((4, 8), True), ((4,), False)])
def test_tasks_of_unlike_ranks_are_not_compared(tmp_path: Path, morphs: tuple[int, ...], compared: bool) -> None:
    root = write_sweep(tmp_path, "ranks", backbones=["mini-s"])
    rows: dict[str, tuple[str, dict[str, object], float]] = {"base": ("none", {"kind": "none"}, 0.8)}
    for task, ranks, top1 in (("faces", (4, 8), 0.6), ("morphs", morphs, 0.7)):
        rows |= {f"{task}{rank}": (task, {"kind": "lora", "rank": rank}, top1) for rank in ranks}
    for key, (task, way, top1) in rows.items():
        folder = write_trial(root, key, "mini-s", task, way)
        for name in SETS:
            write_result(
                folder,
                "zero_shot",
                name,
                {f"{name}/top1": top1},
                intervals={f"{name}/top1": (top1 - 0.01, top1 + 0.01)},
            )
    order, *_ = findings(compare(read_runs(tmp_path, "ranks")))
    assert (order.verdict == "yes") == compared
    assert ("cannot be said: the tasks were trained with other rank each" in order.text) != compared


def remedied(storage: Path, wise: float, gained: float) -> None:
    """A plain full and a plain LoRA trial; WiSE on full, which keeps `wise` of 0.8 and gains `gained`; another that gives up the gain."""
    root = write_sweep(storage, backbones=["mini-s"])
    rows: dict[str, tuple[str, str, float | None, float, float]] = {
        "b": ("none", "none", None, 0.8, 0.6),
        "f": ("faces", "full", None, 0.70, 0.78),
        "l": ("faces", "lora", None, 0.72, 0.76),
    }
    rows |= {"w8": ("faces", "full", 0.8, wise, gained), "w2": ("faces", "full", 0.2, 0.79, 0.65)}
    for key, (task, way, alpha, top1, accuracy) in rows.items():
        remedy = {"kind": "none"} if alpha is None else {"kind": "wise", "alpha": alpha}
        folder = write_trial(root, key, "mini-s", task, way, remedy=remedy)
        ends = {"shapes/top1": (top1 - 0.01, top1 + 0.01)}
        write_result(folder, "zero_shot", "shapes", {"shapes/top1": top1}, intervals=ends)
        low, high = accuracy - 0.02, accuracy + 0.02
        write_result(folder, "fr", "pairs", {"pairs/accuracy": accuracy}, intervals={"pairs/accuracy": (low, high)})


def test_the_remedy_that_buys_most_back_is_named_with_its_interval(tmp_path: Path) -> None:
    remedied(tmp_path, 0.772, 0.79)
    (finding,) = remedies(compare(read_runs(tmp_path, "demo")))
    assert (finding.title, finding.verdict) == ("Which remedy buys the most back?", "measured")
    # standard errors 0.01 / 1.96 of an average, over the baseline's 0.8; two comparisons: z of 1 - 0.025 / 2
    margin = norm.ppf(1 - 0.0125) * np.sqrt(2) * (0.01 / norm.ppf(0.975)) / 0.8
    assert "without a remedy LoRA stands highest, 0.900 at +16.0 points" in finding.text
    assert (
        f"full + wise(alpha=0.8) keeps most, 0.965 (+0.065, {0.065 - margin:+.3f} to {0.065 + margin:+.3f})"
        in finding.text
    )
    assert "at +19.0 (+3.0, " in finding.text
    assert finding.text.count("wise(alpha=0.2)") == 0, "it gives up the gain"


def test_a_remedy_within_the_noise_is_not_called_best(tmp_path: Path) -> None:
    remedied(tmp_path, 0.725, 0.79)
    (finding,) = remedies(compare(read_runs(tmp_path, "demo")))
    assert finding.verdict == "cannot be said"
    assert "within the noise" in finding.text


def test_the_gain_on_faces_is_that_of_the_collections_own_sets(tmp_path: Path) -> None:
    root = write_sweep(tmp_path, backbones=["ViT-B/16"], collection="paper")
    sets = ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")
    for key, task, way, start in (("b", "none", "none", 0.7), ("f", "faces", "lora", 0.9)):
        folder = write_trial(root, key, "ViT-B/16", task, way)
        for place, name in enumerate(sets):
            write_result(folder, "fr", name, {f"{name}/accuracy": start + 0.01 * place}, scale="full")
    assert compare(read_runs(tmp_path, "demo")).gain("f") == pytest.approx(20.0)
    (root / "trials" / "f" / "results" / "fr" / "calfw.json").unlink()
    assert np.isnan(compare(read_runs(tmp_path, "demo")).gain("f"))
