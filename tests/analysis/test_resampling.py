"""Intervals over test images and seeds: standard errors in closed form and by scipy, Student's interval, how often the truth is held."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from gelo.analysis.curves import Curve
from gelo.analysis.equal_gain import at_level
from gelo.analysis.resampling import DRAWS, Measure, Noise, _counts, error_of, interval, normal, resampled


def curve(sets: dict[str, int], correct: npt.NDArray[np.uint8]) -> Curve:
    of = np.repeat(np.arange(len(sets)), list(sets.values())).astype(np.int16)
    return Curve(pd.DataFrame(), pd.DataFrame(), "metric", sets, correct, of)


def test_the_draws_have_the_standard_error_of_a_mean_over_strata() -> None:
    generator = np.random.default_rng(1)
    sets = {"a": 60, "b": 200}
    correct = (generator.random((3, 260)) < 0.7).astype(np.uint8)
    draws = resampled(curve(sets, correct))
    assert draws is not None and draws.shape == (DRAWS, 3)
    parts = [correct[:, :60], correct[:, 60:]]
    error = np.sqrt(sum(part.var(axis=1) / part.shape[1] for part in parts)) / 2
    assert draws.std(axis=0) == pytest.approx(error, rel=0.08)
    assert draws.mean(axis=0) == pytest.approx(np.mean([part.mean(axis=1) for part in parts], axis=0), abs=3e-3)
    alone = resampled(curve({"a": 60}, parts[0]))
    theirs = stats.bootstrap((parts[0][0],), np.mean, n_resamples=4000, method="percentile", rng=generator)
    assert alone is not None
    assert np.quantile(alone[:, 0], [0.025, 0.975]) == pytest.approx(tuple(theirs.confidence_interval), abs=0.021)


def test_points_and_trials_of_the_same_sets_are_given_the_same_images() -> None:
    """So that what two have in common is no noise of their difference."""
    generator = np.random.default_rng(2)
    first = (generator.random((2, 100)) < 0.6).astype(np.uint8)
    second = first.copy()
    second[:, :3] = 1 - second[:, :3]
    one, other = resampled(curve({"a": 100}, first)), resampled(curve({"a": 100}, second))
    assert one is not None and other is not None
    assert (one - other).std() < one.std() / 2
    again = resampled(curve({"a": 100}, first))
    assert again is not None and (again == one).all()
    _counts.cache_clear()
    later = resampled(curve({"a": 100}, first))
    assert later is not None and (later == one).all(), "of another process too"
    assert resampled(Curve(pd.DataFrame(), pd.DataFrame(), "metric", {"a": 100})) is None
    assert abs(np.corrcoef(normal("a"), one[:, 0])[0, 1]) < 0.15


def test_without_noise_of_images_it_is_students_interval_of_the_seeds() -> None:
    values = [0.81, 0.84, 0.9]
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(values, 0.0) == pytest.approx((theirs.low, theirs.high))
    assert interval([0.8], 0.01) == pytest.approx(stats.norm.interval(0.95, 0.8, 0.01))
    assert interval([0.8, 0.8, 0.8], 0.01) == pytest.approx(stats.norm.interval(0.95, 0.8, 0.01)), "shared images stay"
    halves = [(high - low) / 2 for low, high in (interval(values, 0.02), interval(values, 0.0), interval([0.85], 0.02))]
    assert halves[0] == pytest.approx(np.hypot(*halves[1:]))


def test_what_seeds_share_of_the_images_is_told_from_what_is_each_ones_own() -> None:
    """Crossed random effects, made so that both parts are known: shared 0.03, own 0.04 a seed; by hand, and by the law of the mean."""
    generator = np.random.default_rng(4)
    draws = {seed: np.zeros(200_000) for seed in range(4)}
    shared = 0.03 * generator.standard_normal(200_000)
    for seed in draws:
        draws[seed] = 0.5 + shared + 0.04 * generator.standard_normal(200_000)
    error, own = error_of(draws, 0.0)
    assert own == pytest.approx(0.04**2 / 4, rel=0.02)
    assert error == pytest.approx(np.sqrt(0.03**2 + 0.04**2 / 4), rel=0.02)
    noise = Noise(error, own, 0.002, 3)
    expected = np.hypot(stats.norm.isf(0.025) * 0.03, stats.t.isf(0.025, 3) * np.sqrt(0.002))
    assert noise.reach(0.025) == pytest.approx(expected, rel=0.01)
    assert Noise(error, own, 1e-9, 3).reach(0.025) == pytest.approx(stats.norm.isf(0.025) * error), "all of the images"
    assert error_of({0: draws[0]}, 0.0)[1] == 0.0 and error_of({0: draws[0]}, 0.9)[0] == 0.9
    assert np.isnan(error_of({0: draws[0], 1: np.full(200_000, np.nan)}, 0.1)[0])


GAIN, KEPT = np.array([0.0, 0.7, 1.0]), np.array([1.0, 0.9, 0.75])
SETS, BASE = {"a": 50, "b": 100}, 0.8


def covered(seeds: int, spread: float, worlds: int = 400) -> dict[str, float]:
    """How often what is kept at 90 % in truth lies within each interval. Of a world: images with thresholds of their own, which are the
    same for all seeds, and seeds whose accuracy after the start is off by a normal number."""
    generator = np.random.default_rng(seeds)
    weights = at_level(GAIN, 0.9)
    assert weights is not None
    truth, found = float(weights @ KEPT), {"ours": 0, "images": 0, "percentile": 0, "twice": 0}
    for _ in range(worlds):
        thresholds = generator.random(sum(SETS.values()))
        values, draws = {}, []
        for seed in range(seeds):
            accuracy = BASE * KEPT + np.array([0, 1, 1]) * spread * generator.standard_normal()
            drawn = resampled(curve(SETS, (thresholds[None] < accuracy[:, None]).astype(np.uint8)))
            correct = thresholds[None] < accuracy[:, None]
            means = np.mean([correct[:, :50].mean(axis=1), correct[:, 50:].mean(axis=1)], axis=0)
            assert drawn is not None
            values[seed] = float(weights @ (means / means[0]))
            draws.append((drawn / drawn[:, :1]) @ weights)
        measure = Measure(values, dict(enumerate(draws)))
        error = float(np.mean(draws, axis=0).std(ddof=1))
        resampled_seeds = np.array(draws)[generator.integers(0, seeds, (DRAWS, seeds)), np.arange(DRAWS)[:, None]].mean(
            axis=1
        )
        held = {
            "ours": measure.interval(),
            "images": interval([measure.value], error),
            "twice": interval(list(values.values()), error),
            "percentile": tuple(np.quantile(resampled_seeds, [0.025, 0.975])),
        }
        for name, (low, high) in held.items():
            found[name] += low <= truth <= high
    return {name: count / worlds for name, count in found.items()}


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Where seeds matter as much as images and where images matter alone; what leaves the seeds out, or draws three again, does not."""
    many = covered(3, 0.05)
    assert 0.93 <= many["ours"] <= 0.975, many
    assert many["images"] < 0.85 and many["percentile"] < many["ours"] <= many["twice"], many
    alone = covered(1, 0.0)
    assert 0.92 <= alone["ours"] <= 0.98, alone
