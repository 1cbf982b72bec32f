"""Two trials or two sweeps, paired: tests against SciPy and statsmodels called directly, and what is left out with its reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from upath import UPath

from gelo.analysis.compared import document, sentences, tables, to_csv
from gelo.analysis.sides import matched, side_of, sides_of
from gelo.analysis.versus import BOOTSTRAP, MCNEMAR, Versus, versus
from gelo.models.faults import Fault
from gelo.tasks.protocols import morph
from gelo.tasks.protocols.detection import BONA_FIDE
from tests.analysis.scored_files import CONTEXT, answers, write_pairs, write_scored, write_top1
from tests.analysis.sweeps import write_sweep, write_trial

SETS = {"shapes": 0.0, "signs": 0.01, "counts": 0.02, "colours": 0.05, "flags": 0.08, "scenes": 0.12, "digits": 0.2}


def trial(root: Path, key: str, **more: Any) -> Path:
    return write_trial(root, key, "mini-s", "faces", "full", training={"source": key}, **more)


def compared(one: Path, other: Path) -> Versus:
    faults: list[Fault] = []
    sides = [side_of(UPath(folder), faults) for folder in (one, other)]
    assert sides[0] is not None and sides[1] is not None
    return versus([(sides[0], sides[1])], faults)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """B answers more images of every set, by as much as `SETS` says, and 5 of A's other ones wrong."""
    root = write_sweep(tmp_path)
    one, other = trial(root, "a"), trial(root, "b", seed=1)
    for name, more in SETS.items():
        write_top1(one, name, answers(0.6))
        write_top1(other, name, answers(0.6 + more, first=5))
    return one, other


def test_by_data_set_it_is_the_exact_test_of_the_images_that_tell_them_apart(two: tuple[Path, Path]) -> None:
    found = compared(*two)
    for row in found.rows:
        before, after = answers(0.6), answers(0.6 + SETS[row.dataset], first=5)
        gained, lost = int(((after == 1) & (before == 0)).sum()), int(((after == 0) & (before == 1)).sum())
        assert row.test == MCNEMAR and row.units == 200 and row.unit == "image"
        assert row.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
        assert row.difference == pytest.approx(after.mean() - before.mean())
        margin = 1.96 * (after.astype(float) - before).std() / np.sqrt(200)
        assert row.low == pytest.approx(row.difference - margin, abs=0.006)
        assert row.high == pytest.approx(row.difference + margin, abs=0.006)
    theirs = multipletests([row.p for row in found.rows], method="holm")[1]
    assert [row.adjusted for row in found.rows] == pytest.approx(list(theirs))
    assert {row.dataset for row in found.rows if row.verdict == "B better"} == {
        row.dataset for row, p in zip(found.rows, theirs, strict=True) if p < 0.05
    }
    assert found.compared == 7 and not any(row.verdict == "A better" for row in found.rows)


def test_over_data_sets_it_is_the_signed_rank_of_the_means(two: tuple[Path, Path]) -> None:
    found = compared(*two)
    (over,) = found.over
    differences = [row.difference for row in found.rows]
    assert over.p == pytest.approx(stats.wilcoxon(differences, zero_method="pratt", method="exact").pvalue, abs=0.02)
    assert over.difference == pytest.approx(np.mean(list(SETS.values()))) and over.units == 7
    assert over.verdict == "B better" and over.effect == pytest.approx(1)


@pytest.mark.slow
def test_the_other_way_round_every_verdict_turns(two: tuple[Path, Path]) -> None:
    there, back = compared(*two), compared(*reversed(two))
    for one, other in zip(there.rows, back.rows, strict=True):
        assert one.difference is not None
        assert other.difference == pytest.approx(-one.difference) and other.p == pytest.approx(one.p)
        assert {one.verdict, other.verdict} in ({"A better", "B better"}, {"not told apart"})


def test_a_trial_beside_itself_is_not_told_apart(two: tuple[Path, Path]) -> None:
    found = compared(two[0], two[0])
    assert {row.verdict for row in (*found.rows, *found.over)} == {"not told apart"}
    assert {row.p for row in found.rows} == {1.0} and all(row.low is None for row in found.rows)
    assert "every unit differs by as much" in found.rows[0].note


@pytest.mark.slow
def test_many_tests_off_a_roc_get_as_many_resamples_as_they_need(tmp_path: Path) -> None:
    """A thousand can say no p below 0.002, which is none among 26 tests or more."""
    attack = np.array([BONA_FIDE] * 40 + ["warp"] * 40)
    fine = np.arange(80.0)[::-1]
    faults: list[Fault] = []
    pairs = []
    for place in range(10):
        sides = []
        for name, scores in (("a", np.random.default_rng(place).permutation(fine)), ("b", fine)):
            folder = trial(write_sweep(tmp_path, f"{name}{place}"), f"{name}{place}")
            ids = [f"i{n}" for n in range(80)]
            write_scored(folder, *morph.score("mad", scores, (attack == BONA_FIDE).astype(int), attack, ids, **CONTEXT))
            sides.append(side_of(UPath(folder), faults))
        pairs.append((sides[0], sides[1]))
    found = versus(pairs, faults)
    tested = [row for row in found.rows if row.test == BOOTSTRAP]
    assert len(tested) >= 26 and {row.verdict for row in tested if row.metric.endswith("/eer")} == {"B better"}


