"""Intervals of what is read off a ROC: against exhaustive search, large-sample theory, and by property."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import bootstrap, norm
from sklearn.metrics import roc_auc_score, roc_curve

from gelo.tasks.metrics.effective import Sample
from gelo.tasks.metrics.intervals import Complement
from gelo.tasks.metrics.pairs import Comparisons
from gelo.tasks.metrics.roc_intervals import Roc
from gelo.tasks.metrics.scores import Scores, as_scores
from gelo.tasks.metrics.verification import tar_at_far
from gelo.tasks.protocols.detection import area, in_common

coarse = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=25)
fine = st.lists(st.floats(-100, 100, allow_nan=False), min_size=2, max_size=25)
scores = st.one_of(coarse, fine).map(as_scores)


def normal(seed: int, size: int, mean: float) -> Sample:
    return Sample(as_scores(np.random.default_rng(seed).normal(mean, 1, size)))


def least(genuine: Scores, impostor: Scores, far: float, frr: float, weights: tuple[float, float]) -> float:
    """The profiled statistic from scikit-learn's ROC, each piece of it searched by scipy."""
    fpr, tpr, _ = roc_curve(
        np.repeat([1, 0], [genuine.size, impostor.size]), np.concatenate([genuine, impostor]), drop_intermediate=False
    )
    points = np.stack([fpr, 1 - tpr], axis=1)

    def square(point: NDArray[np.float64]) -> float:
        return float(weights[0] * (point[0] - far) ** 2 + weights[1] * (point[1] - frr) ** 2)

    found = [square(point) for point in points]
    for one, two in pairwise(points):
        line = minimize_scalar(lambda t, a=one, b=two: square(a + t * (b - a)), bounds=(0, 1), method="bounded")
        found.append(float(line.fun))
    return min(found)


@settings(deadline=None, max_examples=25)
@given(scores, scores)
def test_an_end_of_the_eer_is_where_the_statistic_is_critical(genuine: Scores, impostor: Scores) -> None:
    roc = Roc(Sample(genuine), Sample(impostor))
    for end in roc.equal_error(roc.curve.eer()).interval():
        if 1e-6 < end < 1 - 1e-6:
            spread = end * (1 - end)
            weights = impostor.size / spread, genuine.size / spread
            assert least(genuine, impostor, end, end, weights) == pytest.approx(norm.ppf(0.975) ** 2, rel=1e-3)


@settings(deadline=None, max_examples=50)
@given(scores, scores)
def test_every_interval_has_width_and_holds_its_value(genuine: Scores, impostor: Scores) -> None:
    roc = Roc(Sample(genuine), Sample(impostor))
    reads = [
        roc.equal_error(roc.curve.eer()), roc.equal_error(roc.curve.eer_nearest_fpr()), area(roc),
        roc.far_at_frr(0.5, roc.curve.far_at_frr(0.5)), roc.frr_at_far(0.5, roc.curve.frr_at_far(0.5)),
    ]  # fmt: skip
    for read in reads:
        low, high = read.interval()
        assert 0 <= low <= read.value <= high <= 1
        assert low < high
        assert all(0 <= part <= 1 for part in read.genuine)


def test_large_samples_have_the_normal_interval_of_the_eer() -> None:
    # Errors at the crossing vary as two rates, and the crossing moves: for equal densities there, half the sum of both.
    roc = Roc(normal(0, 40_000, 1.5), normal(1, 40_000, -1.5))
    value = roc.curve.eer()
    half = norm.ppf(0.975) * np.sqrt(value * (1 - value) / 80_000)
    assert roc.equal_error(value).interval() == pytest.approx((value - half, value + half), abs=0.1 * half)


