"""Which data decides what: places and settings by validation, figures by test images; merges by the ends of their trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gelo.analysis.compare import compare
from gelo.analysis.contenders import contenders
from gelo.analysis.paths import Contender
from gelo.analysis.resampling import Measure
from gelo.analysis.runs import read_runs
from tests.analysis.curve_files import write_curve, write_scores
from tests.analysis.sweeps import write_sweep, write_trial

STEPS = [0.0, 0.1, 0.2, 0.3]  # gain on the validation metric


def base(storage: Path) -> Path:
    root = write_sweep(storage, backbones=["mini-s"])
    write_scores(write_trial(root, "b", "mini-s", "none"), 0.0, 1.0)
    return root


def trial(root: Path, key: str, remedy: dict[str, Any] | None = None, **more: Any) -> Path:
    training = {"train_seconds": 10.0, "source": key} | more.pop("training", {})
    told = {"remedy": remedy or {"kind": "none"}, "training": training, **more}
    return write_trial(root, key, "mini-s", "faces", "full", **told)


def found(storage: Path) -> dict[str, Contender]:
    comparison = compare(read_runs(storage, "demo"))
    assert not comparison.runs.faults
    return {each.kind: each for each in contenders(comparison)}


def value(measure: Measure | str) -> float:
    assert isinstance(measure, Measure), measure
    return measure.value


def test_gain_is_a_share_of_the_best_validation_gain_of_any_trial(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.95, 0.9, 0.5])
    write_curve(trial(root, "m", {"kind": "l2sp"}), [0.0, 0.2, 0.4, 0.35], [1.0, 0.9, 0.8, 0.6])
    by = found(tmp_path)
    assert by["l2sp"].paths[0].gain == pytest.approx([0, 0.5, 1, 0.875])
    assert by["none"].paths[0].gain.max() == pytest.approx(0.75)
    assert value(by["l2sp"].kept_at(0.9)) == pytest.approx(np.interp(0.9, [0.5, 1.0], [0.9, 0.8]), abs=0.02)
    told = by["none"].kept_at(0.8)
    assert told == "it reaches 75 % of the best gain at most"
    assert value(by["none"].kept_at(0.5)) == pytest.approx(0.9, abs=0.02)


def test_ends_without_curves_err_each_on_its_own(tmp_path: Path) -> None:
    """No scores are kept: what is known of either is its interval, and their difference is as noisy as both."""
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.95, 0.9, 0.5])
    for kind in ("wise", "soup"):
        for place, gain in enumerate((0.25, 0.3)):
            remedy = {"kind": kind, **({"alpha": 0.5 + 0.1 * place} if kind == "wise" else {"seeds": [place]})}
            write_scores(trial(root, f"{kind}{place}", remedy, training={"source": "p"}), gain, 0.8)
    by = found(tmp_path)
    one, other = (by[kind].kept_at(0.9) for kind in ("wise", "soup"))
    assert isinstance(one, Measure) and isinstance(other, Measure)
    apart = (one.draws[0] - other.draws[0]).std()
    assert apart == pytest.approx(np.hypot(one.draws[0].std(), other.draws[0].std()), rel=0.1) and apart > 0.005


def test_a_setting_is_chosen_on_validation_data_though_another_keeps_more_of_the_test_images(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.9, 0.8, 0.7])
    flatters, honest = {"kind": "l2sp", "strength": 1.0}, {"kind": "l2sp", "strength": 2.0}
    write_curve(trial(root, "t", flatters), STEPS, [1.0, 1.0, 1.0, 0.975], validation=[1.0, 0.9, 0.8, 0.7])
    write_curve(trial(root, "v", honest), STEPS, [1.0, 0.9, 0.8, 0.75], validation=[1.0, 0.995, 0.99, 0.975])
    short = {"kind": "l2sp", "strength": 3.0}
    write_curve(trial(root, "s", short), [0.0, 0.05, 0.1, 0.2], [1.0] * 4, validation=[1.0, 0.5, 0.5, 0.5])
    chosen = found(tmp_path)["l2sp"]
    assert chosen.trials == {0: "v"} and chosen.remedy == "l2sp(strength=2)"
    assert value(chosen.kept_at(0.9)) < 0.8
    assert len(chosen.everything[0].gain) == 12, "the front has the points of every setting"
    assert value(chosen.hypervolume()) == pytest.approx((0.9 + 0.8 + 0.75) / 3, abs=0.01), (
        "and counts what validation chose"
    )


def test_where_no_setting_reaches_the_level_the_largest_validation_gain_decides(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.9, 0.8, 0.7])
    for key, strength, end in (("a", 1.0, 0.15), ("c", 2.0, 0.2), ("d", 3.0, 0.1)):
        write_curve(trial(root, key, {"kind": "l2sp", "strength": strength}), [0.0, end], [1.0, 0.9])
    assert found(tmp_path)["l2sp"].trials == {0: "c"}


def test_one_lucky_look_is_not_the_best_gain(tmp_path: Path) -> None:
    """The largest mean over seeds counts: of twenty noisy curves the highest point of all says little of what can be gained."""
    root = base(tmp_path)
    for seed in range(3):
        write_curve(trial(root, f"p{seed}", seed=seed), [0.0, 0.1, 0.2], [1.0, 0.9, 0.8])
        lucky = 0.35 if seed == 1 else 0.2
        other = trial(root, f"l{seed}", seed=seed, remedy={"kind": "l2sp"})
        write_curve(other, [0.0, lucky, 0.2], [1.0, 0.9, 0.8])
    plain = found(tmp_path)["none"]
    reached = [path.gain.max() for path in plain.paths.values()]
    assert reached == pytest.approx([0.2 / 0.25] * 3, abs=0.05), "of the luckiest it would be 0.57"
    assert isinstance(plain.kept_at(0.7), Measure)


def test_seeds_are_paths_and_one_that_falls_short_leaves_no_value(tmp_path: Path) -> None:
    root = base(tmp_path)
    for seed, end in enumerate((0.3, 0.3, 0.2)):
        write_curve(trial(root, f"p{seed}", seed=seed), [0.0, end / 2, end], [1.0, 0.9, 0.8 - 0.05 * seed])
    plain = found(tmp_path)["none"]
    assert sorted(plain.paths) == [0, 1, 2]
    assert plain.kept_at(0.9) == "one of 3 seeds reaches 75 % of the best gain at most"  # the best is a mean over seeds
    measure = plain.kept_at(0.5)
    assert isinstance(measure, Measure) and sorted(measure.values) == [0, 1, 2]
    assert measure.value == pytest.approx(np.mean(list(measure.values.values())))
    low, high = measure.interval()
    assert low < measure.value < high


def test_a_seed_that_is_not_there_leaves_no_mean_of_the_others(tmp_path: Path) -> None:
    root = base(tmp_path)
    for seed in (0, 1):
        write_curve(trial(root, f"p{seed}", seed=seed), STEPS, [1.0, 0.9, 0.8, 0.7])
        write_curve(trial(root, f"m{seed}", {"kind": "l2sp", "strength": 1.0}, seed=seed), STEPS, [1.0, 0.9, 0.8, 0.7])
    write_trial(root, "p2", "mini-s", "faces", "full", seed=2)
    write_curve(trial(root, "n0", {"kind": "l2sp", "strength": 2.0}), STEPS, [1.0, 1.0, 1.0, 1.0])
    write_trial(root, "n1", "mini-s", "faces", "full", seed=1, remedy={"kind": "l2sp", "strength": 2.0})
    by = found(tmp_path)
    told = "1 of 3 seeds: not trained"
    assert (by["none"].kept_at(0.9), by["none"].area(), by["none"].hypervolume()) == (told, told, told)
    assert by["l2sp"].trials == {0: "m0", 1: "m1"}, "what lacks a seed is chosen last"


def merge(root: Path, key: str, remedy: dict[str, Any], gain: float, kept: float, **more: Any) -> Path:
    folder = trial(root, key, remedy, training={"source": "p", "ledger": []}, **more)
    write_scores(folder, gain, kept)
    return folder


def test_the_ends_of_merges_are_points_and_a_curve_where_they_are_several(tmp_path: Path) -> None:
    root = base(tmp_path)
    folder = trial(root, "p")
    write_curve(folder, STEPS, [1.0, 0.9, 0.8, 0.7])
    write_scores(folder, 0.3, 0.7)
    for alpha, gain, kept in ((0.8, 0.285, 0.85), (0.2, 0.1, 0.98), (0.5, 0.24, 0.93)):
        merge(root, f"w{alpha}", {"kind": "wise", "alpha": alpha}, gain, kept)
    merge(root, "s", {"kind": "soup"}, 0.285, 0.8)
    by = found(tmp_path)
    wise, soup = by["wise"], by["soup"]
    assert wise.merged and wise.trials == {} and wise.remedy == "wise(3 settings)", "only test data could choose"
    assert wise.paths[0].gain == pytest.approx([0, 1 / 3, 0.8, 0.95]) and wise.paths[0].chosen is None
    assert value(wise.kept_at(0.9)) == pytest.approx(np.interp(0.9, [0.8, 0.95], [0.93, 0.85]))
    assert value(wise.area()) == pytest.approx(np.trapezoid([1, 0.98, 0.93, 0.85], [0, 1 / 3, 0.8, 0.95]) / 0.95)
    assert (
        wise.kept_at(0.3)
        == "no curve leads to what is kept, and the first of its trials keeps 0.980 at 33 % of the best gain"
    )
    assert soup.trials == {0: "s"}
    assert (
        soup.kept_at(0.9)
        == "no curve leads to what is kept, and the first of its trials keeps 0.800 at 95 % of the best gain"
    )
    assert soup.area() == soup.kept_at(0.9)
    measure = soup.hypervolume()
    assert isinstance(measure, Measure) and measure.value == pytest.approx(0.95 * 0.8)
    error = compare(read_runs(tmp_path, "demo")).general["zero_shot"].gelo_error["s"]
    low, high = measure.interval()
    assert high - low == pytest.approx(2 * 1.96 * 0.95 * error, rel=0.1), "as noisy as its results"


def test_a_merge_whose_end_was_watched_is_chosen_on_validation_data_too(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.9, 0.8, 0.7])
    for alpha, validation in ((0.6, 0.8), (0.8, 0.9), (0.4, 0.95)):
        folder = merge(root, f"w{alpha}", {"kind": "wise", "alpha": alpha}, 0.29, 0.9)
        write_curve(folder, [0.0, 0.3 if alpha > 0.5 else 0.2], [1.0, 0.85], validation=[1.0, validation])
    wise = found(tmp_path)["wise"]
    assert wise.trials == {0: "w0.8"} and wise.paths[0].gain == pytest.approx([0, 2 / 3, 1, 1])
    assert wise.paths[0].chosen == pytest.approx([1, 0.95, 0.8, 0.9])


def test_where_no_image_was_told_otherwise_the_interval_is_as_wide_as_one_image(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 1.0, 1.0, 1.0])
    measure = found(tmp_path)["none"].kept_at(0.9)
    assert isinstance(measure, Measure) and all(each.std() == 0 for each in measure.draws.values())
    assert measure.interval() == pytest.approx((1 - 1.96 / (120 * 0.8), 1 + 1.96 / (120 * 0.8)), abs=1e-4)


def test_what_keeps_other_weights_than_the_last_look_saw_stands_by_its_results(tmp_path: Path) -> None:
    root = base(tmp_path)
    folder = trial(root, "p")
    write_curve(folder, STEPS, [1.0, 0.9, 0.8, 0.7])
    write_scores(folder, 0.3, 0.7)
    folder = trial(root, "k", {"kind": "budget", "share": 0.8})
    write_curve(folder, STEPS, [1.0, 0.9, 0.8, 0.7])
    write_scores(folder, 0.27, 0.85)
    stacked = {"kind": "stack", "remedies": [{"kind": "l2sp", "strength": 0.1}, {"kind": "budget", "share": 0.8}]}
    folder = trial(root, "s", stacked)
    write_curve(folder, STEPS, [1.0, 0.9, 0.8, 0.7])
    write_scores(folder, 0.3, 0.9)
    by = found(tmp_path)
    assert by["budget"].paths[0].gain == pytest.approx([0, 0.9]) and by["budget"].paths[0].kept == pytest.approx(
        [1, 0.85]
    )
    assert by["l2sp + budget"].paths[0].kept == pytest.approx([1, 0.9])
    assert len(by["none"].paths[0].gain) == 4


def test_a_look_that_found_nothing_is_no_point(tmp_path: Path) -> None:
    root = base(tmp_path)
    folder = trial(root, "p")
    write_curve(folder, STEPS, [1.0, 0.9, 0.8, 0.0])
    path = folder / "trained" / "curve.json"
    document = json.loads(path.read_text())
    for name in ("task", "test", "validation"):
        document["points"][3].pop(name)
    path.write_text(json.dumps(document))
    write_curve(trial(root, "m", {"kind": "l2sp"}), STEPS, [1.0, 0.9, 0.8, 0.7])
    path = found(tmp_path)["none"].paths[0]
    assert path.gain == pytest.approx([0, 1 / 3, 2 / 3]) and path.draws.shape[1] == 3 and path.chosen is not None


def test_what_has_no_path_says_why(tmp_path: Path) -> None:
    root = base(tmp_path)
    write_curve(trial(root, "p"), STEPS, [1.0, 0.9, 0.8, 0.7])
    trial(root, "u", {"kind": "l2sp"})
    write_trial(root, "n", "mini-s", "faces", "full", remedy={"kind": "ewc"})
    trial(root, "w", {"kind": "wise", "alpha": 0.5}, training={"source": "p"})
    by = found(tmp_path)
    assert by["l2sp"].kept_at(0.9) == "no forgetting curve was kept"
    assert by["ewc"].hypervolume() == "not trained"
    assert (
        by["wise"].kept_at(0.9)
        == "no curve leads to what is kept, and results of its task and of the general sets are missing"
    )


@pytest.mark.parametrize(
    ("gain", "metric", "told"),
    [
        (STEPS, None, "the task has no validation metric here, so no gain to be equal in"),
        ([0.0, -0.1, -0.1, 0.0], "m", "no trial of this backbone gained on the task's validation metric"),
    ],
)
def test_without_a_gain_nothing_is_equal(gain: list[float], metric: str | None, told: str, tmp_path: Path) -> None:
    write_curve(trial(base(tmp_path), "p"), gain, [1.0, 0.9, 0.8, 0.7], metric=metric)
    assert found(tmp_path)["none"].kept_at(0.9) == told


def test_a_sweep_without_curves_has_no_contenders(tmp_path: Path) -> None:
    write_scores(trial(base(tmp_path), "p"), 0.3, 0.7)
    assert found(tmp_path) == {}
