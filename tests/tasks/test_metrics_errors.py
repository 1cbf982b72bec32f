"""errors.py and curves.py against scikit-learn, scipy, slow references in exact fractions, closed forms, and by property."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from gelo.tasks.metrics import errors
from gelo.tasks.metrics.curves import curve
from gelo.tasks.metrics.scores import Scores, Threshold, UndefinedMetric, as_scores, exact

ON = "test"
coarse = st.integers(-5, 5).map(lambda n: n / 4)  # many ties
fine = st.floats(-1e6, 1e6, allow_nan=False).map(float)
some = st.one_of(st.lists(coarse, min_size=1, max_size=30), st.lists(fine, min_size=1, max_size=30)).map(as_scores)
Metric = Callable[[Scores, Scores], float]

# Every error of two score sets, with the properties that it has; `test_every_metric_is_listed` finds one that is missing.
CURVE_METRICS: dict[str, Metric] = {
    "eer": lambda g, i: errors.eer(g, i, chosen_on=ON).value,
    "eer_nearest_fpr": lambda g, i: errors.eer_nearest_fpr(g, i, chosen_on=ON).value,
    "auc": errors.auc,
    "apcer_at_bpcer": lambda g, i: errors.apcer_at_bpcer(g, i, 0.5),
    "bpcer_at_apcer": lambda g, i: errors.bpcer_at_apcer(g, i, 0.5),
}
THRESHOLD_METRICS = {"far", "frr", "apcer", "apcer_worst", "bpcer", "hter", "acer"}


def measured(metric: Metric, genuine: Scores, impostor: Scores) -> float | None:
    try:
        return metric(genuine, impostor)
    except UndefinedMetric:
        return None


def labelled(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[np.ones(genuine.size), np.zeros(impostor.size)], np.r_[genuine, impostor]


def exact_roc(genuine: np.ndarray, impostor: np.ndarray) -> list[tuple[Fraction, Fraction]]:
    """(FAR, FRR) of scikit-learn's full ROC, in fractions."""
    fpr, tpr, _ = roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    n, p = impostor.size, genuine.size
    return [(Fraction(round(f * n), n), 1 - Fraction(round(t * p), p)) for f, t in zip(fpr, tpr, strict=True)]


def draws(seed: int, ties: bool) -> tuple[Scores, Scores]:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(1, 1, rng.integers(1, 80)), rng.normal(0, 1, rng.integers(1, 80))
    return as_scores(np.round(genuine, 0 if ties else 9)), as_scores(np.round(impostor, 0 if ties else 9))


def test_every_metric_is_listed() -> None:
    public = {n for n, f in inspect.getmembers(errors, inspect.isfunction) if f.__module__ == errors.__name__}
    assert public == CURVE_METRICS.keys() | THRESHOLD_METRICS


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_curve_and_auc_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    genuine, impostor = draws(seed, ties)
    roc = curve(genuine, impostor)
    fpr, tpr, thresholds = roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    np.testing.assert_allclose(roc.far(), fpr, atol=1e-15)
    np.testing.assert_allclose(1 - roc.frr(), tpr, atol=1e-15)
    np.testing.assert_array_equal(roc.thresholds, thresholds[1:])
    assert errors.auc(genuine, impostor) == pytest.approx(roc_auc_score(*labelled(genuine, impostor)), abs=1e-12)


def test_auc_is_torchmetrics_on_scores_in_the_unit_interval() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import binary_auroc

    rng = np.random.default_rng(3)
    target, scores = rng.integers(0, 2, 200), rng.integers(0, 40, 200) / 64  # tied, and exact in float32
    theirs = binary_auroc(torch.tensor(scores, dtype=torch.float32), torch.tensor(target)).item()
    assert errors.auc(as_scores(scores[target == 1]), as_scores(scores[target == 0])) == pytest.approx(theirs, abs=1e-6)


@given(some, some)
def test_auc_counts_pairs(genuine: Scores, impostor: Scores) -> None:
    pairs = [1.0 if g > i else 0.5 if g == i else 0.0 for g in genuine for i in impostor]
    assert errors.auc(genuine, impostor) == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_eer_is_the_root_on_the_interpolated_roc(seed: int, ties: bool) -> None:
    genuine, impostor = draws(seed, ties)
    roc = curve(genuine, impostor)
    # 1 - TPR - FPR along the curve's own length falls from 1 to -1: one root, which brentq finds without our bracketing.
    steps = np.arange(roc.far().size)
    at = brentq(lambda s: np.interp(s, steps, roc.frr()) - np.interp(s, steps, roc.far()), 0, steps[-1], xtol=1e-13)
    assert errors.eer(genuine, impostor, chosen_on=ON).value == pytest.approx(np.interp(at, steps, roc.far()), abs=1e-9)