@pytest.mark.slow
def test_large_samples_have_the_bootstrap_interval_of_an_error_at_another() -> None:
    genuine, impostor = normal(2, 4_000, 1), normal(3, 4_000, -0.5)
    roc = Roc(genuine, impostor)

    def apcer(bona_fide: NDArray[np.float64], attacks: NDArray[np.float64]) -> float:
        return float(np.mean(attacks >= np.quantile(bona_fide, 0.1)))

    theirs = bootstrap(
        (genuine.scores, impostor.scores), apcer, vectorized=False, n_resamples=2000, method="percentile", rng=0
    ).confidence_interval
    ours = roc.far_at_frr(0.1, roc.curve.far_at_frr(0.1)).interval()
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)  # of a width of 0.06


@pytest.mark.slow
def test_large_samples_have_the_bootstrap_interval_of_the_area() -> None:
    genuine, impostor = normal(4, 600, 0.7), normal(5, 600, -0.7)
    labels = np.repeat([1, 0], 600)

    def auc(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
        return float(roc_auc_score(labels, np.concatenate([one, two])))

    theirs = bootstrap(
        (genuine.scores, impostor.scores), auc, vectorized=False, n_resamples=1000, method="percentile", rng=0
    ).confidence_interval
    assert area(Roc(genuine, impostor)).interval() == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_the_shared_class_causes_its_part_of_the_length() -> None:
    """With equal densities at the crossing, n genuine and m impostor scores cause m : n of the variance."""
    for genuine, impostor in ((200, 20_000), (20_000, 200), (2_000, 2_000)):
        rocs = [Roc(normal(seed, genuine, 1.2), normal(100 + seed, impostor, -1.2)) for seed in range(10)]
        found = [roc.equal_error(roc.curve.eer()).genuine for roc in rocs]
        assert np.mean(found) == pytest.approx(impostor / (genuine + impostor), abs=0.15)


def test_attacks_at_one_share_of_one_bona_fide_set_correlate_by_what_it_causes() -> None:
    bona_fide = normal(10, 300, 1.2)
    reads = [Roc(bona_fide, normal(11 + n, 30_000, -1)).far_at_frr(0.1, 0.1) for n in range(2)]
    for side, joint in enumerate(in_common(reads, [0.1, 0.1], 300)):
        expected = np.sqrt(reads[0].genuine[side] * reads[1].genuine[side])
        assert joint == pytest.approx(np.array([[1, expected], [expected, 1]]))


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_millions_of_comparisons_have_the_interval_of_the_whole_roc(rate: float) -> None:
    rng = np.random.default_rng(12)
    same = np.arange(40_000) < 2_000
    one = np.where(same, 2 * np.arange(40_000), 4_000 + 2 * np.arange(40_000))  # no template stands in two pairs
    values = as_scores(rng.normal(size=same.size) + 2.5 * same)
    found = tar_at_far(as_scores(values[same]), as_scores(values[~same]), rate, chosen_on="pairs")
    ours = Complement(Comparisons(values, same, one, one + 1).frr_at_far(rate, found)).interval()
    whole = Roc(Sample(as_scores(values[same])), Sample(as_scores(values[~same])))
    assert ours == pytest.approx(Complement(whole.frr_at_far(rate, 1 - found.tar)).interval(), abs=1e-9)


def test_comparisons_that_share_subjects_count_less() -> None:
    rng = np.random.default_rng(13)
    nature = np.repeat(rng.normal(size=60), 4)  # 60 subjects of 4 templates each; some resemble everybody
    one, two = np.triu_indices(240, 1)
    same = one // 4 == two // 4
    values = as_scores(rng.normal(size=one.size) + nature[one] + nature[two] + 6 * same)
    found = tar_at_far(as_scores(values[same]), as_scores(values[~same]), 0.01, chosen_on="pairs")
    low, high = Comparisons(values, same, one, two).frr_at_far(0.01, found).interval()
    apart = Roc(Sample(as_scores(values[same])), Sample(as_scores(values[~same]))).frr_at_far(0.01, 1 - found.tar)
    assert high - low > 2 * (apart.interval().high - apart.interval().low)
