"""Ten-fold accuracy against a case by hand and a plain loop; TAR at a FAR against scikit-learn's ROC read as IJB's script does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.scores import Scores, UndefinedMetric, as_scores, exact
from gelo.tasks.metrics.verification import GRID, fold_accuracy, tar_at_far


def looped(distance: np.ndarray, same: np.ndarray, fold: np.ndarray) -> tuple[float, list[float]]:
    """The protocol as a plain loop: every threshold tried on the other folds, the first best kept."""
    accuracies, chosen = [], []
    for held in np.unique(fold):
        best, kept = -1.0, 0.0
        for step in range(400):
            t = step * 0.01
            train = np.mean((distance[fold != held] < t) == same[fold != held])
            if train > best:
                best, kept = float(train), t
        accuracies.append(float(np.mean((distance[fold == held] < kept) == same[fold == held])))
        chosen.append(kept)
    return float(np.mean(accuracies)), chosen


def test_grid_is_that_of_the_protocol() -> None:
    assert GRID.size == 400
    assert GRID[0] == 0
    assert GRID[-1] == pytest.approx(3.99)


@pytest.mark.parametrize("seed", range(8))
def test_folds_equal_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = int(rng.integers(20, 200))
    same = rng.random(pairs) < 0.5
    distance = np.clip(rng.normal(np.where(same, 1.2, 1.8), 0.5), 0, 4)
    if seed % 2:
        distance = np.round(distance, 2)  # on the grid, where strict < decides
    fold = np.arange(pairs) * 10 // pairs
    outcome = fold_accuracy(as_scores(-distance), same, fold)
    mean, chosen = looped(distance, same, fold)
    assert outcome.mean == pytest.approx(mean, abs=1e-12)
    np.testing.assert_allclose(outcome.thresholds, chosen, atol=1e-12)
    assert np.mean(outcome.accepted == same) == pytest.approx(np.average(outcome.accuracies, weights=np.bincount(fold)))


def test_folds_by_hand() -> None:
    # fold 0: same at 0.5, different at 1.0.   fold 1: same at 1.0, different at 0.5, different at 3.0.
    # t for fold 0 comes from fold 1. Right of 3 there: t <= 0.50: both different = 2; 0.51..1.00: 1; 1.01..3.00: 2 (same, 3.0).
    #   The best, 2, is first at t = 0.00: nothing is accepted, so fold 0 has 1 of 2 right.
    # t for fold 1 comes from fold 0. Right of 2: t <= 0.50: 1; 0.51..1.00: 2 (1.0 < 1.00 is false, strict); above: 1.
    #   So t = 0.51 accepts only the different pair at 0.5: of fold 1, 1 of 3 is right (3.0).
    # Mean of the folds (1/2 + 1/3) / 2 = 5/12, where pooling all pairs would give 2/5.
    distance, same, fold = np.array([0.5, 1.0, 1.0, 0.5, 3.0]), [True, False, True, False, False], [0, 0, 1, 1, 1]
    outcome = fold_accuracy(as_scores(-distance), same, fold)
    assert outcome.mean == pytest.approx(5 / 12)
    np.testing.assert_allclose(outcome.thresholds, [0.00, 0.51])
    np.testing.assert_array_equal(outcome.accepted, [False, False, False, True, False])


def test_folds_follow_the_column_not_the_position() -> None:
    rng = np.random.default_rng(1)
    distance, same, fold = rng.uniform(0, 4, 60), rng.random(60) < 0.5, rng.permutation(np.arange(60) % 10)
    order = rng.permutation(60)
    plain = fold_accuracy(as_scores(-distance), same, fold)
    moved = fold_accuracy(as_scores(-distance[order]), same[order], fold[order])
    assert plain.mean == moved.mean
    np.testing.assert_array_equal(plain.accepted[order], moved.accepted)


def test_folds_undefined() -> None:
    scores = as_scores([-1, -2, -3])
    with pytest.raises(UndefinedMetric, match="1 folds, at least 2"):
        fold_accuracy(scores, [True, False, True], [0, 0, 0])
    with pytest.raises(UndefinedMetric, match="one class only"):
        fold_accuracy(scores, [True, True, True], [0, 1, 2])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_tar_is_read_as_the_ijb_script_reads_it(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(2, 1, 150), rng.normal(0, 1, 1000)
    if ties:
        genuine, impostor = np.round(genuine, 1), np.round(impostor, 1)
    labels = np.r_[np.ones(150), np.zeros(1000)]
    fpr, tpr, _ = roc_curve(labels, np.r_[genuine, impostor], drop_intermediate=False)
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)  # so that the first minimum is the one with the largest TPR
    for rate in (0.001, 0.01, 0.1, 0.25):
        _, index = min(list(zip(np.round(np.abs(fpr - rate), 12), range(fpr.size), strict=True)))
        ours = tar_at_far(as_scores(genuine), as_scores(impostor), rate, chosen_on="test")
        assert ours.tar == pytest.approx(tpr[index], abs=1e-12)
        assert ours.far == pytest.approx(fpr[index], abs=1e-12)
        assert np.mean(genuine >= ours.threshold.value) == pytest.approx(ours.tar)


coarse = st.integers(-4, 4).map(lambda n: n / 4)  # many ties
some = st.one_of(st.lists(coarse, min_size=1, max_size=25), st.lists(st.floats(-10, 10), min_size=1, max_size=25)).map(
    as_scores
)
rates = st.one_of(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5, 0.9]), st.integers(1, 99).map(lambda n: n / 100))


@given(some, some, rates)
def test_tar_by_selection_is_the_point_of_the_whole_curve(genuine: Scores, impostor: Scores, rate: float) -> None:
    if exact(rate) * impostor.size < 1:
        return  # absent: see below
    ours = tar_at_far(genuine, impostor, rate, chosen_on="test")
    roc = curve(genuine, impostor)
    point = int(roc.nearest_far(rate))
    assert ours.tar == roc.genuine[point] / genuine.size
    assert ours.far == roc.impostor[point] / impostor.size
    assert ours.threshold.value == roc.score_at(point)


@given(some, some, rates)
def test_only_the_order_of_scores_counts_for_tar(genuine: Scores, impostor: Scores, rate: float) -> None:
    if exact(rate) * impostor.size < 1:
        return
    plain = tar_at_far(genuine, impostor, rate, chosen_on="test")
    for scaled in ((genuine * 8, impostor * 8), (genuine[::-1], impostor[::-1])):  # a power of two keeps ties and order
        other = tar_at_far(as_scores(scaled[0]), as_scores(scaled[1]), rate, chosen_on="test")
        assert (plain.tar, plain.far) == (other.tar, other.far)


def test_tar_tie_takes_the_larger() -> None:
    # FAR 0.3 lies midway between 1/5 and 2/5; the point above counts, and TAR there is 2/2.
    assert tar_at_far(as_scores([5, 2.5]), as_scores([4, 3, 2, 1, 0]), 0.3, chosen_on="test")[:2] == (1.0, 0.4)


@pytest.mark.parametrize(("rate", "impostors", "needed"), [(1e-3, 999, 1000), (1e-4, 9999, 10_000), (0.3, 3, 4)])
def test_tar_needs_impostors_that_can_show_the_rate(rate: float, impostors: int, needed: int) -> None:
    genuine = as_scores([1.0])
    with pytest.raises(UndefinedMetric, match=f"at least {needed} impostor pairs, there are {impostors}"):
        tar_at_far(genuine, as_scores(np.zeros(impostors)), rate, chosen_on="test")
    assert tar_at_far(genuine, as_scores(np.zeros(needed)), rate, chosen_on="test").tar == 1


def test_tar_undefined_for_one_class() -> None:
    for genuine, impostor in (([], [1.0]), ([1.0], [])):
        with pytest.raises(UndefinedMetric, match="at least 1 needed"):
            tar_at_far(as_scores(genuine), as_scores(impostor), 0.5, chosen_on="test")