@pytest.mark.slow
@given(some, some)
def test_eer_lies_between_the_rates_that_bracket_it(genuine: Scores, impostor: Scores) -> None:
    value, threshold = errors.eer(genuine, impostor, chosen_on=ON)
    points = exact_roc(genuine, impostor)
    after = next(k for k, (far, frr) in enumerate(points) if far >= frr)
    (far_0, frr_0), (far_1, frr_1) = points[after - 1], points[after]
    assert far_0 - Fraction(1, 10**9) <= value <= far_1 + Fraction(1, 10**9)
    assert frr_1 - Fraction(1, 10**9) <= value <= frr_0 + Fraction(1, 10**9)
    # The threshold sits on one of the two, whichever has the smaller difference.
    difference = abs(errors.far(impostor, threshold) - errors.frr(genuine, threshold))
    assert difference == pytest.approx(float(min(abs(far_0 - frr_0), abs(far_1 - frr_1))), abs=1e-12)


@pytest.mark.slow
@given(some, some)
def test_papers_eer_is_fpr_at_the_first_nearest_point(genuine: Scores, impostor: Scores) -> None:
    points = exact_roc(genuine, impostor)
    first = min(range(len(points)), key=lambda k: (abs(points[k][0] - points[k][1]), k))
    value, threshold = errors.eer_nearest_fpr(genuine, impostor, chosen_on=ON)
    assert value == pytest.approx(float(points[first][0]), abs=1e-12)
    assert errors.far(impostor, threshold) == pytest.approx(value, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.2, 0.5])
@given(genuine=some, impostor=some)
@settings(max_examples=40)
def test_fixed_error_points_take_the_worst_of_a_tie(rate: float, genuine: Scores, impostor: Scores) -> None:
    points, goal = exact_roc(genuine, impostor), exact(rate)
    last = max(range(len(points)), key=lambda k: (-abs(points[k][1] - goal), k))
    first = min(range(len(points)), key=lambda k: (abs(points[k][0] - goal), k))
    ours = measured(lambda g, i: errors.apcer_at_bpcer(g, i, rate), genuine, impostor)
    assert ours == (pytest.approx(float(points[last][0])) if goal * genuine.size >= 1 else None)
    ours = measured(lambda g, i: errors.bpcer_at_apcer(g, i, rate), genuine, impostor)
    assert ours == (pytest.approx(float(points[first][1])) if goal * impostor.size >= 1 else None)


def test_fixed_error_points_by_hand() -> None:
    # 5 bona fide, 5 attacks. BPCER 0.3 is as near to 0.2 as to 0.4: the last point of all those counts, APCER 0.8.
    #   accepted from:  .9B .8B .7A .6B .5A .4B .3A .2A .1B .0A
    #   BPCER           .8  .6  .6  .4  .4  .2  .2  .2  0   0
    #   APCER           0   0   .2  .2  .4  .4  .6  .8  .8  1
    bona_fide, attacks = as_scores([0.9, 0.8, 0.6, 0.4, 0.1]), as_scores([0.7, 0.5, 0.3, 0.2, 0.0])
    assert errors.apcer_at_bpcer(bona_fide, attacks, 0.3) == 0.8
    # APCER 0.3 is as near to 0.2 as to 0.4: the first point of all those is .7A with BPCER 0.6.
    assert errors.bpcer_at_apcer(bona_fide, attacks, 0.3) == 0.6
    # |FAR - FRR| is smallest, 0, from .5A on: FAR = FRR = .4.
    assert errors.eer(bona_fide, attacks, chosen_on=ON).value == pytest.approx(0.4)


def test_equal_variance_normals_meet_their_closed_forms() -> None:
    rng = np.random.default_rng(0)
    genuine, impostor = as_scores(rng.normal(2, 1, 40_000)), as_scores(rng.normal(0, 1, 40_000))
    assert errors.eer(genuine, impostor, chosen_on=ON).value == pytest.approx(norm.cdf(-1), abs=0.005)
    assert errors.auc(genuine, impostor) == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.005)


@given(some, some)
def test_roles_and_signs_swapped_mirror_the_errors(genuine: Scores, impostor: Scores) -> None:
    mirrored = as_scores(-impostor), as_scores(-genuine)
    assert CURVE_METRICS["eer"](genuine, impostor) == pytest.approx(CURVE_METRICS["eer"](*mirrored), abs=1e-9)
    assert errors.auc(genuine, impostor) == pytest.approx(errors.auc(*mirrored), abs=1e-12)
    assert errors.auc(genuine, impostor) == pytest.approx(1 - errors.auc(impostor, genuine), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVE_METRICS)
@given(genuine=st.lists(coarse, min_size=1, max_size=30), impostor=st.lists(coarse, min_size=1, max_size=30))
@settings(max_examples=40)
def test_only_the_order_of_scores_counts(name: str, genuine: list[float], impostor: list[float]) -> None:
    metric = CURVE_METRICS[name]
    plain = measured(metric, as_scores(genuine), as_scores(impostor))
    warped = measured(metric, as_scores(np.exp(genuine) * 7 - 3), as_scores(np.exp(impostor) * 7 - 3))
    doubled = measured(metric, as_scores(genuine * 2), as_scores(impostor * 2))
    shuffled = measured(metric, as_scores(genuine[::-1]), as_scores(impostor[::-1]))
    assert plain == warped == shuffled
    if plain is not None:
        assert doubled == pytest.approx(plain, abs=1e-12)
        assert 0 <= plain <= 1