def test_few_sets_are_not_tested_together(tmp_path: Path) -> None:
    root = write_sweep(tmp_path)
    one, other = trial(root, "a"), trial(root, "b", seed=1)
    for folder, accuracy in ((one, 0.5), (other, 0.9)):
        for name in ("shapes", "signs", "flags"):
            write_top1(folder, name, answers(accuracy))
    (over,) = compared(one, other).over
    assert over.p is None and over.verdict == "not tested" and "at least 6 needed" in over.note


@pytest.mark.slow
def test_pairs_of_faces_and_errors_of_detectors(tmp_path: Path) -> None:
    """A lower error is better; a detector that only adds noise to its scores is told by the resamples of its images."""
    root, rng = write_sweep(tmp_path), np.random.default_rng(0)
    one, other = trial(root, "a"), trial(root, "b", seed=1)
    attack = np.array([BONA_FIDE] * 100 + ["warp"] * 100 + ["blend"] * 100)
    bona_fide = attack == BONA_FIDE
    for folder, shift, accuracy in ((one, 0.5, 0.7), (other, 3.0, 0.9)):
        scores = rng.normal(size=300) + shift * bona_fide
        write_scored(
            folder, *morph.score("mad", scores, bona_fide.astype(int), attack, [f"i{n}" for n in range(300)], **CONTEXT)
        )
        write_pairs(folder, answers(accuracy, 400))
    rows = {row.metric: row for row in compared(one, other).rows}
    eer, pairs = rows["mad/mean/eer"], rows["fr/pairs/accuracy"]
    assert eer.test == BOOTSTRAP and eer.difference is not None and eer.difference < 0 and eer.verdict == "B better"
    assert eer.low is not None and eer.high is not None and eer.low < eer.difference < eer.high < 0
    assert pairs.test == MCNEMAR and pairs.unit == "pair" and pairs.verdict == "B better"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"protocol_version": 2}, "protocol version 1 against 2"),
        ({"data": "d2"}, "other data: fingerprint d1 against d2"),
        ({"data": ""}, "no fingerprint of its data is kept"),
        ({"partial": True}, "only one side's set lacks some of the official images"),
        ({"reading": "faithful"}, "files read otherwise"),
        ({"protocol": "another"}, "another protocol"),
    ],
)
def test_what_is_not_the_same_is_left_out_and_said(more: dict[str, Any], told: str, two: tuple[Path, Path]) -> None:
    write_top1(two[1], "digits", answers(0.9), **more)
    found = compared(*two)
    assert [each.place for each in found.left] == [("zero_shot", "digits")] and told in found.left[0].why
    assert "digits" not in {row.dataset for row in found.rows} and found.over[0].units == 6
    assert told in " ".join(sentences(found, ("a", "b")))


def test_what_cannot_be_paired_has_a_difference_and_the_reason(two: tuple[Path, Path]) -> None:
    (two[0] / "results" / "zero_shot" / "flags.parquet").unlink()
    write_top1(two[1], "digits", answers(0.9), ids=[f"other/{n}" for n in range(200)])
    rows = {row.dataset: row for row in compared(*two).rows}
    assert rows["flags"].difference == pytest.approx(0.08) and rows["flags"].verdict == "not tested"
    assert "no scores are kept" in rows["flags"].note and "other images were scored" in rows["digits"].note


def test_results_of_one_side_and_damaged_ones_are_said(two: tuple[Path, Path]) -> None:
    write_top1(two[0], "textures", answers(0.5))
    (two[1] / "results" / "zero_shot" / "flags.json").write_text("{]")
    found = compared(*two)
    assert {(each.place[1], each.why) for each in found.missing} == {("textures", "A alone"), ("flags", "A alone")}
    assert len(found.faults) == 1 and "flags.json" in found.faults[0].where


def test_trials_of_two_sweeps_are_matched_by_their_fields(tmp_path: Path) -> None:
    """The name, the key and the label are none."""
    sweeps = [write_sweep(tmp_path, name) for name in ("first", "second")]
    for number, root in enumerate(sweeps):
        for seed in (0, 1):
            folder = trial(root, f"k{number}{seed}", seed=seed)
            write_top1(folder, "shapes", answers(0.6 + 0.3 * number))
    write_top1(trial(sweeps[1], "more", remedy={"kind": "l2sp"}), "shapes", answers(0.7))
    faults: list[Fault] = []
    mine, theirs = (sides_of(UPath(root), faults) for root in sweeps)
    pairs = matched(mine, theirs)
    assert [(one.key, other.key) for one, other in pairs] == [("k00", "k10"), ("k01", "k11")]
    found = versus(pairs, faults, ((), tuple(side for side in theirs if side.key == "more")))
    assert found.compared == 2 and {row.verdict for row in found.rows} == {"B better"}
    ((title, _, rows),) = tables(found)
    assert title == "trials that both have" and [row[2] for row in rows] == ["1", "1"]
    assert "Trials of B (second) alone, 1: more." in sentences(found, ("first", "second"))


def test_the_csv_and_the_document_hold_every_number(two: tuple[Path, Path]) -> None:
    write_top1(two[1], "digits", answers(0.9), data="d2")
    found = compared(*two)
    rows = list(csv.DictReader(io.StringIO(to_csv(found).decode())))
    assert [row["verdict"] for row in rows].count("not compared") == 1 and len(rows) == 6 + 1 + 1
    for line, row in zip(rows, found.rows, strict=False):
        assert float(line["difference"]) == row.difference and float(line["p_holm"]) == row.adjusted
    told = json.loads(json.dumps(document(found, ("a", "b")), allow_nan=False))
    assert told["comparisons"] == {"by_dataset": 6, "over_datasets": 1}
    assert [row["p"] for row in told["rows"]] == [row.p for row in found.rows]
