"""Which trial is recommended: choices by validation images whose order is known, figures and intervals in closed form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from gelo.analysis.advice import closing, document, sentences
from gelo.analysis.compare import compare
from gelo.analysis.recommend import Advice, Constraint, recommend
from gelo.analysis.runs import read_runs
from gelo.models.faults import UserError
from tests.analysis.curve_files import BASE, GENERAL, START, write_curve
from tests.analysis.scored_files import answers, write_pairs, write_top1
from tests.analysis.sweeps import write_result, write_sweep, write_trial

SETTINGS = {  # remedy -> (gain, kept) on validation and test alike
    "none": (0.30, 0.70), "l2sp": (0.25, 0.95), "distill": (0.20, 0.975), "ewc": (0.10, 1.0),
}  # fmt: skip


def write_tested(folder: Path, gain: float, kept: float) -> None:
    """Results with what was scored beside them."""
    for name in GENERAL:
        write_top1(folder, name, answers(BASE * kept))
    write_pairs(folder, answers(START + gain, 400))


def write_one(root: Path, key: str, remedy: str, gain: float, kept: float, **more: Any) -> Path:
    """A trained trial; more: seed, backbone, tested (gain and kept on test images), and what `write_curve` takes."""
    spec, place = {"kind": remedy}, {"training": {"source": key}, "seed": more.pop("seed", 0)}
    folder = write_trial(
        root, key, more.pop("backbone", "mini-s"), more.pop("task", "faces"), "full", remedy=spec, **place
    )
    write_tested(folder, *more.pop("tested", (gain, kept)))
    write_curve(folder, [0.0, gain], [1.0, kept], **more)
    return folder


def write_all(
    storage: Path, settings: Mapping[str, tuple[float, float]] = SETTINGS, seeds: Sequence[int] = (0, 1)
) -> Path:
    root = write_sweep(storage, backbones=["mini-s"])
    write_tested(write_trial(root, "base", "mini-s", "none"), 0.0, 1.0)
    for remedy, (gain, kept) in settings.items():
        for seed in seeds:
            write_one(root, f"{remedy}{seed}", remedy, gain, kept, seed=seed)
    return root


def advised(storage: Path, keep: float | None = None, gain: float | None = None, **more: Any) -> Advice:
    return recommend(compare(read_runs(storage, "demo")), UPath(storage) / "demo", Constraint(keep, gain), **more)


def said(advice: Advice) -> str:
    return " ".join([*(line for answer in advice.answers for line in sentences(answer, advice)), *closing(advice)])


@pytest.mark.parametrize(
    ("constraint", "name", "meeting"),
    [
        ({"keep": 0.93}, "full + l2sp", 3),
        ({"gain": 15}, "full + distill", 3),
        ({"gain": 28}, "full", 1),
        ({"keep": 0.99}, "full + ewc", 1),
    ],
)
def test_of_those_that_meet_the_constraint_the_best_is_taken(
    constraint: dict[str, float], name: str, meeting: int, tmp_path: Path
) -> None:
    write_all(tmp_path)
    (answer,) = advised(tmp_path, **constraint).answers
    assert answer.chosen is not None and answer.chosen.name == name and answer.meeting == meeting
    assert {runner.candidate.name for runner in answer.runners} <= {
        "full",
        "full + l2sp",
        "full + distill",
        "full + ewc",
    } - {name}
    assert len(answer.runners) == meeting - 1


def test_its_figures_are_those_of_the_test_images(tmp_path: Path) -> None:
    """Seeds that agree leave the images' error: pairs that only one of both got right, by fold; of the share kept the delta method's."""
    write_all(tmp_path)
    (answer,) = advised(tmp_path, keep=0.93).answers
    before, after = answers(START, 400).astype(float), answers(START + 0.25, 400).astype(float)
    assert answer.gain.value == pytest.approx(100 * (after - before).mean())
    of = np.arange(400) // 2 % 10
    by = [(after - before)[of == fold].var() / 40 for fold in range(10)]
    half = 1.96 * 100 * np.sqrt(sum(by)) / 10
    assert answer.gain.low == pytest.approx(answer.gain.value - half, abs=0.1 * half)
    assert answer.gain.high == pytest.approx(answer.gain.value + half, abs=0.1 * half)
    assert answer.kept.value == pytest.approx(0.95)
    one, other = answers(BASE * 0.95).astype(float), answers(BASE).astype(float)
    spread = (one - 0.95 * other).var() / 200 / 3  # three sets of 200 images
    assert answer.kept.low == pytest.approx(0.95 - 1.96 * np.sqrt(spread) / BASE, abs=0.002)


def test_runners_up_are_told_by_paired_intervals(tmp_path: Path) -> None:
    """ewc gains 15 points less on the same pairs; one that answers each pair alike cannot be told apart."""
    write_all(tmp_path, SETTINGS | {"replay": (0.249, 0.97)})
    advice = advised(tmp_path, keep=0.93)
    told = {runner.candidate.name: runner for runner in advice.answers[0].runners}
    assert advice.comparisons == 3
    assert told["full + ewc"].told == "less" and told["full + ewc"].difference == pytest.approx(15)
    assert told["full + replay"].told == "not told apart"
    assert "Not told apart from it on test images (gain, it minus the other): full + replay" in said(advice)
    assert "for all 3 comparisons together" in said(advice)


def test_one_that_is_better_on_test_images_is_said_and_not_taken(tmp_path: Path) -> None:
    root = write_all(tmp_path)
    write_one(root, "r", "replay", 0.2, 0.97, tested=(0.40, 0.97))
    write_one(root, "s", "replay", 0.2, 0.97, tested=(0.40, 0.97), seed=1)
    advice = advised(tmp_path, keep=0.93)
    assert advice.answers[0].chosen is not None and advice.answers[0].chosen.name == "full + l2sp"
    assert "Better than it on test images, though validation did not say so" in said(advice)


def test_a_test_figure_below_the_constraint_is_said_plainly(tmp_path: Path) -> None:
    root = write_all(tmp_path, {"none": (0.3, 0.7)}, seeds=(0,))
    write_one(root, "l", "l2sp", 0.25, 0.90, validation=[1.0, 0.97])
    assert "BELOW what was asked on test images: it keeps 0.900, not 0.95, though validation met it." in said(
        advised(tmp_path, keep=0.95)
    )
    write_one(root, "d", "distill", 0.28, 0.9625, validation=[1.0, 0.97])
    assert "its interval reaches below 0.95" in said(advised(tmp_path, keep=0.95))


def test_where_none_meets_it_the_nearest_is_named(tmp_path: Path) -> None:
    write_all(tmp_path, {"none": (0.3, 0.7), "l2sp": (0.25, 0.95)})
    advice = advised(tmp_path, keep=0.96)
    assert not advice.met and advice.answers[0].nearest is not None and advice.answers[0].nearest.name == "full + l2sp"
    assert "no setting of 2 keeps at least 96 % of zero-shot accuracy on validation. Nearest: full + l2sp" in said(
        advice
    )
    assert document(advice, "")["answers"][0]["chosen"] is None


def test_the_seed_is_taken_that_validation_prefers(tmp_path: Path) -> None:
    """Seed 1 gains most of the two that keep enough; seed 2 gains more and keeps too little."""
    root = write_all(tmp_path, {}, ())
    for seed, (gain, kept) in enumerate([(0.20, 0.975), (0.22, 0.96), (0.30, 0.94)]):
        write_one(root, f"l{seed}", "l2sp", gain, kept, seed=seed)
    (answer,) = advised(tmp_path, keep=0.955).answers
    assert (answer.seed, answer.trial) == (1, "l1")


def test_a_tie_on_validation_is_said(tmp_path: Path) -> None:
    write_all(tmp_path, {"l2sp": (0.25, 0.95), "distill": (0.25, 0.95)})
    advice = advised(tmp_path, keep=0.93)
    assert advice.answers[0].chosen is not None and advice.answers[0].chosen.name == "full + distill"
    assert "The same figures on validation have: full + l2sp" in said(advice)
    assert advice.answers[0].runners[0].told == "not told apart"


def test_one_seed_has_the_images_alone(tmp_path: Path) -> None:
    write_all(tmp_path, seeds=(3,))
    advice = advised(tmp_path, keep=0.93)
    assert advice.answers[0].gain.over.endswith("alone (one seed)") and advice.answers[0].gain.low is not None
    assert "One seed (3): another might do otherwise" in said(advice)


def test_what_cannot_be_chosen_says_why(tmp_path: Path) -> None:
    root = write_all(tmp_path)
    write_trial(root, "z", "mini-s", "faces", "full", remedy={"kind": "zscl"})
    write_one(root, "b", "budget", 0.2, 0.99, task="faces")
    (root / "trials" / "ewc1" / "trained" / "curve.json").write_text("{]")
    write_trial(root, "f", "mini-s", "faces", "full", remedy={"kind": "lwf"})
    (root / "trials" / "f" / "failure.json").write_text(json.dumps({"kind": "fault", "error": "it broke"}))
    left = advised(tmp_path, keep=0.93).answers[0].cell.left
    assert left == {
        "full + zscl": "not trained yet",
        "full + budget": "its curve ends at other weights than it keeps",
        "full + ewc": "1 of 2 seeds: no forgetting curve was kept",
        "full + lwf": "failed",
    }


def test_without_scores_the_interval_is_the_results_and_nothing_is_compared(tmp_path: Path) -> None:
    root = write_all(tmp_path)
    for path in root.glob("trials/*/results/*/*.parquet"):
        path.unlink()
    advice = advised(tmp_path, keep=0.93)
    assert all(runner.told == "not compared" for runner in advice.answers[0].runners)
    assert advice.answers[0].gain.value == pytest.approx(25) and advice.answers[0].gain.low is None
    assert "no scores are kept on the same test images" in said(advice)


def test_without_scores_a_gain_has_the_noise_of_both_sides(tmp_path: Path) -> None:
    root = write_all(tmp_path, {"none": (0.25, 0.95)}, seeds=(0,))
    for path in root.glob("trials/*/results/*/*.parquet"):
        path.unlink()
    for key, value, half in (("base", START, 0.03), ("none0", START + 0.25, 0.04)):
        ends = {"pairs/accuracy": (value - half, value + half)}
        write_result(root / "trials" / key, "fr", "pairs", {"pairs/accuracy": value}, intervals=ends)
    gain = advised(tmp_path, keep=0.93).answers[0].gain
    assert (gain.low, gain.high) == pytest.approx((20.0, 30.0)), "the root of 3 and 4 points squared"


def test_what_meets_the_constraint_to_the_digit_meets_it(tmp_path: Path) -> None:
    """540 of 600 after 480 of 600: the float says 9.99999 points."""
    root = write_all(tmp_path, {"none": (0.1, 0.95)}, seeds=(0,))
    curve = root / "trials" / "none0" / "trained" / "curve.json"
    told = json.loads(curve.read_text())
    for point, value in zip(told["points"], (480 / 600, 540 / 600), strict=True):
        point["task"] = value
    curve.write_text(json.dumps(told))
    advice = advised(tmp_path, gain=10)
    assert advice.met and "BELOW" not in said(advice)


def test_each_backbone_and_task_has_its_answer_best_first(tmp_path: Path) -> None:
    root = write_all(tmp_path)
    write_tested(write_trial(root, "large", "mini-l", "none"), 0.0, 1.0)
    write_one(root, "l", "l2sp", 0.28, 0.95, backbone="mini-l")
    assert [answer.cell.where for answer in advised(tmp_path, keep=0.93).answers] == ["mini-l, faces", "mini-s, faces"]
    assert [answer.cell.where for answer in advised(tmp_path, keep=0.93, backbone="mini-s").answers] == [
        "mini-s, faces"
    ]
    with pytest.raises(UserError, match=r"--task: unknown task 'face'.*nearest: faces"):
        advised(tmp_path, keep=0.93, task="face")


def test_a_sweep_without_curves_says_what_to_do(tmp_path: Path) -> None:
    root = write_all(tmp_path)
    for path in root.glob("trials/*/trained/curve.*"):
        path.unlink()
    with pytest.raises(UserError, match=r"no forgetting curve was kept by any of 8 trials.*watch: \{points: 5\}"):
        advised(tmp_path, keep=0.93)


@pytest.mark.parametrize(
    "given",
    [{}, {"keep": 0.9, "gain": 1.0}, {"keep": 0.0}, {"keep": float("nan")}, {"gain": -1.0}, {"gain": float("inf")}],
)
def test_a_constraint_is_one_share_or_so_many_points(given: dict[str, float]) -> None:
    with pytest.raises(UserError, match="recommend: 1 fault"):
        Constraint(**given)


def test_hostile_names_are_told_as_they_are(tmp_path: Path) -> None:
    root = write_all(tmp_path, seeds=(0,))
    write_one(root, "h", "[red]<b>$x$", 0.26, 0.96)
    text = said(advised(tmp_path, keep=0.93))
    assert "full + [red]<b>$x$: gains most on validation" in text
    json.dumps(document(advised(tmp_path, keep=0.93), ""), allow_nan=False)