def test_rates_at_a_threshold_by_hand() -> None:
    half = Threshold(0.5, "by hand", ON)
    bona_fide, print_, mask = as_scores([0.5, 0.4, 0.9, 0.6]), as_scores([0.5, 0.1]), as_scores([0.2, 0.3, 0.7, 0.1])
    assert errors.bpcer(bona_fide, half) == errors.frr(bona_fide, half) == 0.25  # 0.5 itself is accepted
    assert errors.apcer(print_, half) == errors.far(print_, half) == 0.5
    assert errors.hter(bona_fide, as_scores(np.r_[print_, mask]), half) == pytest.approx((2 / 6 + 0.25) / 2)
    assert errors.apcer_worst({"print": print_, "mask": mask}, half) == 0.5
    assert errors.acer(bona_fide, {"print": print_, "mask": mask}, half) == pytest.approx((0.5 + 0.25) / 2)


def test_separable_scores_and_constant_scores() -> None:
    apart = errors.eer(as_scores([2, 3]), as_scores([0, 1]), chosen_on=ON)
    assert apart.value == 0
    assert apart.threshold.value == 1.5  # midway, to carry to another set
    same = errors.eer(as_scores([1, 1]), as_scores([1, 1, 1]), chosen_on=ON)
    assert same.value == 0.5
    assert errors.auc(as_scores([1, 1]), as_scores([1, 1, 1])) == 0.5


def test_neighbouring_floats_keep_their_threshold() -> None:
    low = 1.0
    high = float(np.nextafter(low, 2))
    value, threshold = errors.eer(as_scores([high]), as_scores([low]), chosen_on=ON)
    assert (value, threshold.value) == (0, high)


@pytest.mark.parametrize("name", CURVE_METRICS)
def test_one_class_only_is_undefined(name: str) -> None:
    one, none = as_scores([0.1, 0.2]), as_scores([])
    for genuine, impostor in ((one, none), (none, one), (none, none)):
        with pytest.raises(UndefinedMetric, match=r"needed|needs"):
            CURVE_METRICS[name](genuine, impostor)


def test_threshold_metrics_without_scores_are_undefined() -> None:
    half, none, one = Threshold(0.5, "by hand", ON), as_scores([]), as_scores([1.0])
    for call in (
        lambda: errors.far(none, half),
        lambda: errors.frr(none, half),
        lambda: errors.apcer(none, half),
        lambda: errors.bpcer(none, half),
        lambda: errors.hter(one, none, half),
        lambda: errors.apcer_worst({}, half),
        lambda: errors.apcer_worst({"mask": one, "print": none}, half),
        lambda: errors.acer(one, {}, half),
        lambda: errors.acer(one, {"print": none}, half),
    ):
        with pytest.raises(UndefinedMetric, match="at least 1 needed"):
            call()


def test_scores_and_thresholds_are_checked_on_entry() -> None:
    with pytest.raises(ValueError, match="1 of 3 not finite, first at position 1"):
        as_scores([0, np.nan, 1])
    with pytest.raises(ValueError, match="one dimension"):
        as_scores([[0, 1]])
    with pytest.raises(ValueError, match="finite number"):
        Threshold(float("inf"), "EER", ON)
    with pytest.raises(ValueError, match="above 0 and below 1"):
        errors.apcer_at_bpcer(as_scores([1]), as_scores([0]), 10)
    with pytest.raises(UndefinedMetric, match="needs at least 100 bona fide presentations, there are 3"):
        errors.apcer_at_bpcer(as_scores([1, 2, 3]), as_scores([0]), 0.01)


@given(some, some)
def test_halving_finds_the_points_of_the_whole_curve(genuine: Scores, impostor: Scores) -> None:
    roc = curve(genuine, impostor)
    both = roc.genuine_total * roc.impostor_total
    balance = roc.impostor * roc.genuine_total + roc.genuine * roc.impostor_total - both
    assert roc.crossing() == np.argmax(balance >= 0)
    assert roc.nearest_equal() == np.argmin(np.abs(balance))


@pytest.mark.slow
@given(some, some)
def test_the_thinned_curve_is_that_of_scikit_learns_default(genuine: Scores, impostor: Scores) -> None:
    fpr, tpr, thresholds = roc_curve(*labelled(genuine, impostor))
    thinned = curve(genuine, impostor).thinned()
    np.testing.assert_array_equal(thinned.thresholds, thresholds[1:])
    np.testing.assert_allclose(thinned.far(), fpr, rtol=0, atol=1e-12)
    np.testing.assert_allclose(1 - thinned.frr(), tpr, rtol=0, atol=1e-12)
    nearest = int(
        np.argmin(np.round(np.abs(tpr + fpr - 1), 9))
    )  # as the papers' code, rounding errors of equal distances apart
    assert thinned.eer_nearest_fpr() == pytest.approx(fpr[nearest], abs=1e-12)
    assert thinned.hter_at_nearest_equal() == pytest.approx((fpr[nearest] + 1 - tpr[nearest]) / 2, abs=1e-12)
