"""Tests, intervals and effect sizes against scipy, statsmodels, scikit-posthocs and closed forms; what is undefined is said."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gelo.analysis.statistics import (
    FEWEST_SETS,
    bootstrap_interval,
    friedman,
    holm,
    mcnemar,
    signed_rank,
)  # fmt: skip
from gelo.tasks.metrics.scores import UndefinedMetric

RIGHT = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
WHOLE = st.lists(st.integers(-4, 4), min_size=FEWEST_SETS, max_size=9)


@given(RIGHT)
def test_mcnemar_is_a_fair_coin_over_the_images_that_tell_them_apart(pairs: list[tuple[bool, bool]]) -> None:
    before, after = np.array(pairs, dtype=int).T
    found = mcnemar(before, after)
    assert found.gained - found.lost == after.sum() - before.sum() and found.images == len(pairs)
    apart = found.gained + found.lost
    assert found.p == pytest.approx(stats.binomtest(found.gained, apart).pvalue if apart else 1.0)
    back = mcnemar(after, before)
    assert (back.gained, back.lost, back.p) == (found.lost, found.gained, found.p)


def test_mcnemar_in_closed_form() -> None:
    assert mcnemar([0] * 6, [1] * 6).p == pytest.approx(2 / 2**6)
    for before, after in (([0, 1], [1]), ([], []), ([0.5], [1]), ([[1]], [[1]])):
        with pytest.raises(ValueError, match="McNemar"):
            mcnemar(before, after)


def test_the_bootstrap_is_scipys() -> None:
    generator = np.random.default_rng(0)
    for sample in (generator.choice([-1, 0, 1], 300, p=[0.1, 0.7, 0.2]), generator.normal(0.3, 1, 200)):
        theirs = stats.bootstrap((sample,), np.mean, n_resamples=10_000, method="percentile", rng=generator)
        ours = bootstrap_interval(sample)
        assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)
        assert ours == bootstrap_interval(sample), "a seed of its own"
        assert ours.low < sample.mean() < ours.high
        narrower = bootstrap_interval(sample, 0.9)
        assert ours.low < narrower.low < narrower.high < ours.high
    with pytest.raises(UndefinedMetric, match="all differ by as much"):
        bootstrap_interval([0, 0, 0])
    with pytest.raises(UndefinedMetric, match="1 values, at least 2"):
        bootstrap_interval([0.5])


@settings(deadline=None, max_examples=40)
@given(WHOLE)
def test_the_signed_rank_is_exact_with_ties_and_zeros(differences: list[int]) -> None:
    """Every way to sign the ranks of what is not zero, counted."""
    found = signed_rank(np.array(differences) / 10)
    ranks = stats.rankdata(np.abs(differences))[np.array(differences) != 0]
    signs = np.array(differences)[np.array(differences) != 0] > 0
    middle = ranks.sum() / 2
    sums = np.array(
        [sum(r for r, up in zip(ranks, ups, strict=True) if up) for ups in product((0, 1), repeat=len(ranks))]
    )
    as_far = np.abs(sums - middle) >= abs(ranks[signs].sum() - middle) - 1e-9
    assert found.exact and found.p == pytest.approx(as_far.mean())
    mirrored = signed_rank(-np.array(differences) / 10)
    assert (mirrored.p, mirrored.effect) == pytest.approx((found.p, -found.effect))


def test_the_signed_rank_is_scipys_and_its_effect_in_closed_form() -> None:
    generator = np.random.default_rng(1)
    few, many = generator.normal(0.4, 1, 20), np.round(generator.normal(0.2, 1, 60), 1)
    assert signed_rank(few).p == pytest.approx(stats.wilcoxon(few).pvalue)
    large = signed_rank(many)
    assert not large.exact and large.p == pytest.approx(
        stats.wilcoxon(many, zero_method="pratt", method="approx").pvalue
    )
    assert signed_rank(np.arange(1, 7)).effect == 1 and signed_rank(np.arange(1, 7)).p == pytest.approx(2 / 2**6)
    assert signed_rank([1, 2, 3, 4, 5, -6]).effect == pytest.approx((15 - 6) / 21)
    assert (signed_rank(np.zeros(8)).p, signed_rank(np.zeros(8)).effect) == (1.0, 0.0)
    with pytest.raises(UndefinedMetric, match="5 data sets, at least 6"):
        signed_rank([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="finite"):
        signed_rank([math.nan] * 8)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_by_its_definition(p: list[float]) -> None:
    order, highest, expected = np.argsort(p, kind="stable"), 0.0, [0.0] * len(p)
    for place, which in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[which]))
        expected[which] = highest
    assert holm(p) == pytest.approx(expected)
    with pytest.raises(ValueError, match="outside"):
        holm([*p, 1.5])


def test_holm_is_statsmodels() -> None:
    generator = np.random.default_rng(6)
    for size in (1, 2, 5, 30):
        p = np.round(generator.random(size) ** 3, 3).tolist()  # with ties
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_friedman_and_nemenyi_are_those_of_others() -> None:
    generator = np.random.default_rng(2)
    scores = np.round(generator.normal([0.5, 0.52, 0.6, 0.4], 0.1, (12, 4)), 2)  # with ties
    found = friedman(scores)
    chi = stats.friedmanchisquare(*scores.T).statistic
    assert found.p == pytest.approx(stats.f.sf(11 * chi / (12 * 3 - chi), 3, 33))
    assert found.means.mean() == 2.5 and found.means.argmin() == 2, "1 is the highest score"
    np.testing.assert_allclose(found.pairs, posthoc_nemenyi_friedman(scores), atol=1e-6)
    assert ((np.abs(found.means[:, None] - found.means) >= found.critical) == (found.pairs <= 0.05)).all()
    # Demsar 2006, table 5: q = 2.569 for four methods, and its example on 14 sets
    assert friedman(generator.random((14, 4))).critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), rel=2e-4)


def test_friedman_at_its_ends() -> None:
    agreed = friedman(np.tile([0.1, 0.2, 0.3], (8, 1)))
    assert agreed.p == pytest.approx(6.0**-7) and agreed.means.tolist() == [3, 2, 1]
    assert friedman(np.full((8, 3), 0.5)).p == 1.0
    nearly = np.full((8, 3), 0.9)
    nearly[2, 1] += 1e-15  # the float's
    assert friedman(nearly).p == 1.0
    for shape in ((8, 2), (5, 3)):
        with pytest.raises(UndefinedMetric, match="at least 3 on 6"):
            friedman(np.ones(shape))
